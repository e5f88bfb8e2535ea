//! What of a message lays down how the agent is to be: "From now on, be strict with me. I'm learning the oboe." Small models
//! that are asked what such a message states take it for one of the two, and half of it is lost; each by itself they take for
//! what it is. Pure.

use super::asking::{first_words, is_question};
use super::wishes::{own_name, unquoted};
use super::words::{is_greeting, quotations, sentences, speaks_of_user, speaks_to_somebody, words};

/// Words by which the agent is told how to be, in some languages.
#[rustfmt::skip]
const MANNER: [&str; 51] = [
    "act", "address", "answer", "avoid", "be", "behave", "keep", "pretend", "reply", "respond", "role", "speak", "stay", "stick", "stop", "talk",
    "treat", "use", "antworte", "benimm", "benutze", "duz", "duze", "rede", "sei", "siez", "sieze", "sprich", "verhalte", "verwende", "parle",
    "réponds", "sois", "tutoie", "utilise", "vouvoie", "háblame", "responde", "tutéame", "rispondi", "sii", "använd", "prata", "svara",
    "antwoord", "gebruik", "praat", "spreek", "bądź", "mów", "odpowiadaj",
];
/// Of those, the ways to be addressed: they hold from then on.
const ADDRESSING: [&str; 7] = ["duz", "duze", "siez", "sieze", "tutoie", "tutéame", "vouvoie"];
/// Words by which an order holds from then on, in those languages.
#[rustfmt::skip]
const FOREVER: [&str; 27] = [
    "always", "never", "immer", "künftig", "nie", "niemals", "nur", "désormais", "jamais", "toujours", "uniquement", "nunca",
    "siempre", "solo", "sólo", "sempre", "soltanto", "aldrig", "alltid", "bara", "alleen", "altijd", "nooit", "voortaan", "nigdy", "tylko",
    "zawsze",
];
/// Words by which it is, or by which something is asked for, or told in short.
const ASKING: [&str; 11] =
    ["call", "give", "make", "play", "schreib", "write", "nenn", "nenne", "appelle", "llámame", "chiamami"];
/// What may stand in front of them.
const BEFORE_ORDERS: [&str; 12] =
    ["also", "and", "but", "just", "now", "ok", "okay", "please", "so", "then", "bitte", "your"];
/// How sentences begin that hold from then on, and words that do so in front of an order.
const LASTING: [&str; 7] =
    ["from now on", "in future", "in the future", "henceforth", "every time", "ab jetzt", "de ahora en adelante"];
const ALWAYS: [&str; 4] = ["always", "never", "don't", "don’t"];
/// What is spoken of in one of those.
const ANSWERING: [&str; 8] = ["answers", "call", "replies", "short", "shorter", "write", "antworten", "respuestas"];
/// The word that says so is one of the first of them: "Avoid the coast road, it is always full" is no order for good.
const MOST_BEFORE_FOREVER: usize = 4;
/// How else it is said that something is to hold, whatever form the sentence has.
const FORBIDDING: [&str; 2] = ["do not", "stop "];
/// What else can be ordered behind those.
#[rustfmt::skip]
const MORE_MANNER: [&str; 14] = [
    "apologise", "apologize", "ask", "assume", "begin", "end", "flatter", "lie", "mention", "praise", "repeat", "say", "start", "tell",
];
/// The user as the one who does something, in the languages above.
#[rustfmt::skip]
pub(in crate::kernel) const SUBJECTS: [&str; 17] = [
    "i", "i'm", "i've", "i’m", "i’ve", "im", "ive", "we", "we're", "we’re", "we've", "we’ve", "ich", "wir", "je", "yo", "jag",
];
/// What the user may say of themselves in an order: "call me Ruhl", "keep in mind that ..".
#[rustfmt::skip]
const NAMING: [&str; 7] = ["call", "nenn", "nenne", "appelle", "llámame", "chiamami", "remember"];
const OWN: [&str; 5] = ["my name", "mein name", "mon nom", "mi nombre", "in mind"];
/// How sentences begin in which "be" is the user's: "be right back".
const GOING: [&str; 4] = ["be back", "be home", "be right", "be there"];
/// How else it is told, in lower case.
#[rustfmt::skip]
const TOLD: [&str; 11] = [
    "you're my", "you’re my", "you are my", "you are now", "you're now", "you’re now", "your name is", "your role", "your job", "du bist mein",
    "du sollst",
];
/// How it is told as what the user wants, in English, where anything may be wanted ..
const WANTING: [&str; 3] = ["want you to ", "like you to ", "need you to "];
/// .. and in other languages, ..
#[rustfmt::skip]
const WANTING_ELSEWHERE: [&str; 17] = [
    "möchte, dass du ", "möchte dass du ", "will, dass du ", "will dass du ", "quiero que ", "quiero q ", "gustaría que ", "veux que tu ",
    "voudrais que tu ", "aimerais que tu ", "voglio che tu ", "vorrei che tu ", "vill att du ", "wil dat je ", "chcę, żebyś ", "chcę żebyś ",
    "quero que ",
];
/// .. where one of these says that it is how the agent talks.
#[rustfmt::skip]
const WANTED_MANNER: [&str; 24] = [
    "antwortest", "bist", "redest", "sprichst", "contestes", "hables", "respondas", "seas", "parles", "répondes", "réponde", "sois", "parli",
    "risponda", "sia", "pratar", "svarar", "är", "antwoordt", "praat", "mówił", "mówiła", "fales", "responda",
];
/// Most words in front of that, or it is not all that the sentence says.
const MAX_BEFORE_WANTING: usize = 3;

