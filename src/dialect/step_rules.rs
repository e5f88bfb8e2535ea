//! The frame of a step's grammar, alike in all dialects: which actions there are and what they may hold. How a call is
//! spelled around its arguments is the dialect's own.

use std::sync::{Mutex, PoisonError};

use crate::grammar;
use crate::grammar::policy::{
    LastMember, RuleSet, Separators, TextGuard, arguments_rules, literal, schema_rules, text_rule,
};
use crate::grammar::schema::Whitespace;
use crate::types::{AllowedCall, CallOffer, FunctionDefinition, StepPolicy, TextRule};

use super::Error;

/// How the tags begin by which models of several families open calls: `<tool_call>`, `<tools/>`, `<function=`.
const CALL_TAGS: [&str; 2] = ["<tool", "<function"];

/// What no line of the agent's own text begins with either, behind brackets or not: the times that stand in front of messages.
const NO_BEGINNINGS: &[&str] =
    &[CALL_TAGS[0], CALL_TAGS[1], "Mon 202", "Tue 202", "Wed 202", "Thu 202", "Fri 202", "Sat 202", "Sun 202"];

/// Longest run of white space in calls that do not keep to their template, in characters: a line end and an indent of
/// seven levels.
const BLANK_CHARS: usize = 32;

/// The rules of text to the user, kept from step to step: what they follow from hardly ever changes within a run.
///
/// Cost: writing them takes 0.6 to 0.9 ms with 8 function names, copying them 0.03 ms; the rest of a step's grammar is
/// written in 0.05 ms (release build, 2 cores, 2026-11).
#[derive(Debug, Default)]
pub(super) struct TextRules(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    max_chars: usize,
    function_names: Vec<String>,
    rules: RuleSet,
}

impl TextRules {
    fn get(&self, max_chars: usize, guard: TextGuard<'_>) -> RuleSet {
        // What is kept is replaced as a whole: a panic elsewhere cannot leave half of it.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(kept) if kept.max_chars == max_chars && kept.function_names == guard.function_names => {
                kept.rules.clone()
            }
            _ => {
                let mut rules = RuleSet::new();
                text_rule(&mut rules, max_chars, guard);
                let function_names = guard.function_names.to_vec();
                *kept = Some(Kept { max_chars, function_names, rules: rules.clone() });
                rules
            }
        }
    }
}

/// The grammar of one step in the making.
#[derive(Debug, Default)]
pub(super) struct StepRules {
    pub(super) rules: RuleSet,
    roots: Vec<&'static str>,
}

impl StepRules {
    /// Begins with text to the user as far as `policy` allows it, and the empty reply where there is none. `call_key`
    /// as in [`TextGuard`], always the same with the same `text`.
    pub(super) fn with_text(policy: &StepPolicy, text: &TextRules, call_key: Option<&str>) -> Self {
        let mut step = Self::default();
        if let TextRule::Allowed { max_chars: max_chars @ 1.. } = policy.text {
            let guard = TextGuard {
                function_names: &policy.function_names,
                call_tags: NO_BEGINNINGS,
                call_key,
                guards_every_line: false,
            };
            step.rules = text.get(max_chars, guard);
            step.roots.push("text");
        }
        step.silence(policy);
        step
    }

    /// Begins with text to the user where functions are not the agent's own. No line of it begins like an object with
    /// `call_key`: whatever a model would call is a call of one of the functions.
    pub(super) fn with_text_beside(offer: &CallOffer, call_key: &str) -> Self {
        let mut step = Self::default();
        let function_names: Vec<String> = offer.functions.iter().map(|function| function.name.clone()).collect();
        let guard = TextGuard {
            function_names: &function_names,
            call_tags: &CALL_TAGS,
            call_key: Some(call_key),
            guards_every_line: true,
        };
        text_rule(&mut step.rules, offer.max_text_chars, guard);
        step.roots.push("text");
        step
    }

    /// As [`StepRules::calls`], for functions that are not the agent's own: their arguments are held to their schemas.
    /// `between` is GBNF.
    ///
    /// # Errors
    /// A schema has no grammar.
    pub(super) fn defined_calls(
        &mut self,
        functions: &[FunctionDefinition],
        between: &str,
        whitespace: Whitespace,
    ) -> Result<Option<String>, Error> {
        let mut written = Vec::with_capacity(functions.len());
        let kind = if whitespace == Whitespace::Flexible { "spelled" } else { "arguments" };
        for (at, function) in functions.iter().enumerate() {
            let rule = schema_rules(&mut self.rules, &format!("{kind}-{at}"), &function.parameters, whitespace)?;
            written.push(format!("{} {between} {rule}", literal(&super::json::escape(&function.name))));
        }
        Ok((!written.is_empty()).then(|| written.join(" | ")))
    }

