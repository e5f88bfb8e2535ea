//! The official judge of calls: whether they are accepted ones.
//!
//! A call is right where its name and parameters are those of an accepted call and each value is one of the accepted
//! values, of the type that the function asks for. Texts are compared without case, blanks and the characters `,./-_*^`.
//! A value of another type is right where an accepted one has that type: it names a variable. Of several calls each must
//! answer one accepted call, in any order. Where the official judge fails with an exception, a call is wrong.
//!
//! Source: `ast_checker` in `bfcl_eval/eval_checker/ast_eval/ast_checker.py` and `is_empty_output` in
//! `bfcl_eval/utils.py` of the wheel `bfcl-eval` 2026.3.23; reasons begin with its own names for errors. A test compares
//! verdicts and errors. Functions without a list `required` are taken, which the official judge does not read.

mod java;
mod javascript;
mod numbers;
mod value;

use fancy_regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use java::Java;
use javascript::Javascript;
use value::{Kind, Value};

use super::Error;
use super::data::{Case, Demand, Function, Language};
use super::parameters::{held, mismatch, shown, shown_name};
use crate::types::Call;

/// What is thought of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What was asked.
    Right,
    /// Calls that could be carried out, but not the accepted ones.
    Wrong,
    /// Cut off, not to be read, or not what the functions' schemas allow.
    Invalid,
    /// Text where a call was due.
    Refused,
    /// A call where none was due.
    FalseCall,
}

/// A verdict and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is not right; empty where it is.
    pub reason: String,
}

