//! What no check looks for and yet is wrong with a turn: each fault has its detector, and all are counted beside the
//! score, never in it.

mod leaked_call;
mod other_language;
mod parrot;
mod repeated_reply;
mod user_voice;

use serde::Serialize;

use super::observed::Observed;
use super::words::is_blank;
use crate::types::Status;

/// The faults of one turn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Faults {
    /// The user was told nothing.
    pub is_silent: bool,
    /// Calls whose result is `Failed`, those of idle work apart.
    pub failed_calls: usize,
    /// Calls that repeat one of the same turn with the same arguments.
    pub repeated_calls: usize,
    /// Errors that the user was told of, those of idle work included.
    pub errors: usize,
    /// The reply shows how calls are written.
    pub leaks_call: bool,
    /// The reply was given before, word for word.
    pub repeats_reply: bool,
    /// The reply is the message, or mostly a stretch of it.
    pub is_parroted: bool,
    /// The reply goes round in circles.
    pub goes_round: bool,
    /// The reply speaks as the user.
    pub speaks_as_user: bool,
    /// The reply is in another script or language than what the user writes.
    pub is_in_other_language: bool,
}

/// What the conversation was before a turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before<'a> {
    /// Messages of the user.
    pub(super) said: &'a [&'a str],
    /// Replies.
    pub(super) replies: &'a [String],
    /// Names of all functions.
    pub(super) functions: &'a [String],
}

impl Faults {
    /// Looks at a turn.
    pub(super) fn of(user: &str, observed: &Observed, before: Before<'_>) -> Self {
        let reply = &observed.reply;
        let calls: Vec<_> = observed.calls.iter().filter(|call| !call.is_idle()).collect();
        let is_repeated = |(at, call): (usize, &&super::ObservedCall)| {
            calls.iter().take(at).any(|other| (&other.name, &other.arguments) == (&call.name, &call.arguments))
        };
        Self {
            is_silent: is_blank(reply),
            failed_calls: calls.iter().filter(|call| call.status == Some(Status::Failed)).count(),
            repeated_calls: calls.iter().enumerate().filter(|call| is_repeated(*call)).count(),
            errors: observed.errors.len(),
            leaks_call: leaked_call::is_leaked(reply, before.functions),
            repeats_reply: repeated_reply::is_repeated(reply, before.replies),
            is_parroted: parrot::is_parroted(reply, user),
            goes_round: parrot::goes_round(reply),
            speaks_as_user: user_voice::speaks_as_user(reply),
            is_in_other_language: other_language::differs(reply, user, before.said),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::super::ObservedCall;
    use super::*;
    use crate::types::Cause;

    fn call(cause: Cause, query: &str, status: Status) -> ObservedCall {
        let arguments = Map::from_iter([("query".to_owned(), json!(query))]);
        ObservedCall { cause, name: "find".to_owned(), arguments, status: Some(status), result: None }
    }

    #[test]
    fn calls_of_the_turn_are_counted_and_those_of_idle_work_are_not() {
        let observed = Observed {
            calls: vec![
                call(Cause::User, "a", Status::Ok),
                call(Cause::User, "b", Status::Failed),
                call(Cause::User, "a", Status::Ok),
                call(Cause::User, "a", Status::Failed),
                call(Cause::Idle, "a", Status::Failed),
            ],
            errors: vec!["no room".to_owned()],
            ..Observed::default()
        };
        let faults = Faults::of("Hi", &observed, Before { said: &[], replies: &[], functions: &[] });
        let expected = Faults { is_silent: true, failed_calls: 2, repeated_calls: 2, errors: 1, ..Faults::default() };
        assert_eq!(faults, expected);
    }
}
