//! Replies that end in an offer of help which nobody has asked for: "That sounds lovely! How can I assist you today?" Behind
//! what the user tells of themselves, assistants say so by habit, and it sounds as if they had not listened. Such a reply ends
//! where the offer begins; what may become one is shown when it is clear that it does not. Pure.

use super::super::language::{MAKING_WORDS, may_ask, sentences, words};
use super::opening::{begins_with_user, only_tells};
use super::own_words::begins_text;

/// How such offers begin, in lower case.
#[rustfmt::skip]
const OFFERS: [&str; 57] = [
    "how can i assist", "how can i help", "how can we help", "how else can i", "how may i assist", "how may i help", "if you have any other questions",
    "if you have any questions", "if you have any specific questions", "feel free to ask", "is there anything else i can", "is there anything else you'd like",
    "is there anything else you would like", "is there anything i can help", "is there anything specific you'd like to know",
    "is there anything specific you would like to know", "is there anything specific i can", "let me know if you have any", "let me know if you need",
    "what can i do for you", "what else can i", "do you have any specific questions", "what would you like to know",
    "kann ich dir sonst", "kann ich ihnen sonst", "wie kann ich dir", "wie kann ich ihnen", "womit kann ich",
    "comment puis-je", "en quoi puis-je", "¿cómo puedo ayudar", "¿en qué puedo",
    "are there any other topics", "are there any other questions", "are there any specific topics", "are there any specific questions",
    "si tienes alguna otra pregunta", "si tienes alguna pregunta", "si tienes alguna duda", "si necesitas ayuda con", "si necesitas algo más",
    "no dudes en preguntar", "no dudes en decirme", "¿hay algo más en", "¿hay algo más que pueda", "n'hésite pas à me", "n’hésite pas à me",
    "wenn du weitere fragen", "wenn sie weitere fragen", "lass mich wissen, wenn", "lass mich wissen, falls", "als je nog vragen",
    "mocht je nog vragen",
    "come posso aiutar", "como posso ajudar", "hoe kan ik", "hur kan jag hjälpa",
];

/// Words by which a message asks for help, for leave to ask, or for something to be made.
#[rustfmt::skip]
const HELP: [&str; 28] = [
    "advice", "aide", "aidez", "ajuda", "ask", "assistance", "ayuda", "bitte", "draft", "favor", "favour", "frage", "fragen", "help", "hilf",
    "hilfe", "hjälp", "hulp", "idea", "ideas", "need", "please", "problem", "question", "questions", "stuck", "tell", "want",
];

/// What ends a sentence in front of an offer.
const SENTENCE_ENDS: [char; 6] = ['.', '!', '?', '…', '\n', ')'];
/// Characters of the longest offer, and some.
const LONGEST: usize = 64;
/// What encloses a program.
const FENCE: &str = "```";

/// Whether a reply to `message` is to end where it would offer help: a sentence of the message begins with the user or what is
/// theirs, and none asks for anything.
pub(in crate::kernel) fn is_unasked(message: &str) -> bool {
    only_tells(message)
        && sentences(message).any(begins_with_user)
        && !sentences(message).any(may_ask)
        && !words(message).any(|word| HELP.contains(&word.as_str()) || MAKING_WORDS.contains(&word.as_str()))
}

/// Where a reply ends, if an offer of help begins there behind a sentence.
pub(in crate::kernel) fn offer(text: &str) -> Option<usize> {
    match look(text) {
        Seen::Offer(at) => Some(at),
        Seen::Maybe(_) | Seen::Nothing => None,
    }
}

/// What the end of a reply may be.
enum Seen {
    Offer(usize),
    /// What stands behind this place may become one.
    Maybe(usize),
    Nothing,
}

fn look(text: &str) -> Seen {
    if text.contains(FENCE) {
        return Seen::Nothing;
    }
    for (place, end) in text.char_indices().filter(|(_, c)| SENTENCE_ENDS.contains(c) || is_picture(*c)) {
        let at = place + end.len_utf8();
        let behind = text.get(at..).unwrap_or_default();
        let sentence: String = behind.trim_start().chars().take(LONGEST).flat_map(char::to_lowercase).collect();
        if OFFERS.iter().any(|offer| sentence.starts_with(offer)) {
            return Seen::Offer(at);
        }
        if OFFERS.iter().any(|offer| offer.starts_with(&sentence)) {
            return Seen::Maybe(at);
        }
    }
    Seen::Nothing
}

/// Emoji, which stand where a full stop would.
const fn is_picture(c: char) -> bool {
    matches!(c, '\u{2600}'..='\u{27BF}' | '\u{1F300}'..='\u{1FAFF}')
}

