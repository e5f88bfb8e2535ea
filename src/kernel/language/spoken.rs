//! The language in which the user speaks.

use crate::types::{Body, Language, Message};

/// So many of the newest messages of the user tell it.
const MOST_MESSAGES: usize = 16;

/// By so many messages another language than before is ahead before it counts: whatever begins a prompt stands in front of
/// all that was read.
const LEAD: usize = 2;

/// The language of most messages of the user among `messages`, as far as theirs is sure; of two that are as frequent the one that
/// was spoken first, so that a foreign word or a quotation does not change it. It is the one `before`, if there is one, until
/// another is well ahead.
pub(in crate::kernel) fn spoken_language(messages: &[Message], before: Option<Language>) -> Option<Language> {
    let said = messages.iter().rev().filter_map(|message| match &message.body {
        Body::User { text } => Some(text.as_str()),
        _ => None,
    });
    // From the newest to the oldest: the last of several is the greatest.
    let languages: Vec<Language> = said.take(MOST_MESSAGES).filter_map(Language::of).collect();
    let count = |language: Language| languages.iter().filter(|other| **other == language).count();
    let most = languages.iter().copied().max_by_key(|language| count(*language));
    match (before, most) {
        (Some(before), Some(most)) if count(most) >= count(before) + LEAD => Some(most),
        (Some(before), _) => Some(before),
        (None, most) => most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::MessageId;

    fn spoken_after(before: Option<&str>, texts: &[&str]) -> Option<&'static str> {
        let message = |text: &&str| {
            let body = Body::User { text: (*text).to_owned() };
            Message { id: MessageId(1), at_ms: 0, body, interrupted: false, stub: None }
        };
        let messages: Vec<Message> = texts.iter().map(message).collect();
        spoken_language(&messages, before.and_then(Language::of)).map(Language::name)
    }

    fn spoken(texts: &[&str]) -> Option<&'static str> {
        spoken_after(None, texts)
    }

    #[test]
    fn the_language_does_not_change_back_and_forth() {
        let (english, german) = ("My neighbour has built a new shed.", "Ich habe gestern den Speicher ausgeräumt.");
        let mut said = vec![german];
        for turn in 0..20 {
            said.push(if turn % 2 == 0 { english } else { german });
            assert_eq!(spoken_after(Some(german), &said), Some("German"), "turn {turn}");
            assert_eq!(spoken_after(Some(english), &said), Some("English"), "turn {turn}");
        }
        assert_eq!(spoken_after(Some(german), &[german, english, english]), Some("German"));
        assert_eq!(spoken_after(Some(german), &[german, english, english, english]), Some("English"));
        assert_eq!(spoken_after(Some(german), &["ok"]), Some("German"));
    }

    #[test]
    fn most_messages_tell_the_language_and_the_first_where_as_many_do() {
        let (english, german) = ("My neighbour has built a new shed.", "Ich habe gestern den Speicher ausgeräumt.");
        let spanish = "No como carne desde hace tres años.";
        assert_eq!(spoken(&[]), None);
        assert_eq!(spoken(&["ta", "17"]), None);
        assert_eq!(spoken(&["ok", german]), Some("German"));
        assert_eq!(spoken(&[english, german]), Some("English"));
        assert_eq!(spoken(&[english, spanish, "ok", spanish]), Some("Spanish"));
        let later: Vec<&str> = [english; 20].into_iter().chain([german; 12]).collect();
        assert_eq!(spoken(&later), Some("German"), "what was said long ago does not count");
    }
}