/// What a model has answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Calls, at least one.
    Calls(Vec<Call>),
    /// Text to the user.
    Text(String),
    /// Something that is neither.
    Unreadable {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a call is not an accepted one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// The official judge's name for the error, and what it is about.
    Wrong { kind: &'static str, what: String },
    /// The official judge fails.
    Raises { why: String },
}

impl Fault {
    const fn wrong(kind: &'static str, what: String) -> Self {
        Self::Wrong { kind, what }
    }

    const fn raises(why: String) -> Self {
        Self::Raises { why }
    }
}

/// Judges replies.
#[derive(Debug, Clone)]
pub struct Judge {
    java: Java,
    javascript: Javascript,
}

impl Judge {
    /// Reads the patterns of the languages' literals.
    ///
    /// # Errors
    /// [`Error::Pattern`] where this build cannot read one.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { java: Java::new()?, javascript: Javascript::new()? })
    }

    /// The verdict on a reply.
    #[must_use]
    pub fn judge(&self, case: &Case, reply: &Reply) -> Judged {
        let judged = |verdict, reason: &str| Judged { verdict, reason: reason.to_owned() };
        match (case.category.demand(), reply) {
            (Demand::NoCall, Reply::Calls(_)) => {
                judged(Verdict::FalseCall, "irrelevance_error:decoder_success: no function fits")
            }
            // Of what was not even asked, nothing is right. What cannot be read is no call, as the leaderboard has it.
            (_, Reply::Unreadable { text, reason }) if text.is_empty() => judged(Verdict::Invalid, reason),
            (Demand::NoCall, _) | (Demand::AnyCall, Reply::Calls(_)) => judged(Verdict::Right, ""),
            (_, Reply::Text(_)) => judged(Verdict::Refused, "text where a call is due"),
            (_, Reply::Unreadable { reason, .. }) => judged(Verdict::Invalid, reason),
            (Demand::OneCall | Demand::AllCalls, Reply::Calls(calls)) => match self.check(case, calls) {
                Ok(()) => judged(Verdict::Right, ""),
                Err(fault) => {
                    let reason = match fault {
                        Fault::Wrong { kind, what } => format!("{kind}: {what}"),
                        Fault::Raises { why } => why,
                    };
                    match misfit(case, calls) {
                        Some(misfit) => judged(Verdict::Invalid, &format!("{reason} ({misfit})")),
                        None => judged(Verdict::Wrong, &reason),
                    }
                }
            },
        }
    }

    fn check(&self, case: &Case, calls: &[Call]) -> Result<(), Fault> {
        let is_parallel = case.category.demand() == Demand::AllCalls;
        let is_single = !is_parallel && !case.category.chooses();
        let expected = if is_single { 1 } else { case.accepted.len() };
        if is_single && case.accepted.is_empty() {
            return Err(Fault::raises("no call is accepted".to_owned()));
        }
        if calls.len() != expected {
            let kind = match (is_parallel, is_single) {
                (true, _) => "parallel_function_checker_no_order:wrong_count",
                (_, true) => "simple_function_checker:wrong_count",
                _ => "multiple_function_checker:wrong_count",
            };
            return Err(Fault::wrong(kind, format!("{} calls where {expected} are due", calls.len())));
        }
        let mut left: Vec<&Call> = calls.iter().collect();
        for accepted in case.accepted.iter().take(if is_parallel { expected } else { 1 }) {
            let Some((name, values)) = accepted.iter().next() else {
                return Err(Fault::raises("an accepted call has no name".to_owned()));
            };
            let function = match is_single {
                true => case.functions.first(),
                false => case.functions.iter().find(|function| function.name == *name),
            };
            let function = function.ok_or_else(|| Fault::raises(format!("there is no function {name}")))?;
            let values = Value::from(values);
            let mut answers = None;
            for (at, call) in left.iter().enumerate() {
                match self.check_call(function, call, &values, case.category.language()) {
                    Ok(()) => {
                        answers = Some(at);
                        break;
                    }
                    Err(Fault::Wrong { .. }) if is_parallel => {}
                    Err(fault) => return Err(fault),
                }
            }
            match answers {
                Some(at) => _ = left.remove(at),
                None => {
                    let kind = "parallel_function_checker_no_order:cannot_find_match";
                    return Err(Fault::wrong(kind, format!("no call answers {name}")));
                }
            }
        }
        Ok(())
    }

    fn check_call(&self, function: &Function, call: &Call, accepted: &Value, language: Language) -> Result<(), Fault> {
        let Value::Dict(accepted) = accepted else {
            return Err(Fault::raises("accepted values are not listed by parameter".to_owned()));
        };
        let name = shown_name(&function.name);
        if call.name != name {
            let what = format!("{} is called where {name} is due", call.name);
            return Err(Fault::wrong("simple_function_checker:wrong_func_name", what));
        }
        if let Some(missing) = function.parameters.required.iter().find(|name| !call.arguments.contains_key(*name)) {
            return Err(Fault::wrong("simple_function_checker:missing_required", format!("{missing} is missing")));
        }
        for (name, value) in &call.arguments {
            let of_name = accepted.iter().find(|(other, _)| other == name);
            let (Some(parameter), Some((_, accepted))) = (function.parameters.properties.get(name), of_name) else {
                return Err(Fault::wrong(
                    "simple_function_checker:unexpected_param",
                    format!("{name} is not expected"),
                ));
            };
            self.check_value(name, &Value::from(value), &Listed::of(accepted)?, parameter, language)?;
        }
        for (name, accepted) in accepted {
            if !call.arguments.contains_key(name) && !has_empty_text(accepted)? {
                let what = format!("{name} is left out");
                return Err(Fault::wrong("simple_function_checker:missing_optional", what));
            }
        }
        Ok(())
    }

    fn check_value(
        &self,
        name: &str,
        value: &Value,
        accepted: &Listed<'_>,
        parameter: &serde_json::Value,
        language: Language,
    ) -> Result<(), Fault> {
        let (value, expected, items) = self.typed(name, value, parameter, language)?;
        let is_variable = check_type(name, &value, accepted, expected, items)?;
        match (is_variable, expected) {
            (false, Kind::Dict) => check_dict(&value, &accepted.0),
            (false, Kind::List) if items == Some(Kind::Dict) => check_dicts(&value, &accepted.0),
            (false, Kind::Text) => {
                let Value::Text(text) = &value else { return Err(Fault::raises(format!("{name} is no text"))) };
                let text = standardized(text);
                let is_accepted =
                    accepted.0.iter().any(|one| matches!(one, Value::Text(one) if standardized(one) == text));
                found(is_accepted, "value_error:string", name)
            }
            (false, Kind::List) => {
                let found_list = listed(&value).map(|items| Value::List(items.iter().map(comparable).collect()))?;
                let lists: Vec<Value> = accepted.0.iter().map(|one| list_of(one)).collect::<Result<_, _>>()?;
                found(lists.contains(&found_list), "value_error:list/tuple", name)
            }
            _ => found(accepted.0.iter().any(|one| **one == value), "value_error:others", name),
        }
    }

    /// A value as its parameter's language reads it, the type that is expected, and that of its items where it is a
    /// list whose items are looked at.
    fn typed(
        &self,
        name: &str,
        value: &Value,
        parameter: &serde_json::Value,
        language: Language,
    ) -> Result<(Value, Kind, Option<Kind>), Fault> {
        let word = |schema: &serde_json::Value| schema.get("type").and_then(|word| word.as_str().map(str::to_owned));
        let no_type = || Fault::raises(format!("the type of {name} is not told"));
        let kind = word(parameter).ok_or_else(no_type)?;
        let of_items = || parameter.get("items").and_then(word).ok_or_else(no_type);
        if language == Language::Python {
            let items = matches!(&*kind, "array" | "tuple").then(of_items).transpose()?;
            let items = items.as_deref().map(python_kind).transpose()?;
            let value = match value {
                // As Python does, integers are taken for floats.
                #[expect(clippy::cast_precision_loss, reason = "Python rounds as well")]
                Value::Integer(whole) if kind == "float" => Value::Float(*whole as f64),
                other => other.clone(),
            };
            return Ok((value, python_kind(&kind)?, items));
        }
        let is_java = language == Language::Java;
        let read_kind = if is_java { java::kind } else { javascript::kind };
        let expected = read_kind(&kind)?;
        let Value::Text(text) = value else {
            let error = if is_java { "type_error:java" } else { "type_error:js" };
            return Err(Fault::wrong(error, format!("{name} is no text")));
        };
        let items = matches!(&*kind, "Array" | "ArrayList" | "array").then(of_items).transpose()?;
        let items_kind = items.as_deref().map(read_kind).transpose()?;
        let value = match language {
            Language::Java => self.java.value(text, &kind, items.as_deref())?,
            _ => self.javascript.value(text, &kind, items.as_deref())?,
        };
        Ok((value, expected, items_kind))
    }
}

