//! How likely the model finds a text behind what it has read, without writing it.

use std::time::Instant;

use super::prefix_cache::{PrefixReport, Session};
use super::{Error, MAX_ROWS};
use crate::types::{Cancel, TokenId};

impl Session {
    /// Natural logarithm of the probability of `tokens` behind what is cached, of which the first [`MAX_ROWS`] count; minus
    /// infinity as soon as it is known to be below `least`, where `cancel` was raised, where there is no room, and where
    /// the cache cannot be cut (recurrent models), so that more than the first token cannot be looked at. The cache and
    /// the logits of its last token stay as they are.
    ///
    /// # Errors
    /// [`Error::NoLogits`] where no logits are at hand; failures of the engine.
    pub fn log_probability(
        &mut self,
        tokens: &[TokenId],
        least: f32,
        cancel: &Cancel,
    ) -> Result<(f32, PrefixReport), Error> {
        let started = Instant::now();
        let mut report = PrefixReport { complete: true, ..PrefixReport::default() };
        let tokens = &tokens[..tokens.len().min(MAX_ROWS)];
        let Some((first, others)) = tokens.split_first() else { return Ok((0.0, report)) };
        let own = self.logits()?.to_vec();
        let of_first = log_probability(&own, *first);
        if others.is_empty() || of_first < least {
            return Ok((if of_first < least { f32::NEG_INFINITY } else { of_first }, report));
        }
        let mut sum = of_first;
        let Some(read) = self.read_out(tokens, own, cancel, |logits, token| sum += log_probability(logits, token))?
        else {
            return Ok((f32::NEG_INFINITY, report));
        };
        report = PrefixReport { read_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX), ..read };
        Ok((if report.complete && sum >= least { sum } else { f32::NEG_INFINITY }, report))
    }

    /// What the model would write behind what is cached if it began with `first`: with it, the likeliest tokens, at most `most`, up
    /// to its own end or that of which `is_enough` says so; and what was read for it. The cache and the logits of its last token
    /// stay as they are. The first alone where there is no room, where the cache cannot be cut (recurrent models), and where
    /// `cancel` was raised.
    ///
    /// # Errors
    /// As of [`Session::log_probability`].
    pub fn would_write(
        &mut self,
        first: TokenId,
        most: usize,
        cancel: &Cancel,
        is_enough: impl Fn(&[TokenId]) -> bool,
    ) -> Result<(Vec<TokenId>, PrefixReport), Error> {
        let own = self.logits()?.to_vec();
        let mut tokens = vec![first];
        let mut report = PrefixReport { complete: true, ..PrefixReport::default() };
        if !self.engine().can_cut() || self.room_tokens() < most {
            return Ok((tokens, report));
        }
        let (started, cached) = (Instant::now(), self.cached().len());
        let done = self.write_on(&mut tokens, most, cancel, is_enough, &mut report);
        self.cut_to(cached)?;
        self.put_back(own);
        done?;
        report.read_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok((tokens, report))
    }

    fn write_on(
        &mut self,
        tokens: &mut Vec<TokenId>,
        most: usize,
        cancel: &Cancel,
        is_enough: impl Fn(&[TokenId]) -> bool,
        report: &mut PrefixReport,
    ) -> Result<(), Error> {
        while let Some(last) = tokens.last().copied().filter(|_| tokens.len() < most && !is_enough(tokens)) {
            let done = self.append(&[last], cancel)?;
            report.tokens_read += done.tokens_read;
            report.forward_passes += done.forward_passes;
            if done.tokens_read == 0 {
                break;
            }
            let Some(next) = likeliest(self.logits()?) else { break };
            if self.vocab().is_end_of_generation(next) {
                break;
            }
            tokens.push(next);
        }
        Ok(())
    }

    /// Reads `tokens` and shows `each` but the first with the logits behind which it stands; then everything is as before, `own`
    /// being the logits until then. None where they have no room, or could not be cut off again.
    fn read_out(
        &mut self,
        tokens: &[TokenId],
        own: Vec<f32>,
        cancel: &Cancel,
        mut each: impl FnMut(&[f32], TokenId),
    ) -> Result<Option<PrefixReport>, Error> {
        let Some((_, others)) = tokens.split_first() else { return Ok(None) };
        let read = tokens.get(..others.len()).unwrap_or_default();
        if !self.engine().can_cut() || self.room_tokens() < read.len() {
            return Ok(None);
        }
        let cached = self.cached().len();
        let done = self.append_for(read, read.len(), cancel)?;
        let complete = done.tokens_read == read.len();
        for (at, token) in others.iter().enumerate().take_while(|_| complete) {
            each(self.logits_behind(others.len() - 1 - at)?, *token);
        }
        self.cut_to(cached)?;
        self.put_back(own);
        let (tokens_read, forward_passes) = (done.tokens_read, done.forward_passes);
        Ok(Some(PrefixReport { tokens_read, forward_passes, complete, ..PrefixReport::default() }))
    }
}

