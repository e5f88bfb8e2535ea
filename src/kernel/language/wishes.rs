//! How the user wants the agent to be, as a line of the agent's own block: in its own words, about itself. Pure.

use super::asking::is_question;
use super::words::{quotations, sentences};

/// How what the agent is to be begins.
const OF_AGENT: [&str; 9] = ["I ", "I'", "I’", "My ", "Ich ", "Mein ", "Je ", "J'", "Yo "];

/// How small models begin it when they go on in the user's words, and how the agent itself would say it. The user's side of it
/// is turned round too.
const TURNED: [(&str, &str); 14] = [
    ("I'd like to be your ", "I am the user's "),
    ("I would like to be your ", "I am the user's "),
    ("I want to be your ", "I am the user's "),
    ("You are ", "I am "),
    ("You're ", "I am "),
    ("You’re ", "I am "),
    ("You ", "I "),
    ("Your ", "My "),
    ("Be ", "I am "),
    ("Always ", "I always "),
    ("Never ", "I never "),
    ("Don't ", "I do not "),
    ("Don’t ", "I do not "),
    ("Do not ", "I do not "),
];

/// Begins a line that has a wish in the user's own words.
pub(in crate::kernel) const QUOTED: &str = "I do as the user has asked: ";

/// How the agent is given a name, in lower case.
#[rustfmt::skip]
const NAMED: [&str; 12] = [
    "your name is ", "your name's ", "your name will be ", "your new name is ", "call yourself ", "you are called ", "you're called ",
    "dein name ist ", "du heißt ", "du heter ", "tu t'appelles ", "te llamas ",
];
/// What may stand in front of that, beside signs.
const BEFORE_NAMED: [&str; 10] = ["", "and", "but", "so", "now", "on", "please", "then", "to", "und"];
/// What ends in a full stop and is half a name.
pub(super) const TITLES: [&str; 9] = ["Dr", "Lt", "Miss", "Mr", "Mrs", "Ms", "Prof", "Sir", "St"];
/// How it becomes somebody, where "now" stands behind the name and a name is spoken of.
const BECOMING: [&str; 3] = ["you're ", "you’re ", "you are "];
const NOW: [&str; 2] = ["now", "from"];
/// Most words of a name.
const MAX_NAME_WORDS: usize = 3;

/// Words of the user about themselves, as the agent says them ..
const USERS: [(&str, &str); 3] = [("me", "the user"), ("my", "the user's"), ("myself", "the user")];
/// .. and those by which the agent speaks to them.
const SPOKEN_TO: [(&str, &str); 3] = [("you", "the user"), ("your", "the user's"), ("yourself", "the user")];

/// A wish as the agent's own words; none where it is not one: "Me again :)".
pub(in crate::kernel) fn own_words(wish: &str) -> Option<String> {
    let wish = wish.trim();
    let turned = TURNED.iter().find_map(|(said, own)| Some((said, own, wish.strip_prefix(said)?)));
    match turned {
        Some((said, own, rest)) if said.starts_with('I') => Some(own.to_string() + &about_user(rest, &SPOKEN_TO)),
        Some((_, own, rest)) => Some(own.to_string() + &about_user(rest, &USERS)),
        None => OF_AGENT.iter().any(|begin| wish.starts_with(begin)).then(|| about_user(wish, &SPOKEN_TO)),
    }
}

/// A text with its words about the user as those of somebody else, but for what it quotes and for "you're".
fn about_user(text: &str, users: &[(&str, &str)]) -> String {
    if !quotations(text).is_empty() {
        return text.to_owned();
    }
    let turned = text.split_inclusive(|c: char| !c.is_alphanumeric()).map(|word| {
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        let is_whole = !word.ends_with(['\'', '’']);
        let user = users.iter().find(|(said, _)| is_whole && *said == bare);
        user.map_or_else(|| word.to_owned(), |(_, user)| word.replacen(bare, user, 1))
    });
    turned.collect()
}

/// A line of the agent's own block that tells a wish in the user's own words.
pub(in crate::kernel) fn quoted(wish: &str) -> String {
    format!("{QUOTED}\"{}\"", wish.replace('"', "'"))
}

/// The wish in such a line; another line as it is.
pub(in crate::kernel) fn unquoted(line: &str) -> &str {
    line.strip_prefix(QUOTED).map_or(line, |wish| wish.trim_matches('"'))
}