/// Accepted values of one parameter.
struct Listed<'a>(Vec<&'a Value>);

impl<'a> Listed<'a> {
    fn of(accepted: &'a Value) -> Result<Self, Fault> {
        listed(accepted).map(|items| Self(items.iter().collect()))
    }
}

fn listed(value: &Value) -> Result<&[Value], Fault> {
    match value {
        Value::List(items) => Ok(items),
        _ => Err(Fault::raises("something else stands where a list is expected".to_owned())),
    }
}

fn found(is_found: bool, kind: &'static str, name: &str) -> Result<(), Fault> {
    if is_found { Ok(()) } else { Err(Fault::wrong(kind, format!("{name} has another value"))) }
}

/// The type in Python of values of a type of the data set; JSON's own names are understood as well.
fn python_kind(name: &str) -> Result<Kind, Fault> {
    Ok(match name {
        "string" | "any" => Kind::Text,
        "integer" => Kind::Integer,
        "float" | "number" => Kind::Float,
        "boolean" => Kind::Boolean,
        "array" | "tuple" => Kind::List,
        "dict" | "object" => Kind::Dict,
        _ => return Err(Fault::raises(format!("the type {name:?} is not known in Python"))),
    })
}

/// Whether the value names a variable: then it is of the type of the first accepted value, which is not the expected one.
///
/// # Errors
/// It is of neither type, or its items are not.
fn check_type(
    name: &str,
    value: &Value,
    accepted: &Listed<'_>,
    expected: Kind,
    items: Option<Kind>,
) -> Result<bool, Fault> {
    let accepted_kind = accepted.0.iter().find(|one| !one.is_empty_text()).map(|one| one.kind());
    let is_variable = accepted_kind.is_some_and(|kind| kind != expected);
    let is_accepted_kind = accepted_kind == Some(value.kind());
    if value.kind() != expected {
        let what = || format!("{name} is of another type");
        return if is_accepted_kind { Ok(true) } else { Err(Fault::wrong("type_error:simple", what())) };
    }
    let Some(items) = items else { return Ok(is_variable) };
    for one in &accepted.0 {
        // Beside an accepted value that is no list, items are not looked at.
        let Value::List(_) = one else { return Ok(is_variable) };
        let (accepted, mut fits) = (Listed::of(one)?, true);
        for item in listed(value)? {
            match check_type(name, item, &accepted, items, None) {
                Ok(_) => {}
                Err(Fault::Wrong { .. }) => fits = false,
                Err(raises) => return Err(raises),
            }
        }
        if fits {
            return Ok(is_variable);
        }
    }
    let kind = if is_accepted_kind { "type_error:nested" } else { "type_error:simple" };
    Err(Fault::wrong(kind, format!("items of {name} are of another type")))
}

/// A text without what does not count.
fn standardized(text: &str) -> String {
    text.replace([' ', ',', '.', '/', '-', '_', '*', '^'], "").to_lowercase().replace('\'', "\"")
}

/// A value with its text, where it is one, as texts are compared.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(standardized(text)),
        other => other.clone(),
    }
}

/// What an accepted list is compared as. Python takes a text for the list of its characters.
fn list_of(accepted: &Value) -> Result<Value, Fault> {
    match accepted {
        Value::List(items) => Ok(Value::List(items.iter().map(comparable).collect())),
        Value::Text(text) => Ok(Value::List(characters(text))),
        Value::Dict(members) if members.is_empty() => Ok(Value::List(Vec::new())),
        _ => Err(Fault::raises("something else stands where an accepted list is expected".to_owned())),
    }
}

