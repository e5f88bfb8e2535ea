//! The grammars that engines are compared on: all that are shipped, and some that strain one thing each.

use std::fmt::Write as _;
use std::path::Path;

use mneme::inference::{TokenKind, Vocab};
use mneme::types::TokenId;

/// A grammar under its name.
pub struct Sample {
    pub name: String,
    pub source: String,
}

/// All grammars, for a vocabulary: control tokens that it lacks are replaced by one that it has.
pub fn samples(vocab: &Vocab) -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("grammars");
    let mut samples: Vec<Sample> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gbnf"))
        .map(|path| Sample {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            source: with_known_tags(vocab, std::fs::read_to_string(&path).unwrap()),
        })
        .collect();
    samples.sort_by(|left, right| left.name.cmp(&right.name));
    assert_eq!(samples.len(), 10, "a shipped grammar is new: is it compared?");
    samples.extend(own(vocab));
    samples
}

fn own(vocab: &Vocab) -> Vec<Sample> {
    let control = any_control(vocab).0;
    let words = words(200).iter().fold(String::new(), |mut out, word| {
        let _ = write!(out, "{}\"{word}\"", if out.is_empty() { "" } else { " | " });
        out
    });
    [
        ("any-text", "root ::= .{1,300}".to_owned()),
        ("scripts", "root ::= ([ぁ-ゟ] | [ァ-ヿ] | [、-〿] | [一-龯] | [Ѐ-ӿ] | [😀-🙏])+ \"\\n\"".to_owned()),
        ("excluded", "root ::= [^\\u0085\\u2028\\u2029\\U0001F600\"]+ \"\\\"\"".to_owned()),
        ("brackets", "root ::= \"(\" root* \")\" | \"[\" root \"]\" | \"{\" root? \"}\" | \"é\" | [a-z0-9]+".to_owned()),
        ("words", format!("root ::= word (\", \" word)* \".\"\nword ::= {words}")),
        ("counts", "root ::= ([a-z]{2,5} [0-9]{3} (\"-\" | \"é\"){0,2}){1,40}".to_owned()),
        // Where a word ends is open until its last letter.
        ("overlap", "root ::= ([a-z]+ \"end\" (\";\" | \"ing;\"))+".to_owned()),
        ("optional", format!("root ::= {}\"!\"", "[a-c]? ".repeat(8))),
        // Not behind characters: there llama.cpp takes the rest of a token for another token.
        ("other-tokens", format!("root ::= !<[{control}]>{{1,40}} <[{control}]> [ab]+")),
        ("tokens", format!("root ::= (<[{control}]> [^b]{{0,3}} | \"b\" (\"\" | <[{control}]>))+")),
        (
            "markup",
            "root ::= element\nelement ::= \"<\" name attribute* (\"/>\" | \">\" (text | element)* \"</\" name \">\")\n\
             attribute ::= \" \" name \"=\\\"\" [^\"<&]* \"\\\"\"\nname ::= [a-z] [a-z0-9-]{0,20}\n\
             text ::= [^<&\\x00-\\x08]"
                .to_owned(),
        ),
    ]
    .into_iter()
    .map(|(name, source)| Sample { name: name.to_owned(), source })
    .collect()
}

/// The grammars in which a token and its bytes one by one mean the same.
pub fn names_no_token(sample: &Sample) -> bool {
    !sample.source.contains("<[")
}

fn any_control(vocab: &Vocab) -> TokenId {
    (0..u32::try_from(vocab.len()).unwrap())
        .map(TokenId)
        .find(|token| vocab.kind(*token) == TokenKind::Control && !vocab.is_end_of_generation(*token))
        .unwrap()
}

fn with_known_tags(vocab: &Vocab, source: String) -> String {
    let tag = any_control(vocab);
    ["<tool_call>", "</tool_call>"].iter().fold(source, |source, name| {
        let id = vocab.control(name).unwrap_or(tag);
        source.replace(name, &format!("<[{}]>", id.0))
    })
}

/// `count` words that share beginnings.
fn words(count: usize) -> Vec<String> {
    let syllables = ["ka", "ro", "mi", "ten", "sal", "u", "ver"];
    (0..count)
        .map(|mut number| {
            let mut word = String::from("n");
            for _ in 0..3 {
                word.push_str(syllables[number % syllables.len()]);
                number /= syllables.len();
            }
            word
        })
        .collect()
}