/// Words by which something is not to be said ..
const DENYING: [&str; 10] =
    ["avoid ", "don't ", "don’t ", "never ", " not ", "stop ", " nie ", "jamais ", "nunca ", "aldrig "];
/// .. up to what is to be said instead ..
const CONTRASTING: [&str; 5] = [" but ", " instead", ", i ", " and i ", "; "];
/// .. and those of saying.
#[rustfmt::skip]
const SAYING: [&str; 17] = [
    "begin", "call", "open", "say", "saying", "start", "use", "using", "word", "words", "write", "phrase", "phrases", "sag", "sage", "dis", "digas",
];
/// Most words of what is not to be said.
const MAX_UNSAID_WORDS: usize = 6;

/// How a sentence says how the agent is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By the word with which it begins.
    Manner,
    /// By a word that may as well ask for something.
    Asking,
    /// By what it says of the agent.
    Told,
}

/// A piece of a message as it is to be looked at: what it tells and how the agent is to be apart from each other, where it has
/// both; else as it is.
pub(in crate::kernel) fn apart(piece: &str) -> Vec<String> {
    let (orders, told): (Vec<&str>, Vec<&str>) = sentences(piece).partition(|sentence| is_order(sentence));
    let joined = |sentences: &[&str]| sentences.concat().trim().to_owned();
    if orders.is_empty() || !told.iter().any(|sentence| speaks_of_user(sentence) && !is_question(sentence)) {
        return vec![piece.to_owned()];
    }
    vec![joined(&told), joined(&orders)]
}

/// Whether a message says how the agent is to be from now on.
pub(in crate::kernel) fn lays_down(text: &str) -> bool {
    let lower = text.to_lowercase();
    LASTING.iter().chain(&ALWAYS).chain(&FORBIDDING).any(|lasting| lower.contains(lasting))
}

/// Whether a message says how the agent is to be by the word with which a sentence begins: "Be blunt with me."
pub(in crate::kernel) fn lays_down_manner(message: &str) -> bool {
    sentences(message).any(|sentence| order(sentence) == Some(Order::Manner))
}

/// Whether a sentence begins as one that asks for something to be done.
pub(in crate::kernel) fn may_ask(sentence: &str) -> bool {
    order(sentence) == Some(Order::Asking)
}

/// How a message says the agent is to be from then on, in the user's own words: the first sentence that says so of the agent
/// alone.
pub(in crate::kernel) fn lasting_order(message: &str) -> Option<&str> {
    let lasts = |clause: &str| {
        let lower = clause.to_lowercase();
        let early = || words(&lower).take(MOST_BEFORE_FOREVER);
        let holds = LASTING.iter().any(|lasting| lower.contains(lasting))
            || early().any(|word| FOREVER.contains(&&*word) || ADDRESSING.contains(&&*word));
        order(clause) == Some(Order::Manner) && holds || wanted_elsewhere(&lower).is_some()
    };
    sentences(message).map(clause_of_order).find(|clause| speaks_of_agent_alone(clause) && lasts(clause))
}

/// A sentence up to the comma behind which it says something else: ".., I'm sad today".
fn clause_of_order(sentence: &str) -> &str {
    let sentence = sentence.trim();
    let leads =
        |before: &str| LASTING.iter().any(|lasting| before.eq_ignore_ascii_case(lasting)) || before.ends_with("möchte");
    match sentence.split_once(',') {
        Some((before, _)) if !leads(before) && words(before).count() > 1 => before,
        _ => sentence,
    }
}

/// What a message says beside how the agent is to be.
pub(in crate::kernel) fn beside_orders(message: &str) -> String {
    sentences(message).filter(|sentence| !is_order(sentence)).collect()
}

