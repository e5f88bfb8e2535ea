//! Function calls on a fixed set of messages, written greedily: with and without forcing, and by either engine.
//!
//! Forced text is taken in the model's own tokens. Sampled under the same grammar, a model may spell it in others (`{` and `"`
//! for `{"`), and goes on otherwise behind them: such differences are told apart from those of rounding.

use std::sync::Arc;

use mneme::grammar::{Compiler, Limits};
use mneme::inference::{GenerateOptions, LoadOptions, Sampler, SamplerOptions, Session, generate, tokenize_template};
use mneme::types::Cancel;

use crate::harness::engines::Load;
use crate::harness::weights::model_path;

/// What users say.
const MESSAGES: [&str; 40] = [
    "Please remember that my sister is called Wilma.",
    "My bicycle is green and has a bell from Utrecht.",
    "Look up what I told you about the garden fence.",
    "I have moved: I live in Aarhus now.",
    "Put this into the archive: the boiler is to be serviced every March.",
    "What was the name of the café in Ghent?",
    "I do not eat mushrooms.",
    "My doctor's appointment is on 3 February at 9:30.",
    "Note that the wifi password of the office is on the fridge.",
    "Which books did I say I wanted to read?",
    "I started to learn the cello last week.",
    "The neighbours' cat is called Professor.",
    "Search for the recipe with lentils.",
    "From now on I work from home on Fridays.",
    "My daughter Ines turns seven in May.",
    "Archive this: invoice 4711 was paid on 12 October.",
    "When did we talk about the ferry?",
    "I am left-handed.",
    "Call me Jo, please, not Joanna.",
    "The red suitcase belongs to my mother.",
    "Find out what I said about the roof.",
    "I'm training for a half marathon in Lisbon.",
    "Store it: the spare key hangs behind the clock.",
    "What did I promise to Theo?",
    "I have two brothers, Karim and Adil.",
    "Our anniversary is the 21st of June.",
    "Look for messages about the piano tuner.",
    "I no longer drive; I sold the car.",
    "Keep this for later: the code of the gate is blue-blue-green.",
    "What was wrong with the printer?",
    "I prefer tea without sugar.",
    "My teacher was called Mrs Okonkwo.",
    "Search what I told you on the train.",
    "I'm allergic to bee stings.",
    "Archive: the bank closes at four on Wednesdays.",
    "Which colour did we choose for the kitchen?",
    "My favourite mountain is the Watzmann.",
    "Ich heiße Jürgen und komme aus Köln.",
    "J'habite à Besançon depuis l'été.",
    "Remember: 12 € for the \"blue\" tickets, 15 € for the others.",
];

/// A call of one of four functions with one text.
const GRAMMAR: &str = r#"
root ::= "{\"name\": \"" name "\", \"arguments\": {\"" key "\": \"" text "\"}}"
name ::= "core_memory_append" | "archival_memory_insert" | "archival_memory_search" | "conversation_search"
key ::= "content" | "query"
text ::= [^"\\\x00-\x1f]{1,80}
"#;

/// A call as it was written: its text, and the bytes of its tokens.
pub type Call = (String, Vec<Vec<u8>>);

/// What is written for the first `count` messages.
pub fn written(load: Load, model: &str, count: usize, jump_forward: bool) -> Vec<Call> {
    let options = LoadOptions { context_window: Some(512), ..LoadOptions::default() };
    let engine = load(&model_path(model), &options, &mut |_| true).unwrap();
    let mut session = Session::new(engine).unwrap();
    let compiler = Compiler::new(Arc::clone(session.vocab()), Limits::default());
    let grammar = compiler.compile(GRAMMAR).unwrap();
    let cancel = Cancel::new();
    MESSAGES[..count]
        .iter()
        .map(|message| {
            let prompt = format!(
                "<|im_start|>system\nAnswer with one function call: core_memory_append(content), \
                 archival_memory_insert(content), archival_memory_search(query) or \
                 conversation_search(query).<|im_end|>\n<|im_start|>user\n{message}<|im_end|>\n<|im_start|>assistant\n"
            );
            let prompt = tokenize_template(session.engine(), &prompt).unwrap();
            session.prepare(&prompt, &cancel).unwrap();
            let options = GenerateOptions { max_tokens: 64, jump_forward, drafts: false, ..GenerateOptions::default() };
            let mut sampler = Sampler::new(SamplerOptions::default());
            let mut matcher = grammar.matcher().unwrap();
            let generation =
                generate(&mut session, &mut matcher, &mut sampler, &options, &cancel, &mut |_, _| {}).unwrap();
            assert_eq!(generation.stats.tokens_forced > 0, jump_forward, "{message}");
            let tokens: Vec<Vec<u8>> =
                generation.tokens.iter().map(|token| session.vocab().bytes(*token).to_vec()).collect();
            // A text that is cut off may end inside a character.
            (String::from_utf8_lossy(&tokens.concat()).into_owned(), tokens)
        })
        .collect()
}

/// How alike calls are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Alike {
    /// The same text.
    pub same: usize,
    /// Another text, behind the same text in other tokens.
    pub in_other_tokens: usize,
    /// Another text, behind the same tokens.
    pub otherwise: usize,
}

/// Compares calls; those that differ are told.
pub fn compare(one: &[Call], other: &[Call]) -> Alike {
    let mut alike = Alike::default();
    for ((one, one_tokens), (other, other_tokens)) in one.iter().zip(other) {
        if one == other {
            alike.same += 1;
            continue;
        }
        let tokens = one_tokens.iter().zip(other_tokens).find(|(one, other)| one != other);
        let is_spelling = tokens.is_some_and(|(one, other)| one.starts_with(other) || other.starts_with(one));
        eprintln!("{}: {one}\n{other}\n", if is_spelling { "in other tokens" } else { "otherwise" });
        if is_spelling {
            alike.in_other_tokens += 1;
        } else {
            alike.otherwise += 1;
        }
    }
    alike
}