fn characters(text: &str) -> Vec<Value> {
    text.chars().map(|one| Value::Text(standardized(one.encode_utf8(&mut [0; 4])))).collect()
}

/// Whether accepted values say that a parameter may be left out: an empty text is in every text, too.
fn has_empty_text(accepted: &Value) -> Result<bool, Fault> {
    match accepted {
        Value::List(items) => Ok(items.iter().any(Value::is_empty_text)),
        Value::Text(_) => Ok(true),
        Value::Dict(members) => Ok(members.iter().any(|(key, _)| key.is_empty())),
        _ => Err(Fault::raises("accepted values are no list".to_owned())),
    }
}

/// Whether a dictionary is one of the accepted ones, which list accepted values by key.
fn check_dict(value: &Value, accepted: &[&Value]) -> Result<(), Fault> {
    let unclear = || Fault::wrong("dict_checker:unclear", "no dictionary is accepted".to_owned());
    let mut fault = unclear();
    for one in accepted.iter().filter(|one| !one.is_empty_text()) {
        let (Value::Dict(members), Value::Dict(accepted)) = (value, one) else {
            return Err(Fault::raises("something else stands where a dictionary is expected".to_owned()));
        };
        let mut first_fault = None;
        for (key, member) in members {
            let Some((_, accepted)) = accepted.iter().find(|(other, _)| other == key) else {
                first_fault = Some(Fault::wrong("value_error:dict_key", format!("{key} is not expected")));
                break;
            };
            let Value::List(accepted) = list_of(accepted)? else { continue };
            if !accepted.contains(&comparable(member)) {
                first_fault = Some(Fault::wrong("value_error:dict_value", format!("{key} has another value")));
                break;
            }
        }
        for (key, accepted) in accepted {
            if !members.iter().any(|(other, _)| other == key) && !has_empty_text(accepted)? {
                first_fault = Some(Fault::wrong("value_error:dict_key", format!("{key} is missing")));
                break;
            }
        }
        match first_fault {
            None => return Ok(()),
            Some(of_this) => fault = of_this,
        }
    }
    Err(fault)
}

/// Whether a list of dictionaries is one of the accepted ones, in the same order.
fn check_dicts(value: &Value, accepted: &[&Value]) -> Result<(), Fault> {
    let dicts = listed(value)?;
    let mut fault = Fault::wrong("list_dict_checker:unclear", "no list is accepted".to_owned());
    for one in accepted {
        let one = match one {
            Value::List(items) => items.clone(),
            Value::Text(text) => text.chars().map(|one| Value::Text(one.to_string())).collect(),
            Value::Dict(members) if members.len() != dicts.len() || members.is_empty() => {
                vec![Value::None; members.len()]
            }
            _ => return Err(Fault::raises("something else stands where an accepted list is expected".to_owned())),
        };
        if one.len() != dicts.len() {
            let what = format!("{} dictionaries where {} are due", dicts.len(), one.len());
            fault = Fault::wrong("value_error:list_dict_count", what);
            continue;
        }
        let mut fits = true;
        for (dict, accepted) in dicts.iter().zip(&one) {
            match check_dict(dict, &[accepted]) {
                Ok(()) => {}
                Err(raises @ Fault::Raises { .. }) => return Err(raises),
                Err(wrong) => {
                    fault = wrong;
                    fits = false;
                    break;
                }
            }
        }
        if fits {
            return Ok(());
        }
    }
    Err(fault)
}

/// Why calls could not be carried out; none where they could.
fn misfit(case: &Case, calls: &[Call]) -> Option<String> {
    calls.iter().find_map(|call| {
        let Some(function) = case.functions.iter().find(|function| shown_name(&function.name) == call.name) else {
            return Some(format!("there is no function {}", call.name));
        };
        let schema = held(&shown(function, case.category.language()).parameters);
        mismatch(&call.arguments.clone().into(), &schema, &call.name)
    })
}

fn compiled(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|source| Error::Pattern { pattern: pattern.to_owned(), source: Box::new(source) })
}

/// What the first group of a pattern holds.
fn captured<'a>(pattern: &Regex, text: &'a str) -> Option<&'a str> {
    pattern.captures(text).ok().flatten().and_then(|found| found.get(1)).map(|group| group.as_str())
}

/// A text without its first and last character.
fn unquoted(text: &str) -> String {
    let mut inside = text.chars();
    inside.next();
    inside.next_back();
    inside.collect()
}

impl From<&Map<String, serde_json::Value>> for Value {
    fn from(members: &Map<String, serde_json::Value>) -> Self {
        Self::Dict(members.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
    }
}