/// What a message says beside what the agent is called: who asks for somebody's name must not be told that one.
pub(in crate::kernel) fn beside_own_name(message: &str) -> String {
    match own_name(message) {
        Some(_) => sentences(message).filter(|sentence| own_name(sentence).is_none()).collect(),
        None => message.to_owned(),
    }
}

/// Whether a message is about the agent alone: it says how the agent is to be and nothing of the user.
pub(in crate::kernel) fn speaks_of_agent_alone(message: &str) -> bool {
    let is_of_agent = |sentence: &str| {
        let lower = sentence.to_lowercase();
        let of_user = |word: String| SUBJECTS.contains(&word.as_str()) || NAMING.contains(&word.as_str());
        let manner = wanted(&lower).unwrap_or(&lower);
        matches!(order(sentence), Some(Order::Manner | Order::Told))
            && !words(manner).any(of_user)
            && !OWN.iter().any(|own| lower.contains(own))
    };
    let mut said = sentences(message).filter(|sentence| !is_greeting(sentence)).peekable();
    said.peek().is_some() && said.all(is_of_agent)
}

/// How the agent is to be, where a sentence says that the user wants it so and nothing else.
fn wanted(lower: &str) -> Option<&str> {
    let is_manner = |manner: &&str| first_words(manner).next().is_some_and(|first| MANNER.contains(&&*first));
    let in_english = WANTING.iter().find_map(|wanting| behind(lower, wanting)).filter(is_manner);
    in_english.or_else(|| wanted_elsewhere(lower)).filter(|manner| !manner.contains([',', ':', ';']))
}

fn wanted_elsewhere(lower: &str) -> Option<&str> {
    let is_manner = |manner: &&str| words(manner).any(|word| WANTED_MANNER.contains(&&*word));
    WANTING_ELSEWHERE.iter().find_map(|wanting| behind(lower, wanting)).filter(is_manner)
}

/// What stands behind `wanting`, where few words stand before it.
fn behind<'t>(lower: &'t str, wanting: &str) -> Option<&'t str> {
    let (before, manner) = lower.split_once(wanting)?;
    (words(before).count() <= MAX_BEFORE_WANTING).then_some(manner)
}

/// What the agent is not to say, as the lines of core memory tell that are its own: "I never say 'Certainly'." In lower case.
pub(in crate::kernel) fn unsaid(core_memory: &str) -> Vec<String> {
    let own = core_memory.lines().map(|line| unquoted(line.trim())).filter(|line| !line.contains("The user"));
    let denied = own.filter_map(|line| {
        let lower = line.to_lowercase();
        let at = DENYING.iter().filter_map(|deny| lower.find(*deny)).min()?;
        let behind = lower.get(at..)?;
        let end = CONTRASTING.iter().filter_map(|other| behind.find(*other)).min().unwrap_or(behind.len());
        behind.get(..end).filter(|denied| words(denied).any(|word| SAYING.contains(&&*word))).map(str::to_owned)
    });
    let phrases = denied.flat_map(|denied| quotations(&denied));
    let bare = phrases.map(|phrase| phrase.trim_matches(|c: char| !c.is_alphanumeric()).to_owned());
    bare.filter(|phrase| (1..=MAX_UNSAID_WORDS).contains(&words(phrase).count())).collect()
}

/// Whether an order that begins with how long it holds is one for the agent: the shop closes at six from now on, too.
fn speaks_to_agent(lower: &str) -> bool {
    let is_manner = |word: &str| MANNER.contains(&word) || MORE_MANNER.contains(&word) || ANSWERING.contains(&word);
    speaks_to_somebody(lower) || words(lower).any(|word| is_manner(&word))
}

fn is_order(sentence: &str) -> bool {
    order(sentence).is_some()
}

