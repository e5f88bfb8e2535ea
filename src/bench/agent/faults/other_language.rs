//! A reply in another script or language than the user's.
//!
//! The script is the one of most letters. Among languages of the Latin script, a reply is only found different where its language and
//! the user's are both sure. What a message leaves open is told by all that the user has said. Not responsible for which
//! language was asked for: who asks for a translation gets a reply that counts as different.

use crate::types::Language;

/// Fewest letters that have a script.
const MIN_LETTERS: usize = 3;

/// Writing systems that are told apart. Chinese and Japanese share theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Hebrew,
    Arabic,
    Devanagari,
    Thai,
    Hangul,
    Cjk,
    Other,
}

impl Script {
    const ALL: [Self; 10] = [
        Self::Latin,
        Self::Greek,
        Self::Cyrillic,
        Self::Hebrew,
        Self::Arabic,
        Self::Devanagari,
        Self::Thai,
        Self::Hangul,
        Self::Cjk,
        Self::Other,
    ];

    const fn of(letter: char) -> Self {
        match letter {
            'A'..='Z' | 'a'..='z' | 'ª' | 'º' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Self::Latin,
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Self::Greek,
            '\u{400}'..='\u{52f}' => Self::Cyrillic,
            '\u{590}'..='\u{5ff}' => Self::Hebrew,
            '\u{600}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' => {
                Self::Arabic
            }
            '\u{900}'..='\u{97f}' => Self::Devanagari,
            '\u{e00}'..='\u{e7f}' => Self::Thai,
            '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => Self::Hangul,
            '\u{3040}'..='\u{30ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}' => Self::Cjk,
            _ => Self::Other,
        }
    }
}

/// The script of more than half of the letters; none of too few letters.
fn script_of(text: &str) -> Option<Script> {
    let letters: Vec<Script> = text.chars().filter(|c| c.is_alphabetic()).map(Script::of).collect();
    let count = |script: &Script| letters.iter().filter(|letter| *letter == script).count();
    let most = Script::ALL.into_iter().find(|script| 2 * count(script) > letters.len());
    most.filter(|_| letters.len() >= MIN_LETTERS)
}

/// Whether script or language of the reply is known and another than that of the user, who said `earlier` before.
pub(super) fn differs(reply: &str, user: &str, earlier: &[&str]) -> bool {
    let all = || [earlier, &[user]].concat().join("\n");
    let Some(script) = script_of(reply) else { return false };
    let Some(users_script) = script_of(user).or_else(|| script_of(&all())) else { return false };
    if script != users_script {
        return true;
    }
    let Some(language) = Language::of(reply).filter(|_| script == Script::Latin) else { return false };
    Language::of(user).or_else(|| Language::of(&all())).is_some_and(|users| users != language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_told_apart() {
        for (user, reply) in [
            ("What is my cat called?", "你的猫叫布丁。"),
            ("Как зовут мою кошку?", "Your cat is called Pudding."),
            ("私の猫の名前は?", "고양이 이름은 푸딩입니다."),
        ] {
            assert!(differs(reply, user, &[]), "{reply}");
        }
        for (user, reply) in [
            ("私の猫の名前は?", "猫名"),
            ("What is the Greek letter after alpha?", "It is β, beta."),
            ("ok", "你好吗"),
            ("What?", "42 👍"),
        ] {
            assert!(!differs(reply, user, &[]), "{reply}");
        }
        assert!(differs("你好吗", "ok", &["my cat is Pudding"]), "the language of all that was said");
    }

    #[test]
    fn languages_are_told_apart_where_both_are_sure() {
        let english = "What is the name of my cat?";
        let german = "Wie heißt die Katze, und was ist das für eine?";
        let french = "Je ne sais pas, mais le chat est dans la maison.";
        assert!(differs(french, english, &[]) && differs(english, german, &[]) && differs(german, french, &[]));
        assert!(differs(french, "cat?", &[english]), "the language of all that was said");
        for (user, reply) in [(english, "Pudding."), (english, "Your cat is called Pudding."), ("chat?", french)] {
            assert!(!differs(reply, user, &[]), "{reply}");
        }
    }

    fn of_three_letters(code: &str) -> &'static str {
        let codes = [
            ("en", "eng"),
            ("de", "deu"),
            ("fr", "fra"),
            ("es", "spa"),
            ("it", "ita"),
            ("pt", "por"),
            ("nl", "nld"),
            ("sv", "swe"),
            ("pl", "pol"),
        ];
        codes.iter().find(|(two, _)| *two == code).map_or("none", |(_, three)| three)
    }

    #[test]
    fn what_users_say_in_the_shipped_conversations_is_never_taken_for_another_language() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/conversations");
        let (mut named, mut all) = (0, 0);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let conversation = super::super::super::Conversation::load(&path).unwrap();
            let turns = conversation.sessions.iter().flat_map(|session| &session.turns);
            let mut said: Vec<&str> = turns.map(|turn| turn.user.as_str()).collect();
            let together = said.join("\n");
            said.push(&together);
            for text in &said {
                let found = Language::of(text).map(Language::code);
                assert!(found.is_none_or(|code| code == of_three_letters(&conversation.language)), "{text}");
            }
            all += 1;
            named += usize::from(Language::of(&together).is_some());
        }
        assert!(named * 10 >= all * 9, "{named} of {all} are named");
    }
}