    /// Adds calls as models write them that do not keep to their template: with any white space, one behind the other or
    /// in a list, between one of `enclosures`. `spelling` is what stands before a name, between it and the arguments, and
    /// behind them. Gives back the forms.
    ///
    /// # Errors
    /// A schema has no grammar.
    pub(super) fn spelled_calls(
        &mut self,
        offer: &CallOffer,
        [before_name, before_arguments, after]: [&str; 3],
        enclosures: &[(&str, &str)],
    ) -> Result<Vec<String>, Error> {
        let between = flexible(before_arguments);
        let Some(calls) = self.defined_calls(&offer.functions, &between, Whitespace::Flexible)? else {
            return Ok(Vec::new());
        };
        let more = offer.most_calls.saturating_sub(1);
        let rules = &mut self.rules;
        rules.define("call-blank", &format!(r"[ \t\n]{{0,{BLANK_CHARS}}}"));
        rules.define("spelled-call", &format!("{} ({calls}) {}", flexible(before_name), flexible(after)));
        rules.define("spelled-rest", r#"","? [ \n] [ \n]? spelled-call"#);
        rules.define("spelled-item", r#"call-blank "," call-blank spelled-call"#);
        let list = format!(r#""[" call-blank spelled-call spelled-item{{0,{more}}} call-blank "]""#);
        rules.define("spelled-calls", &format!("spelled-call spelled-rest{{0,{more}}} | {list}"));
        let form = |(open, close): &(&str, &str)| format!("{} spelled-calls {}", literal(open), literal(close));
        Ok(enclosures.iter().map(form).collect())
    }

    /// Adds the empty reply where `policy` allows it.
    pub(super) fn silence(&mut self, policy: &StepPolicy) {
        if policy.text == TextRule::Silent {
            self.roots.push("\"\"");
        }
    }

    /// Adds the arguments of `calls`; gives back the alternatives of what is written from a call's name to the end of its
    /// arguments, with `between` between the two; none where nothing can be called. Calls that have no legal arguments
    /// are left out.
    ///
    /// # Errors
    /// The rules cannot be written for another reason.
    pub(super) fn calls<'a>(
        &mut self,
        calls: impl IntoIterator<Item = &'a AllowedCall>,
        between: &str,
        last: Option<LastMember<'_>>,
    ) -> Result<Option<String>, Error> {
        let mut written = Vec::new();
        for call in calls {
            let prefix = format!("arguments-{}", written.len());
            match arguments_rules(&mut self.rules, &prefix, call, Separators::PYTHON, last) {
                Ok(rule) => {
                    let name = super::json::escape(&call.name);
                    written.push(format!("{} {rule}", literal(&format!("{name}{between}"))));
                }
                Err(grammar::Error::Policy { what, problem }) => tracing::debug!(%what, %problem, "call left out"),
                Err(source) => return Err(Error::Grammar { source }),
            }
        }
        Ok((!written.is_empty()).then(|| written.join(" | ")))
    }

    /// Adds an action that is spelled as `body`.
    pub(super) fn action(&mut self, name: &'static str, body: &str) {
        self.rules.define(name, body);
        self.roots.push(name);
    }

    /// The grammar's text.
    ///
    /// # Errors
    /// [`Error::EmptyPolicy`].
    pub(super) fn finish(mut self) -> Result<String, Error> {
        if self.roots.is_empty() {
            return Err(Error::EmptyPolicy);
        }
        self.rules.define("root", &self.roots.join(" | "));
        Ok(self.rules.into_gbnf())
    }
}

/// GBNF for a stretch of a call's spelling in which white space may stand wherever JSON allows it. Its names hold none of
/// JSON's marks.
fn flexible(spelling: &str) -> String {
    let mut items: Vec<String> = Vec::new();
    let mut text = String::new();
    let blank = || "call-blank".to_owned();
    for one in spelling.chars() {
        let before = matches!(one, '}' | ',' | ':').then(blank);
        let behind = matches!(one, '{' | ',' | ':').then(blank);
        if one.is_whitespace() {
            continue;
        }
        if before.is_none() && behind.is_none() {
            text.push(one);
            continue;
        }
        if !text.is_empty() {
            items.push(literal(&std::mem::take(&mut text)));
        }
        items.extend(before);
        items.push(literal(&one.to_string()));
        items.extend(behind);
    }
    if !text.is_empty() {
        items.push(literal(&text));
    }
    items.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spelling_takes_white_space_where_json_does() {
        assert_eq!(flexible("\n{\"name\": \""), r#""{" call-blank "\"name\"" call-blank ":" call-blank "\"""#);
        assert_eq!(flexible("}\n"), r#"call-blank "}""#);
    }
}
