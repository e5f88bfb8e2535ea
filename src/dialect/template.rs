//! Rendering of chat templates, which come from model files and are hostile until proved otherwise: bounded in source
//! size, fuel, recursion and output, without access to clock or files.
//!
//! The environment is the one of Hugging Face's `apply_chat_template`: `trim_blocks` and `lstrip_blocks` on, Python's
//! string methods, `tojson` in Python's spelling, `raise_exception`, `strftime_now`, `{% generation %}`. Not
//! responsible for what is rendered (`chat`).

use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, ValueKind};
use minijinja::{Environment, ErrorKind, State, Value};

use super::{Error, json, sentinel};

/// Longest template source; the largest template in use has about 20 kB.
const MAX_SOURCE_BYTES: usize = 128 * 1024;
/// Most bytes that a template may write, contents not counted.
const MAX_OUTPUT_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of one `tojson`: its escaping can double a text with every round.
const MAX_JSON_BYTES: usize = 1024 * 1024;
/// Deepest nesting that `tojson` follows.
const MAX_JSON_DEPTH: usize = 64;
/// Instructions that any template may use. Real ones need below 200 a message; a generous bound still ends a bomb
/// within a second.
const FUEL_BASE: u64 = 500_000;
/// Instructions for every message on top.
const FUEL_PER_MESSAGE: u64 = 5_000;
/// Deepest recursion of macros and includes.
const MAX_RECURSION: usize = 64;
/// The day that `strftime_now` tells, always the same: the prompt's beginning must not change from day to day, or the
/// KV cache is read again. Messages carry the true time.
const FIXED_DAY: jiff::civil::Date = jiff::civil::date(2025, 1, 1);

/// The source of a chat template that compiles.
#[derive(Debug, Clone)]
pub(super) struct Template {
    source: String,
}

impl Template {
    /// Checks size and syntax of `source`.
    ///
    /// # Errors
    /// It is too long or not a template.
    pub(super) fn new(source: &str) -> Result<Self, Error> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(Error::Template {
                reason: format!("it has {} bytes, more than {MAX_SOURCE_BYTES}", source.len()),
            });
        }
        let template = Self { source: without_generation_tags(source) };
        environment()?.template_from_str(&template.source).map_err(failed)?;
        Ok(template)
    }

    /// What the template says for `context`, which holds `message_count` messages.
    ///
    /// # Errors
    /// The template raised, failed or ran into a limit.
    pub(super) fn render(&self, context: serde_json::Value, message_count: usize) -> Result<String, Error> {
        self.render_with_fuel(context, FUEL_BASE + FUEL_PER_MESSAGE.saturating_mul(message_count as u64))
    }

    fn render_with_fuel(&self, context: serde_json::Value, fuel: u64) -> Result<String, Error> {
        let mut environment = environment()?;
        environment.set_fuel(Some(fuel));
        let template = environment.template_from_str(&self.source).map_err(failed)?;
        let mut output = Bounded { bytes: Vec::new() };
        template.render_captured_to(Value::from(Serde(context)), &mut output).map_err(failed)?;
        String::from_utf8(output.bytes).map_err(|error| Error::Template { reason: error.to_string() })
    }

    /// Whether the source speaks of `word` at all.
    pub(super) fn mentions(&self, word: &str) -> bool {
        self.source.contains(word)
    }
}

fn failed(error: minijinja::Error) -> Error {
    let reason = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it does not come to an end".into(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    match error.line() {
        Some(line) => Error::Template { reason: format!("{reason} (line {line})") },
        None => Error::Template { reason },
    }
}

fn environment<'source>() -> Result<Environment<'source>, Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(failed)?;
    environment.set_syntax(syntax);
    environment.set_recursion_limit(MAX_RECURSION);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| -> Result<String, minijinja::Error> {
        let now = FIXED_DAY.at(0, 0, 0, 0);
        jiff::fmt::strtime::format(&format, now)
            .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    Ok(environment)
}

/// Collects output up to the limit.
struct Bounded {
    bytes: Vec<u8>,
}