/// How a sentence says how the agent is to be, if it does.
fn order(sentence: &str) -> Option<Order> {
    let lower = sentence.to_lowercase();
    if is_question(sentence) || GOING.iter().any(|going| lower.trim_start().starts_with(going)) {
        return None;
    }
    let mut said = first_words(&lower).skip_while(|word| BEFORE_ORDERS.contains(&word.as_str()));
    let (first, second) = (said.next().unwrap_or_default(), said.next().unwrap_or_default());
    let is_manner = |word: &str| MANNER.contains(&word);
    let holds = ALWAYS.contains(&&*first) && (is_manner(&second) || MORE_MANNER.contains(&&*second))
        || LASTING.iter().any(|lasting| lower.trim_start().starts_with(lasting)) && speaks_to_agent(&lower);
    if is_manner(&first) || holds {
        Some(Order::Manner)
    } else if ASKING.contains(&&*first) {
        Some(Order::Asking)
    } else {
        let is_told = own_name(sentence).is_some()
            || TOLD.iter().chain(&WANTING).chain(&WANTING_ELSEWHERE).any(|told| lower.contains(told));
        is_told.then_some(Order::Told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_and_how_the_agent_is_to_be_are_looked_at_apart() {
        for (message, told, orders) in [
            (
                "I'm learning the oboe. Your role: be blunt with me. My exam is in May!",
                "I'm learning the oboe. My exam is in May!",
                "Your role: be blunt with me.",
            ),
            ("Please don't use emojis. I read on an old phone", "I read on an old phone", "Please don't use emojis."),
            ("Sei streng mit mir. Ich lerne Cello.", "Ich lerne Cello.", "Sei streng mit mir."),
            (
                "I want you to call yourself Dot.\nMy cat is called Comma.",
                "My cat is called Comma.",
                "I want you to call yourself Dot.",
            ),
        ] {
            assert_eq!(apart(message), [told, orders], "{message}");
        }
    }

    #[test]
    fn an_order_that_holds_from_then_on_is_known_in_other_languages() {
        for lasting in [
            "Sprich bitte nur Deutsch mit mir.",
            "Duz mich bitte!",
            "Svara alltid på svenska",
            "Réponds-moi toujours en une phrase.",
            "From now on, short answers.",
            "Quiero q hables como una abuela.",
            "Ich möchte, dass du wie ein Pirat redest.",
        ] {
            assert_eq!(lasting_order(&format!("Hej! {lasting}")), Some(lasting));
        }
        for other in
            ["Sei so gut!", "Answer only this one.", "I always talk.", "Call me Ruhl from now on.", "Never mind.", ""]
        {
            assert_eq!(lasting_order(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_to_hold_from_now_on_is_known() {
        for lasting in ["Give shorter answers from now on.", "Do not use emojis.", "Never call me sir."] {
            assert!(lays_down(lasting), "{lasting}");
        }
        assert!(!lays_down("Give me a recipe."));
    }

    #[test]
    fn what_the_agent_is_not_to_say_is_known() {
        for (line, phrases) in [
            ("I never say 'Certainly' or 'Great question'.", &["certainly", "great question"][..]),
            ("I do not say 'hello', I say 'ahoy'.", &["hello"]),
            ("I don't use “dude”.", &["dude"]),
            ("I do as the user has asked: \"Never begin with 'Certainly!'.\"", &["certainly"]),
            ("I say \"Ahoy\".", &[]),
            ("The user does not say 'ta'.", &[]),
        ] {
            assert_eq!(unsaid(&format!("My name is Fern.\n{line}\n")), phrases, "{line}");
        }
    }

    #[test]
    fn what_the_agent_is_called_is_left_out_and_all_else_stays() {
        let named = "My parrot is called Pico. From now on, call yourself Juniper. It is green.";
        assert_eq!(beside_own_name(named), "My parrot is called Pico. It is green.");
        for whole in ["My sister is called Juniper.", "Call me Juniper.", "", "住在哪里？ 我住这里"] {
            assert_eq!(beside_own_name(whole), whole);
        }
        assert_eq!(beside_own_name("Your name is Fern."), "");
    }

    #[test]
    fn what_is_said_of_the_agent_alone_is_known() {
        for alone in [
            "Be blunt with me, no praise.",
            "You are my study coach.",
            "Talk like a pirate! Never use emojis.",
            "Du bist mein Coach.",
            "Your name is Fern.",
            "hola! be kind to me.",
            "I'd like you to be kind.",
        ] {
            assert!(speaks_of_agent_alone(alone), "{alone}");
        }
        for other in [
            "Call me Ruhl.",
            "You are my coach, my name is Ruhl.",
            "I want you to know my aunt.",
            "I'm ill and tired and want you to be kind.",
            "I need you to be honest: my boss fired me.",
            "Be kind. I'm ill.",
            "Is it late?",
            "My cat is old.",
            "Hi!",
            "",
        ] {
            assert!(!speaks_of_agent_alone(other), "{other}");
        }
    }

    #[test]
    fn a_message_of_one_kind_stays_whole() {
        for message in [
            "I'm learning the oboe. My exam is in May.",
            "Be blunt with me. From now on, use short words.",
            "I never eat meat. My sister does.",
            "My sister is called Ana. She never eats meat.",
            "We live in Graz. They don't have a car.",
            "My uncle cooks. Never been to his place.",
            "My bus is here. Be right back!",
            "Use short words. What is my name?",
            "You know, she's twelve. My cat is old.",
            "My shop is at www.kaffee.be and I love it.",
            "",
        ] {
            assert_eq!(apart(message), [message], "{message}");
        }
    }
}