/// The line of the agent's own block that tells the name which a message gives the agent, if it gives one.
pub(in crate::kernel) fn own_name(message: &str) -> Option<String> {
    let speaks_of_name = message.to_lowercase().contains("name");
    let named = |sentence: &str| {
        let lower = sentence.to_lowercase();
        // A place in the one is no place in the other where letters change their length with their case.
        let lower = if lower.len() == sentence.len() { lower } else { String::new() };
        let begins_clause = |at: usize| {
            let before = lower.get(..at).unwrap_or_default().trim_end();
            let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
            before.ends_with([',', ';', ':']) || BEFORE_NAMED.contains(&word)
        };
        let behind = |begins: &[&str]| {
            let place = |begin: &&str| lower.find(begin).filter(|at| begins_clause(*at)).map(|at| at + begin.len());
            begins.iter().find_map(place)
        };
        let name = |at: usize| name_at_start(sentence.get(at..)?);
        let given = behind(&NAMED).and_then(name).map(|(name, _)| name);
        let is_now = |(_, next): &(String, &str)| speaks_of_name && NOW.contains(next);
        let become_one = || behind(&BECOMING).and_then(name).filter(is_now).map(|(name, _)| name);
        let is_whole = |name: &String| name.split(' ').next_back().is_none_or(|last| !TITLES.contains(&last));
        given.or_else(become_one).filter(is_whole).map(|name| format!("My name is {name}."))
    };
    sentences(message).filter(|sentence| !is_question(sentence)).find_map(named)
}

/// The name with which a text begins, and the word behind it.
fn name_at_start(text: &str) -> Option<(String, &str)> {
    let bare = |word: &'_ str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let mut words = text.split_whitespace().peekable();
    let mut name = Vec::new();
    while let Some(word) =
        words.peek().filter(|word| name.len() < MAX_NAME_WORDS && bare(word).starts_with(char::is_uppercase))
    {
        name.push(bare(word));
        let goes_on = word.ends_with(char::is_alphanumeric);
        words.next();
        if !goes_on {
            break;
        }
    }
    let next = words.next().map_or("", |word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    (!name.is_empty()).then(|| (name.join(" "), next))
}

#[cfg(test)]
mod tests {
    use super::{own_name, own_words};

    #[test]
    fn the_name_that_the_agent_is_given_is_told_as_its_own() {
        for (message, own) in [
            ("You're my coach and your name is Coach Pepper, all right?", None),
            ("You're my coach and your name is Coach Pepper, all right.", Some("My name is Coach Pepper.")),
            ("I want you to call yourself \"Dot\". My cat is ill.", Some("My name is Dot.")),
            ("Du heißt ab jetzt Fern.", None),
            ("From now on your name is Fern And nothing else", Some("My name is Fern And.")),
            ("You need a name. You're Waffles now.", Some("My name is Waffles.")),
            ("You are Irish, aren't you.", None),
            ("I'll call you Monday.", None),
            ("I thought your name is Siri.", None),
            ("In the book he says: 'your name is Legion'.", None),
            ("Your name is Dr. Watson.", None),
            ("\u{130}yi, your name is Abba.", None),
            ("From now on your name is Fern.", Some("My name is Fern.")),
            ("Your name is not important.", None),
            ("My name is Ruhl.", None),
        ] {
            assert_eq!(own_name(message).as_deref(), own, "{message}");
        }
    }

    #[test]
    fn what_the_user_wants_of_the_agent_is_said_by_the_agent() {
        for (wish, own) in [
            ("I talk like a pirate.", "I talk like a pirate."),
            ("My name is Fern.", "My name is Fern."),
            ("I'd like to be your tutor.", "I am the user's tutor."),
            ("I talk to you like a pirate.", "I talk to the user like a pirate."),
            ("I never say 'thank you'.", "I never say 'thank you'."),
            ("I say when you're wrong.", "I say when you're wrong."),
            ("Be strict with me about practising.", "I am strict with the user about practising."),
            ("You're my coach, be kind to me.", "I am the user's coach, be kind to the user."),
            ("Your name is Fern.", "My name is Fern."),
            ("Never use emojis.", "I never use emojis."),
            ("Don’t flatter me", "I do not flatter the user"),
        ] {
            assert_eq!(own_words(wish).as_deref(), Some(own));
        }
        for none in ["Me again :)", "me", "", "Thanks.", "Bea"] {
            assert_eq!(own_words(none), None, "{none}");
        }
    }
}