impl io::Write for Bounded {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + buffer.len() > MAX_OUTPUT_BYTES {
            return Err(io::Error::other("output limit"));
        }
        self.bytes.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes `{% generation %}` a block that minijinja knows, with its white-space marks.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("{%") {
        out.push_str(before);
        out.push_str("{%");
        rest = after;
        let Some((tag, _)) = after.split_once("%}") else { continue };
        let marks: &[char] = &['-', '+'];
        let replacement = match tag.trim_matches(marks).trim() {
            "generation" => " if true ",
            "endgeneration" => " endif ",
            _ => continue,
        };
        out.extend(tag.chars().next().filter(|mark| marks.contains(mark)));
        out.push_str(replacement);
        out.extend(tag.chars().next_back().filter(|mark| marks.contains(mark)));
        rest = after.get(tag.len()..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// How `tojson` is asked to write.
struct JsonStyle {
    indent: Option<usize>,
    between_items: String,
    after_key: String,
    ensure_ascii: bool,
    sort_keys: bool,
}

fn tojson(state: &State<'_, '_>, value: &Value, options: Kwargs) -> Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let ensure_ascii: Option<bool> = options.get("ensure_ascii")?;
    let sort_keys: Option<bool> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let (between_items, after_key) = match separators.as_deref() {
        Some([between_items, after_key]) => (between_items.clone(), after_key.clone()),
        Some(_) => return Err(invalid("tojson: separators are two strings")),
        None => (if indent.is_some() { "," } else { ", " }.into(), ": ".into()),
    };
    let style = JsonStyle {
        indent,
        between_items,
        after_key,
        ensure_ascii: ensure_ascii.unwrap_or(false),
        sort_keys: sort_keys.unwrap_or(false),
    };
    let mut out = String::new();
    style.write(&mut out, value, 0)?;
    state.consume_fuel((out.len() / 64) as u64)?;
    let marked = sentinel::mark_escaped(&out).ok_or_else(|| invalid("tojson: nested too often"))?;
    Ok(Value::from(marked))
}

fn invalid(detail: &'static str) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, detail)
}

impl JsonStyle {
    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), minijinja::Error> {
        if depth > MAX_JSON_DEPTH || out.len() > MAX_JSON_BYTES {
            return Err(invalid("tojson: the value is too large"));
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
            ValueKind::Number => json::write_float(out, f64::try_from(value.clone())?),
            ValueKind::String => {
                let text = value.to_str().unwrap_or_default();
                if text.len() > MAX_JSON_BYTES {
                    return Err(invalid("tojson: the value is too large"));
                }
                json::write_string(out, &text, self.ensure_ascii);
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.write_all(out, ('[', ']'), items.len(), depth, |out, index| {
                    items.get(index).map_or(Ok(()), |item| self.write(out, item, depth + 1))
                })?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                self.write_all(out, ('{', '}'), keys.len(), depth, |out, index| {
                    let Some(key) = keys.get(index) else { return Ok(()) };
                    let mut spelled = String::new();
                    self.write(&mut spelled, key, depth + 1)?;
                    if key.as_str().is_some() {
                        out.push_str(&spelled);
                    } else {
                        json::write_string(out, &spelled, self.ensure_ascii);
                    }
                    out.push_str(&self.after_key);
                    self.write(out, &value.get_item(key)?, depth + 1)
                })?;
            }
            kind => {
                return Err(minijinja::Error::new(
                    ErrorKind::InvalidOperation,
                    format!("tojson: {kind} is not JSON serializable"),
                ));
            }
        }
        Ok(())
    }

    fn write_all(
        &self,
        out: &mut String,
        (open, close): (char, char),
        count: usize,
        depth: usize,
        write_one: impl Fn(&mut String, usize) -> Result<(), minijinja::Error>,
    ) -> Result<(), minijinja::Error> {
        let new_line = |out: &mut String, depth: usize| {
            if let Some(width) = self.indent.filter(|_| count > 0) {
                out.push('\n');
                // Widths beyond any sane one are cut rather than allocated.
                out.extend(std::iter::repeat_n(' ', width.min(16) * depth));
            }
        };
        out.push(open);
        for index in 0..count {
            if index > 0 {
                out.push_str(&self.between_items);
            }
            new_line(out, depth + 1);
            write_one(out, index)?;
        }
        new_line(out, depth);
        out.push(close);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(source: &str, context: serde_json::Value) -> Result<String, Error> {
        Template::new(source)?.render(context, 1)
    }

    #[test]
    fn tojson_equals_pythons_json_dumps() {
        let value = json!({"d": "it's <b>&", "n": [1, 1.0, 1e-05, 1e16, 1e22, 0.1], "u": "é😀", "o": {"x": null, "y": true}, "e": [{}, []]});
        let cases = [
            (
                "{{ v | tojson }}",
                r#"{"d": "it's <b>&", "n": [1, 1.0, 1e-05, 1e+16, 1e+22, 0.1], "u": "é😀", "o": {"x": null, "y": true}, "e": [{}, []]}"#,
            ),
            ("{{ v.o | tojson(indent=2) }}", "{\n  \"x\": null,\n  \"y\": true\n}"),
            ("{{ v.e | tojson(indent=4) }}", "[\n    {},\n    []\n]"),
            ("{{ v.o | tojson(separators=(',', ':')) }}", r#"{"x":null,"y":true}"#),
            ("{{ v.u | tojson(ensure_ascii=true) }}", r#""\u00e9\ud83d\ude00""#),
            ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", r#"{"a": 2, "b": 1}"#),
            ("{{ {1: 2, none: 3, false: 4, 1.5: 5} | tojson }}", r#"{"1": 2, "null": 3, "false": 4, "1.5": 5}"#),
            ("{{ v.d | tojson | tojson }}", r#""\"it's <b>&\"""#),
        ];
        for (source, expected) in cases {
            assert_eq!(render(source, json!({ "v": value })).unwrap(), expected, "{source}");
        }
        render("{{ nothing | tojson }}", json!({})).unwrap_err();
    }

    #[test]
    fn the_environment_is_the_one_of_hugging_face() {
        let cases = [
            ("a\n    {% if true %}\nb\n{% endif %}\nc", "a\nb\nc"),
            ("{%- generation -%}\n x \n{%- endgeneration %}", "x"),
            ("{% generation %}x{% endgeneration %}", "x"),
            ("{{ '%generation%' }}{% raw %}{% generation{% endraw %}", "%generation%{% generation"),
            ("{{ strftime_now('%d %b %Y') }}", "01 Jan 2025"),
            ("{{ ' x'.strip() }}{{ 'a,b'.split(',')[-1] }}{{ [1,2][::-1] }}", "xb[2, 1]"),
            ("{% for m in [1,2,3] %}{% if m == 2 %}{% continue %}{% endif %}{{ m }}{% endfor %}", "13"),
        ];
        for (source, expected) in cases {
            assert_eq!(render(source, json!({})).unwrap(), expected, "{source}");
        }
        let error = render("\n{{ raise_exception('roles must alternate') }}", json!({})).unwrap_err();
        assert!(error.to_string().contains("roles must alternate"), "{error}");
    }

    #[test]
    fn a_real_template_needs_less_than_200_instructions_a_message() {
        let template = Template::new(include_str!("../../tests/data/templates/thinking.jinja")).unwrap();
        let messages: Vec<_> = (0..100).map(|_| json!({"role": "user", "content": "x"})).collect();
        let prompt = template.render_with_fuel(json!({ "messages": messages }), 20_000).unwrap();
        assert_eq!(prompt.matches("<|im_start|>user").count(), 100);
        template.render_with_fuel(json!({ "messages": messages }), 200).unwrap_err();
    }

    #[test]
    fn bombs_stop() {
        let sources = [
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}",
            "{% set ns = namespace(x='0123456789abcdef') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "{% set ns = namespace(x='\"') %}{% for i in range(60) %}{% set ns.x = ns.x | tojson %}{% endfor %}",
            "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
            "{{ 'x' * 999999999 }}",
            "{% set x = 'x' * 100000 %}{% for i in range(9999) %}{{ x }}{% endfor %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{{ 'x'.replace('', 'y' * 10000).replace('y', 'y' * 10000) }}",
            "{{ [1] | tojson(indent=99999999999) }}{% for i in range(999999999) %}{% endfor %}",
        ];
        for source in sources {
            let error = render(source, json!({})).unwrap_err();
            assert!(matches!(error, Error::Template { .. }), "{source}: {error}");
        }
        Template::new(&"x".repeat(MAX_SOURCE_BYTES + 1)).unwrap_err();
        let nested = format!("{{{{ {}1{} }}}}", "(".repeat(20_000), ")".repeat(20_000));
        Template::new(&nested).unwrap_err();
    }
}