fn likeliest(logits: &[f32]) -> Option<TokenId> {
    (0..).zip(logits).max_by(|(_, one), (_, two)| one.total_cmp(two)).map(|(id, _)| TokenId(id))
}

/// Natural logarithm of the probability that `logits` give to `token`.
fn log_probability(logits: &[f32], token: TokenId) -> f32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let all: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    logits.get(token.index()).map_or(f32::NEG_INFINITY, |logit| logit - highest - all.ln() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Script, ScriptedEngine, ScriptedReply, tokenize_template, tokenize_text};

    fn session(reply: &str) -> Session {
        let reply = ScriptedReply { reply: reply.to_owned(), ..ScriptedReply::default() };
        let mut session =
            Session::new(Box::new(ScriptedEngine::new(Script { replies: vec![reply], ..Script::default() }))).unwrap();
        let prompt =
            tokenize_template(session.engine(), "<|im_start|>user\nIs it?<|im_end|>\n<|im_start|>assistant\n").unwrap();
        session.prepare(&prompt, &Cancel::new()).unwrap();
        session
    }

    #[test]
    fn what_the_model_would_write_is_known_and_nothing_changes() {
        let mut session = session("I sing. And I dance.");
        let (cached, logits) = (session.cached().to_vec(), session.logits().unwrap().to_vec());
        let first = tokenize_text(session.engine(), "I").unwrap()[0];
        let vocab = std::sync::Arc::clone(session.vocab());
        let spelled = |tokens: &[TokenId]| -> Vec<u8> {
            tokens.iter().flat_map(|token| vocab.bytes(*token).iter().copied()).collect()
        };
        for (most, enough) in [(64, 64), (64, 3), (1, 64), (4, 64)] {
            let is_enough = |tokens: &[TokenId]| tokens.len() >= enough;
            let (tokens, report) = session.would_write(first, most, &Cancel::new(), is_enough).unwrap();
            let text = String::from_utf8(spelled(&tokens)).unwrap();
            assert!("I sing. And I dance.".starts_with(&text), "{text}");
            let is_whole = text == "I sing. And I dance.";
            assert!(tokens.len() == most.min(enough) || is_whole && tokens.len() < most.min(enough), "{text}");
            assert!(report.tokens_read + 1 >= tokens.len(), "{report:?}");
            let now = (session.cached().to_vec(), session.logits().unwrap().to_vec());
            assert_eq!(now, (cached.clone(), logits.clone()), "{text}");
        }
        let stopped = Cancel::new();
        stopped.raise();
        assert_eq!(session.would_write(first, 64, &stopped, |_| false).unwrap().0, [first]);
        assert_eq!(session.cached(), cached);
    }

    #[test]
    fn probabilities_of_all_tokens_sum_up_to_one() {
        let logits = [1.0, -2.0, 0.5, f32::NEG_INFINITY];
        let sum: f32 = (0..4).map(|token| log_probability(&logits, TokenId(token)).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert_eq!(log_probability(&logits, TokenId(3)), f32::NEG_INFINITY);
        assert_eq!(log_probability(&logits, TokenId(4)), f32::NEG_INFINITY);
    }

    #[test]
    fn what_the_model_would_write_is_likely_and_all_else_is_not_and_nothing_is_left_behind() {
        let mut session = session("yes, it is");
        let cancel = Cancel::new();
        let (before, own) = (session.cached().to_vec(), session.logits().unwrap().to_vec());
        let tokens = |text: &str| tokenize_text(session.engine(), text).unwrap();
        let (told, other, half) = (tokens("yes, it is"), tokens("no"), tokens("yes, it was"));
        assert!(session.log_probability(&told, -10.0, &cancel).unwrap().0 > -10.0);
        for unlikely in [&other, &half] {
            assert_eq!(session.log_probability(unlikely, -10.0, &cancel).unwrap().0, f32::NEG_INFINITY);
        }
        assert_eq!(session.cached(), before);
        assert_eq!(session.logits().unwrap().to_vec(), own);
        // They are those of that place alone.
        session.append(&told[..1], &cancel).unwrap();
        assert_ne!(session.logits().unwrap().to_vec(), own);
    }

    #[test]
    fn one_unlikely_first_token_costs_no_pass() {
        let mut session = session("yes");
        let other = tokenize_text(session.engine(), "no, it is not").unwrap();
        let (_, report) = session.log_probability(&other, -1.0, &Cancel::new()).unwrap();
        assert_eq!((report.forward_passes, report.tokens_read), (0, 0));
    }
}
