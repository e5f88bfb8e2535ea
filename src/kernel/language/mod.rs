//! Plain looks at what somebody has said: what asks, what tells, what says how the agent is to be, which days are meant. Word
//! lists and rules in some languages; no model is asked. Pure.

mod asking;
mod dates;
mod introductions;
pub(super) mod orders;
pub(super) mod pieces;
mod spoken;
pub(super) mod wishes;
mod words;

pub(super) use asking::{
    MAKING_WORDS, asks, asks_about_user, asks_for_a_thing, asks_for_advice, asks_of_user, ends_in_question,
    first_words, follows_up, has_sure_verb_of_user, is_verb_of_user, only_asks,
};
pub(super) use dates::{dated, tells_when};
pub(super) use introductions::introduced;
pub(super) use orders::{
    SUBJECTS, beside_orders, beside_own_name, lays_down, lays_down_manner, may_ask, speaks_of_agent_alone, unsaid,
};
pub(super) use pieces::without_small_talk;
pub(super) use spoken::spoken_language;
pub(super) use words::{
    OBJECTS, all_names, is_form_of, is_greeting, meaning_words, names, refers_back, sentences, speaks_of_user,
    speaks_of_user_alone, speaks_to_somebody, without_quotations, words,
};
