//! What a turn shows, gathered from its events.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::kernel::tells_of_eviction;
use crate::types::{Cause, Event, Status, TurnReport};

/// A call with its result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObservedCall {
    /// What brought it about.
    pub cause: Cause,
    /// Name of the function.
    pub name: String,
    /// Arguments by name.
    pub arguments: Map<String, Value>,
    /// The outcome; none where the turn ended before it.
    pub status: Option<Status>,
    /// What the model was told.
    pub result: Option<String>,
}

impl ObservedCall {
    /// Whether idle work made it: the model was not asked by the user for it.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        is_idle(self.cause)
    }
}

const fn is_idle(cause: Cause) -> bool {
    matches!(cause, Cause::Idle | Cause::Timer)
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// What the user was told, message by message on lines of their own.
    pub reply: String,
    /// All calls, those of idle work included.
    pub calls: Vec<ObservedCall>,
    /// All errors, those of idle work included.
    pub errors: Vec<String>,
    /// What it cost; none where the turn did not end.
    pub report: Option<TurnReport>,
    /// From the message to the last of the reply, milliseconds; to the end of the turn where there was none.
    pub reply_ms: u64,
    /// Whether messages have left the window, idle work included.
    pub has_evicted: bool,
    /// Messages so far.
    pub(super) messages: usize,
}

impl Observed {
    /// Takes the next event, which came so long after the message of the user.
    pub fn take(&mut self, cause: Cause, event: Event, since: Duration) {
        let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        match event {
            Event::Message { text } if !is_idle(cause) => {
                if self.messages > 0 {
                    self.reply.push('\n');
                }
                self.reply.push_str(&text);
                self.messages += 1;
                self.reply_ms = since_ms;
            }
            Event::Call { name, arguments } => {
                self.calls.push(ObservedCall { cause, name, arguments, status: None, result: None });
            }
            Event::Result { status, message, .. } => {
                if let Some(call) = self.calls.last_mut() {
                    (call.status, call.result) = (Some(status), Some(message));
                }
            }
            Event::Notice { text } => self.has_evicted |= tells_of_eviction(&text),
            Event::Error { message, .. } => self.errors.push(message),
            Event::Turn(report) => {
                if self.messages == 0 {
                    self.reply_ms = report.wall_ms;
                }
                self.report = Some(report);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_idle_work_says_is_no_reply() {
        let mut observed = Observed::default();
        let message = |text: &str| Event::Message { text: text.to_owned() };
        let ms = Duration::from_millis;
        observed.take(Cause::User, message("One."), ms(10));
        observed.take(Cause::Timer, message("Tick."), ms(15));
        observed.take(Cause::User, message("Two."), ms(20));
        observed.take(Cause::Idle, Event::Call { name: "f".to_owned(), arguments: Map::new() }, ms(30));
        let result = Event::Result { name: "f".to_owned(), status: Status::Failed, message: "no".to_owned() };
        observed.take(Cause::Idle, result, ms(30));
        assert_eq!((&*observed.reply, observed.reply_ms), ("One.\nTwo.", 20));
        assert!(!observed.has_evicted);
        let text = "The window was full: 4 older messages were summarised; they can still be searched.".to_owned();
        observed.take(Cause::Idle, Event::Notice { text }, ms(40));
        assert!(observed.has_evicted);
        assert!(observed.calls[0].is_idle() && observed.calls[0].status == Some(Status::Failed));
    }
}