/// Shows a reply as it is written, but for what may become an offer.
#[derive(Debug)]
pub(in crate::kernel) struct Shown {
    is_watched: bool,
    has_begun: bool,
    text: String,
    shown: usize,
}

impl Shown {
    /// Of a reply that ends before an offer, if `ends_at_offer` says so.
    pub(in crate::kernel) const fn new(ends_at_offer: bool) -> Self {
        Self { is_watched: ends_at_offer, has_begun: false, text: String::new(), shown: 0 }
    }

    /// Sees the bytes of each token before what is made of it: what is no text from its first one on is shown as it comes.
    pub(in crate::kernel) fn begin(&mut self, bytes: &[u8]) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.is_watched &= begins_text(bytes);
        }
    }

    /// What of the reply can be shown now that `text` was written.
    pub(in crate::kernel) fn push(&mut self, text: &str) -> String {
        self.text.push_str(text);
        let end = match self.is_watched.then(|| look(&self.text)) {
            Some(Seen::Offer(at) | Seen::Maybe(at)) => at,
            Some(Seen::Nothing) | None => self.text.len(),
        };
        self.up_to(end)
    }

    /// Where the whole text ends before an offer, if it does.
    pub(in crate::kernel) fn end(&self, text: &str) -> Option<usize> {
        if self.is_watched { offer(text) } else { None }
    }

    /// What is left to be shown of the whole text, `has_ended` where it ends before an offer.
    pub(in crate::kernel) fn finish(mut self, has_ended: bool) -> String {
        let end = if has_ended { self.shown } else { self.text.len() };
        self.up_to(end)
    }

    fn up_to(&mut self, end: usize) -> String {
        let new = self.text.get(self.shown..end).unwrap_or_default().to_owned();
        self.shown = self.shown.max(end);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_end_where_they_would_offer_help() {
        for (reply, kept) in [
            ("That sounds lovely! How can I assist you today?", "That sounds lovely!"),
            ("Schön! 😊 Wie kann ich dir heute helfen?", "Schön! 😊"),
            ("Good luck in May.\nIs there anything else I can do for you?", "Good luck in May."),
        ] {
            assert_eq!(offer(reply).and_then(|at| reply.get(..at)), Some(kept));
        }
        for whole in [
            "How can I assist you today?",
            "That sounds lovely! How long have you played?",
            "You may ask how can I help.",
            "I'm so sorry. If you need help, please call somebody whom you trust.",
            "```\nprint('Hi! How can I help')\n```",
            "",
        ] {
            assert_eq!(offer(whole), None, "{whole}");
        }
    }

    #[test]
    fn help_is_offered_to_who_asks_for_it_or_says_nothing_of_themselves() {
        for told in
            ["I've adopted a cat.", "Hi, I'm back from Oslo.", "Meine Katze ist krank.", "We moved. It was hard."]
        {
            assert!(is_unasked(told), "{told}");
        }
        for asked in [
            "Hello!",
            "I need help with my cat.",
            "Is my cat old?",
            "Write a poem for my cat.",
            "Please write an email to my landlord about the leak.",
            "My boss is ill. Draft an email to him.",
            "Kannst du mir kurz was erklären",
            "I have something to ask you.",
        ] {
            assert!(!is_unasked(asked), "{asked}");
        }
    }

    #[test]
    fn what_may_become_an_offer_is_shown_when_it_does_not() {
        let show = |message: &str, pieces: &[&str]| {
            let mut shown = Shown::new(is_unasked(message));
            let steps: Vec<String> = pieces.iter().map(|piece| shown.push(piece)).collect();
            let has_ended = shown.end(&shown.text).is_some();
            (steps, shown.finish(has_ended))
        };
        let owned = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
        let told = "I've adopted a cat.";
        let (steps, rest) = show(told, &["Nice", "!", " How", " can", " I", " help", " you"]);
        assert_eq!((steps, rest.as_str()), (owned(&["Nice", "!", "", "", "", "", ""]), ""));
        let (steps, rest) = show(told, &["Nice", "!", " How", " old", " is", " it?"]);
        assert_eq!((steps, rest.as_str()), (owned(&["Nice", "!", "", " How old", " is", " it?"]), ""));
        let (steps, rest) = show(told, &["Nice", "!", " How"]);
        assert_eq!((steps, rest.as_str()), (owned(&["Nice", "!", ""]), " How"));
        let (steps, rest) = show("Hello!", &["Hi", "! How can I help", "?"]);
        assert_eq!((steps, rest.as_str()), (owned(&["Hi", "! How can I help", "?"]), ""));
    }
}
