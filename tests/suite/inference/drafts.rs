//! Drafts from the prompt, and reading that gives way.

use mneme::inference::{
    Engine, GenerateOptions, GenerateStats, Sampler, SamplerOptions, Script, ScriptedEngine, Session, StopCause,
    generate, tokenize_template, tokenize_text,
};
use mneme::types::{Cancel, Constraint, TokenId, Unconstrained};

use super::OneOf;

/// A reply that is copied from the prompt, with some words of its own before and behind.
const PROMPT: &str = "<|im_start|>user\nThe kettle with the copper handle stands behind the third door on the left, next to \
    the broom. Say it again!<|im_end|>\n<|im_start|>assistant\n";
const REPLY: &str = "Gladly: The kettle with the copper handle stands behind the third door on the left, next to the broom. \
    Nothing else stands there.";

fn session(draft_tokens: usize, reply: &str) -> Session {
    let script = Script { draft_tokens, ..Script::of([reply]) };
    Session::new(Box::new(ScriptedEngine::new(script))).unwrap()
}

/// Tokens that were seen, why it stopped, the cost, and what is in the cache behind the prompt.
fn written(
    session: &mut Session,
    constraint: &mut dyn Constraint,
    options: &GenerateOptions,
) -> (Vec<TokenId>, StopCause, GenerateStats, Vec<TokenId>) {
    let prompt = tokenize_template(session.engine(), PROMPT).unwrap();
    session.prepare(&prompt, &Cancel::new()).unwrap();
    let mut seen = Vec::new();
    let mut sampler = Sampler::new(SamplerOptions::default());
    let generation =
        generate(session, constraint, &mut sampler, options, &Cancel::new(), &mut |token, _| seen.push(token)).unwrap();
    assert_eq!(seen, generation.tokens);
    (seen, generation.stop, generation.stats, session.cached()[prompt.len()..].to_vec())
}

#[test]
fn a_draft_saves_passes_and_changes_nothing_else() {
    let options = GenerateOptions::default();
    let flags = session(0, "").vocab().text_flags().to_vec();
    let free = || Unconstrained { is_text: &flags };
    let (plain, stop, without, _) = written(&mut session(0, REPLY), &mut free(), &options);
    assert_eq!((without.tokens_drafted, stop), (0, StopCause::End));
    for draft_tokens in [1, 4, 15, 1000] {
        let (tokens, stop, with, cached) = written(&mut session(draft_tokens, REPLY), &mut free(), &options);
        assert_eq!((&tokens, stop), (&plain, StopCause::End), "{draft_tokens}");
        assert_eq!(with.tokens_sampled, without.tokens_sampled, "{draft_tokens}");
        assert!(with.forward_passes < without.forward_passes, "{draft_tokens}: {with:?} and {without:?}");
        assert!((1..=with.tokens_drafted).contains(&with.tokens_accepted), "{draft_tokens}: {with:?}");
        // Only what was written may be in the cache.
        assert!(tokens.starts_with(&cached), "{draft_tokens}");
    }
    let off = GenerateOptions { drafts: false, ..options };
    let (.., stats, _) = written(&mut session(15, REPLY), &mut free(), &off);
    assert_eq!((stats.tokens_drafted, stats.forward_passes), (0, without.forward_passes));
}

#[test]
fn a_draft_ends_where_the_limit_of_tokens_is() {
    for max_tokens in 1..40 {
        let options = GenerateOptions { max_tokens, ..GenerateOptions::default() };
        let flags = session(0, "").vocab().text_flags().to_vec();
        let (plain, stop, ..) = written(&mut session(0, REPLY), &mut Unconstrained { is_text: &flags }, &options);
        let (tokens, drafted_stop, stats, cached) =
            written(&mut session(15, REPLY), &mut Unconstrained { is_text: &flags }, &options);
        assert_eq!((&tokens, drafted_stop), (&plain, stop), "{max_tokens}");
        assert!(tokens.starts_with(&cached), "{max_tokens}: {stats:?}");
    }
}

#[test]
fn a_draft_that_the_constraint_refuses_is_cut() {
    let allowed = ["Gladly: The kettle with the copper pan.", "Gladly: no."];
    for draft_tokens in [0, 15] {
        let mut session = session(draft_tokens, allowed[0]);
        let mut constraint = OneOf::new(session.engine(), &allowed, None);
        let options = GenerateOptions { jump_forward: false, ..GenerateOptions::default() };
        let (tokens, stop, stats, cached) = written(&mut session, &mut constraint, &options);
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| session.vocab().bytes(*token)).copied().collect();
        assert_eq!((String::from_utf8(bytes).unwrap().as_str(), stop), (allowed[0], StopCause::Complete));
        assert!(tokens.starts_with(&cached), "{stats:?}");
        assert_eq!(stats.tokens_accepted > 0, draft_tokens > 0, "{stats:?}");
    }
}

#[test]
fn reading_that_gives_way_reads_the_same() {
    let text = "What is said here is of no importance, but there is a lot of it. ".repeat(20);
    let mut plain = session(0, "Yes.");
    let tokens = tokenize_text(plain.engine(), &text).unwrap();
    let report = plain.prepare(&tokens, &Cancel::new()).unwrap();
    let mut paced = session(0, "Yes.");
    paced.give_way(true);
    let slow = paced.prepare(&tokens, &Cancel::new()).unwrap();
    assert_eq!((slow.tokens_read, slow.complete), (report.tokens_read, true));
    assert!(slow.forward_passes > report.forward_passes, "{slow:?} and {report:?}");
    assert_eq!(paced.cached(), plain.cached());
    let stopped = Cancel::new();
    stopped.raise();
    let other = tokenize_text(paced.engine(), &text.to_uppercase()).unwrap();
    assert!(!paced.prepare(&other, &stopped).unwrap().complete);
    assert!(paced.prepare(&other, &Cancel::new()).unwrap().complete);
    assert_eq!(paced.cached(), other);
}

#[test]
fn logits_of_tokens_before_the_last_are_there_when_they_are_asked_for() {
    let mut engine = ScriptedEngine::new(Script::of(["Good.", "Good."]));
    let prompt = tokenize_template(&engine, PROMPT).unwrap();
    let (cancel, reply) = (Cancel::new(), tokenize_text(&engine, "Go").unwrap());
    engine.read(&prompt, &cancel).unwrap();
    let first = engine.logits().unwrap().to_vec();
    assert!(engine.logits_behind(1).is_err());
    engine.truncate(prompt.len() - 1).unwrap();
    let mut both = vec![*prompt.last().unwrap()];
    both.extend(&reply);
    assert!(engine.logits().is_err());
    engine.read_for(&both, both.len(), &cancel).unwrap();
    assert_eq!(engine.logits_behind(reply.len()).unwrap().to_vec(), first);
    assert!(engine.logits_behind(both.len()).is_err());
}
