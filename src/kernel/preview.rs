//! What an agent may write in its next step, told from its memory alone: no model has to be loaded.

use crate::dialect::Dialect;
use crate::memory::{BlockLabel, CoreMemory, View};

use super::Error;
use super::agent::Settings;
use super::interrupt::Interrupt;
use super::offer::{BlockView, MemoryView, step_policy};
use super::step::{Effect, Happened, Offer, Turn};

/// Characters of an answer for each token of the answer reserve: the token limit is the real one, this only keeps the
/// grammar's own bound out of its way.
pub(super) const ANSWER_CHARS_PER_TOKEN: usize = 6;

/// The memory as the policy needs it, at the beginning of a turn; `core` with the limits that hold.
pub(super) fn memory_view(core: &CoreMemory, memory: View<'_>) -> Result<MemoryView, Error> {
    let blocks = BlockLabel::ALL
        .into_iter()
        .map(|label| {
            let block = core.block(label);
            BlockView {
                label: label.as_str().to_owned(),
                lines: block.lines().map(str::to_owned).collect(),
                chars: block.used_chars(),
                limit_chars: block.limit_chars,
            }
        })
        .collect();
    Ok(MemoryView {
        blocks,
        recall_count: memory.conversation_count()?,
        has_evicted: memory.has_evicted_conversation()?,
        archival_count: memory.archival_count()?,
        ..MemoryView::default()
    })
}

/// The grammar under which the agent will answer the next message of the user, as GBNF, in a window whose answer
/// reserve is free (the queue manager sees to that) and that core memory does not fill.
///
/// # Errors
/// The database failed, or the dialect cannot write the step's rules.
pub fn next_step_grammar(
    memory: View<'_>,
    dialect: &dyn Dialect,
    settings: &Settings,
    window_tokens: usize,
) -> Result<String, Error> {
    let message = Interrupt::User { text: String::new(), entry: None };
    let (_, effects) = Turn::new(settings.max_steps).advance(Happened::Begin(message));
    let offer = effects.into_iter().find_map(|effect| match effect {
        Effect::Generate(offer) => Some(offer),
        _ => None,
    });
    let reserve_tokens = settings.queue.answer_reserve_tokens(window_tokens);
    let view = MemoryView {
        saves_by_itself: !settings.memory_pass,
        max_calls_of_a_function: settings.max_calls_of_a_function,
        max_answer_chars: reserve_tokens * ANSWER_CHARS_PER_TOKEN,
        can_pause_heartbeats: settings.heartbeat.is_some(),
        ..memory_view(&memory.core()?, memory)?
    };
    Ok(dialect.grammar(&step_policy(offer.unwrap_or(Offer::AnswerOnly), &view))?)
}
