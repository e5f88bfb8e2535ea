//! JSON strings of bounded length that end where a reader would end them.

use super::{RuleSet, SPACES};
use crate::grammar::Error;

/// Most characters that a word may go on for once its text is too long.
const WORD_CHARS: usize = 40;
/// Most steps in which a text that is too long looks for the end of its sentence: one or two sentences.
const ZONE_STEPS: usize = 120;
/// A step is one character, or a sentence mark with the character that shows that the sentence goes on ("3.5").
const STEP_CHARS: usize = 2;
/// Sentence marks and closing quotes at the very end, at most ("...", "?!", `."`).
const CLOSING_CHARS: usize = 5;
/// Texts that may not be longer than this have no room to look for an end.
const SMALLEST_ZONED_CHARS: usize = 48;

/// What ends a sentence.
const ENDERS: &str = ".!?。！？";
/// Never written raw: quote, backslash and control characters.
const RAW: &str = r#""\\\x00-\x1F\x7F-\x9F"#;

/// Rules for a JSON string, quotes included, of `min_chars` to `max_chars` characters (an escape is one character),
/// that neither begins nor ends with white space. Every string has one spelling only, the one that `serde_json` prints:
/// escapes are for the quote, the backslash and the control characters that have a short one, the others cannot be
/// written. A call that is rendered again is then the call as it was generated.
///
/// A text that comes near `max_chars` must close at the first end of a sentence; where none comes, after a word; a word
/// is cut only beyond 40 characters. This needs room: below 48 characters, or where `min_chars` is too near to
/// `max_chars`, the text is simply cut.
///
/// # Errors
/// `max_chars` is below `min_chars`.
pub fn json_string_rule(rules: &mut RuleSet, min_chars: usize, max_chars: usize) -> Result<String, Error> {
    if max_chars < min_chars {
        return Err(Error::Policy {
            what: "a text".into(),
            problem: format!("at least {min_chars} and at most {max_chars} characters are asked for"),
        });
    }
    let name = format!("json-string-{min_chars}-{max_chars}");
    if rules.has(&name) {
        return Ok(name);
    }
    define_characters(rules);
    let zone = (max_chars / 6).min(ZONE_STEPS);
    let word = (max_chars / 8).min(WORD_CHARS);
    let body = max_chars.saturating_sub(STEP_CHARS * zone + CLOSING_CHARS.max(word + 1));
    let mut forms = Vec::new();
    if max_chars >= SMALLEST_ZONED_CHARS && min_chars <= body {
        forms.extend(short(min_chars, body));
        let tail = format!("json-tail-{zone}-{word}");
        let before = zone - 1;
        rules.define(
            &tail,
            &format!(
                "json-step{{0,{before}}} json-solid-step | json-step{{0,{zone}}} json-closing | \
                 json-step{{{zone}}} json-plain{{1,{word}}} json-ender?"
            ),
        );
        forms.push(format!("json-solid json-char{{{}}} {tail}", body - 1));
    } else {
        forms.extend(short(min_chars, max_chars));
    }
    rules.define(&name, &format!("\"\\\"\" ({}) \"\\\"\"", forms.join(" | ")));
    Ok(name)
}

/// Forms of a text of `min` to `max` characters without white space at its ends.
fn short(min: usize, max: usize) -> Vec<String> {
    let mut forms = Vec::new();
    if min == 0 {
        forms.push("\"\"".to_owned());
    }
    if min <= 1 && max >= 1 {
        forms.push("json-solid".to_owned());
    }
    if max >= 2 {
        forms.push(format!("json-solid json-char{{{},{}}} json-solid", min.saturating_sub(2), max - 2));
    }
    forms
}

fn define_characters(rules: &mut RuleSet) {
    let backslash = r#""\\""#;
    let kept = format!(r#"{backslash} ["\\]"#);
    rules.define("json-char", &format!(r#"[^{RAW}] | {backslash} ["\\bfnrt]"#));
    rules.define("json-space", &format!("[ {SPACES}] | {backslash} [bfnrt]"));
    rules.define("json-solid", &format!("[^{RAW} {SPACES}] | {kept}"));
    rules.define("json-plain", &format!("[^{RAW} {SPACES}{ENDERS}] | {kept}"));
    rules.define("json-ender", &format!("[{ENDERS}]"));
    rules.define("json-solid-step", "json-plain | json-ender json-plain");
    rules.define("json-step", "json-solid-step | json-space");
    rules.define("json-closing", r#"json-ender{1,3} ([)'»”’」』] | "\\\""){0,2}"#);
}
