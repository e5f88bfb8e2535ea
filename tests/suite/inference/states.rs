//! Saved states of the cache: a second start reads what is new.

use mneme::inference::{Script, ScriptedEngine, Session, StateStore, tokenize_template};
use mneme::types::{Cancel, TokenId};

fn session(folder: &std::path::Path) -> Session {
    let engine = ScriptedEngine::new(Script::of(["Hello you."]));
    Session::new(Box::new(engine)).unwrap().with_states(StateStore::new(folder.join("kv")))
}

fn fixed(session: &Session, text: &str) -> Vec<TokenId> {
    let tokens = tokenize_template(session.engine(), &text.repeat(40)).unwrap();
    assert!(tokens.len() > 80, "{}", tokens.len());
    tokens
}

#[test]
fn what_one_session_has_read_another_restores() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    let mut first = session(folder.path());
    let fixed = fixed(&first, "You are kind. ");
    let report = first.prepare_fixed(&fixed, fixed.len(), &cancel).unwrap();
    assert_eq!((report.tokens_read, report.complete), (fixed.len(), true));
    let again = first.prepare_fixed(&fixed, fixed.len(), &cancel).unwrap();
    assert_eq!((again.tokens_read, again.complete), (0, true), "it is there");
    drop(first);

    let mut second = session(folder.path());
    let report = second.prepare_fixed(&fixed, fixed.len(), &cancel).unwrap();
    assert_eq!((report.tokens_read, report.complete), (0, true));
    assert_eq!(second.cached(), fixed);
    assert!(second.logits().is_err(), "a restored cache has no logits");
    let mut whole = fixed.clone();
    whole.extend(tokenize_template(second.engine(), "And tall.").unwrap());
    let report = second.prepare(&whole, &cancel).unwrap();
    assert_eq!((report.tokens_reused, report.tokens_read), (fixed.len(), whole.len() - fixed.len()));
    assert_eq!(second.cached(), whole);
    // Another text is in the cache by then: the fixed part takes its place.
    let other = tokenize_template(second.engine(), &"Something else. ".repeat(30)).unwrap();
    second.prepare(&other, &cancel).unwrap();
    assert_eq!(second.prepare_fixed(&fixed, fixed.len(), &cancel).unwrap().tokens_read, 0);
    assert_eq!(second.cached(), fixed);
}

#[test]
fn a_state_that_cannot_be_used_is_read_and_saved_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    let mut first = session(folder.path());
    let fixed = fixed(&first, "You are kind. ");
    first.prepare_fixed(&fixed, fixed.len(), &cancel).unwrap();
    drop(first);
    let path = std::fs::read_dir(folder.path().join("kv")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for expected in [fixed.len(), 0] {
        let report = session(folder.path()).prepare_fixed(&fixed, fixed.len(), &cancel).unwrap();
        assert_eq!((report.tokens_read, report.complete), (expected, true));
    }
}

#[test]
fn nothing_is_saved_of_what_is_short_or_cancelled_or_where_nothing_is_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    let mut session = session(folder.path());
    let fixed = fixed(&session, "You are kind. ");
    assert_eq!(session.prepare_fixed(&fixed, 10, &cancel).unwrap().tokens_read, 0);
    let raised = Cancel::new();
    raised.raise();
    assert!(!session.prepare_fixed(&fixed, fixed.len(), &raised).unwrap().complete);
    drop(session);
    assert!(!folder.path().join("kv").exists());
    let mut plain = Session::new(Box::new(ScriptedEngine::new(Script::default()))).unwrap();
    let report = plain.prepare_fixed(&fixed, fixed.len(), &cancel).unwrap();
    assert_eq!((report.tokens_read, report.complete, plain.cached().len()), (0, true, 0));
}
