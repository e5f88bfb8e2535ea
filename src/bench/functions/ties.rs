//! Replies that were written together beside those that were written alone: where they part, and how near a tie the two
//! tokens were there. Passes of another size round otherwise, and the smallest difference decides a tie.

use serde::{Deserialize, Serialize};

use super::caller::{Caller, Question};
use super::{Constrained, Error};
use crate::bench::machine::median;
use crate::inference::tokenize_template;
use crate::types::{Cancel, TokenId};

/// A reply that is another one than that which was written alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parting {
    /// Id of the case.
    pub id: String,
    /// How it was asked.
    pub constrained: Constrained,
    /// How far apart the logits of the two tokens lie at which the replies part, in nats.
    pub nats: f64,
    /// Whether the verdict is another one.
    pub is_verdict: bool,
}

/// What became otherwise because replies were written together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Partings {
    /// Replies that were compared.
    pub compared: usize,
    /// Those that differ.
    pub partings: Vec<Parting>,
}

impl std::fmt::Display for Partings {
    #[allow(clippy::cast_precision_loss)]
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdicts = self.partings.iter().filter(|parting| parting.is_verdict).count();
        write!(
            formatter,
            "{} of {} replies are others than those that were written alone, with {verdicts} other verdicts ({:.2} %)",
            self.partings.len(),
            self.compared,
            100.0 * verdicts as f64 / self.compared.max(1) as f64
        )?;
        let nats: Vec<f64> = self.partings.iter().map(|parting| parting.nats).collect();
        if nats.is_empty() {
            return Ok(());
        }
        let most = nats.iter().copied().fold(0.0, f64::max);
        write!(
            formatter,
            "; the tokens at which they part lie {:.3} nats apart (median; at most {most:.3})",
            median(&nats)
        )
    }
}

impl Caller {
    /// How far apart the logits of the tokens lie at which two replies to a question part, in nats; none where they do not,
    /// or `cancel` was raised.
    ///
    /// # Errors
    /// The engine failed.
    pub fn parting(
        &mut self,
        question: &Question,
        [one, two]: [&str; 2],
        cancel: &Cancel,
    ) -> Result<Option<f64>, Error> {
        let tokens_of = |text: &str| tokenize_template(self.engine(), text).map_err(Error::from);
        let (one, two) = (tokens_of(one)?, tokens_of(two)?);
        let common = one.iter().zip(&two).take_while(|(one, two)| one == two).count();
        if one.len() == two.len() && common == one.len() {
            return Ok(None);
        }
        let behind: Vec<TokenId> = one.iter().take(common).copied().collect();
        let Some(logits) = self.logits_behind(question, &behind, cancel)? else { return Ok(None) };
        let logit = |token: &TokenId| logits.get(token.index()).copied().unwrap_or(f32::NEG_INFINITY);
        // Where one reply goes on, the other has ended.
        let ends = self.engine().vocab().end_of_generation();
        let end = ends.iter().map(logit).fold(f32::NEG_INFINITY, f32::max);
        let next = |tokens: &[TokenId]| tokens.get(common).map_or(end, logit);
        Ok(Some(f64::from((next(&one) - next(&two)).abs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_otherwise_is_told_in_a_sentence() {
        let parting = |nats, is_verdict| Parting { id: "a".to_owned(), constrained: Constrained::On, nats, is_verdict };
        let partings = vec![parting(0.01, false), parting(0.25, true), parting(0.02, false)];
        assert_eq!(
            Partings { compared: 200, partings }.to_string(),
            "3 of 200 replies are others than those that were written alone, with 1 other verdicts (0.50 %); the tokens at \
             which they part lie 0.020 nats apart (median; at most 0.250)"
        );
        assert!(Partings { compared: 7, partings: Vec::new() }.to_string().ends_with("with 0 other verdicts (0.00 %)"));
    }
}
