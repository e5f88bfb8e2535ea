//! Random schemas, random texts of their grammars and random instances, with `jsonschema` as the judge.

use mneme::grammar::Grammar;
use mneme::grammar::schema::{Error, Whitespace};
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::{accepts, compiler, grammar_of, options, validator, walk, written};

/// Names in the order in which schemas declare them.
const NAMES: [&str; 5] = ["a", "ab", "b", "é\"", "x1"];
const TEXTS: [&str; 12] = ["", "a", "ab", "abc", "b", "é\"", "x1", "😀", "line\nend", "2024-02-29", "aaaa", "7"];
const PATTERNS: [&str; 7] = ["^a", "b$", "^[a-c]*$", "^.{1,3}$", "[0-9]", "^(ab|c)?$", "^[^a]+$"];
const NUMBERS: [&str; 14] =
    ["-12.5", "-3", "-0.75", "0", "0.01", "0.5", "1", "1.25", "2", "6", "7.1", "10", "12", "100"];
/// With exponents, above 2^53, at the ends of 64 bits, with as many digits as a float has, and a common multiple of two
/// steps of nine digits.
const EXTREMES: [&str; 14] = [
    "1e40",
    "-1e31",
    "1e-40",
    "2.5e-7",
    "1e16",
    "3.0",
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "123456789012345.6",
    "99.99999999999999",
    "999999866000004473",
    "999999866000004000",
];

struct Maker {
    rng: ChaCha8Rng,
    has_defs: bool,
}

impl Maker {
    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        *items.choose(&mut self.rng).unwrap()
    }

    fn number(&mut self) -> Value {
        let is_extreme = self.rng.random_bool(0.15);
        let text = if is_extreme { self.pick(&EXTREMES) } else { self.pick(&NUMBERS) };
        serde_json::from_str(text).unwrap()
    }

    /// A bound: what has more digits than bounds may have is refused by name.
    fn bound(&mut self) -> Value {
        loop {
            let number = self.number();
            if number.as_f64().is_some_and(|float| float == 0.0 || (1e-30..1e30).contains(&float.abs())) {
                return number;
            }
        }
    }

    fn names(&mut self, most: usize) -> Vec<&'static str> {
        let count = self.rng.random_range(0..=most);
        let mut chosen = (0..NAMES.len()).choose_multiple(&mut self.rng, count);
        chosen.sort_unstable();
        chosen.into_iter().map(|index| NAMES[index]).collect()
    }

    /// Puts `keyword` in with the given chance.
    fn maybe(
        &mut self,
        schema: &mut Map<String, Value>,
        chance: f64,
        keyword: &str,
        value: impl FnOnce(&mut Self) -> Value,
    ) {
        if self.rng.random_bool(chance) {
            let value = value(self);
            schema.insert(keyword.into(), value);
        }
    }

    fn schema(&mut self, depth: usize) -> Value {
        let mut schema = Map::new();
        let kind = if depth == 0 { self.rng.random_range(0..6) } else { self.rng.random_range(0..14) };
        match kind {
            0 => return json!(true),
            1 => {
                let values: Vec<Value> = (0..self.rng.random_range(1..4)).map(|_| self.instance(1)).collect();
                schema.insert("enum".into(), Value::Array(values));
            }
            2 => {
                schema.insert("type".into(), self.pick(&["null", "boolean"]).into());
            }
            3 => self.number_schema(&mut schema),
            4 => self.string_schema(&mut schema),
            5 => {
                let types = ["null", "boolean", "integer", "number", "string", "array", "object"];
                let types: Vec<&str> = types.into_iter().choose_multiple(&mut self.rng, 2);
                schema.insert("type".into(), json!(types));
                self.maybe(&mut schema, 0.3, "maximum", Self::bound);
                self.maybe(&mut schema, 0.3, "maxLength", |maker| json!(maker.rng.random_range(0..5)));
            }
            6 | 7 => self.array_schema(&mut schema, depth),
            8..=10 => self.object_schema(&mut schema, depth),
            11 => {
                let keyword = self.pick(&["anyOf", "anyOf", "allOf", "oneOf"]);
                let is_of_numbers = self.rng.random_bool(0.3);
                let branches: Vec<Value> = (0..self.rng.random_range(1..4))
                    .map(|_| if is_of_numbers { self.numbers() } else { self.schema(depth - 1) })
                    .collect();
                schema.insert(keyword.into(), Value::Array(branches));
                self.maybe(&mut schema, 0.3, "type", |maker| maker.pick(&["object", "string", "integer"]).into());
            }
            12 if self.has_defs => {
                schema.insert("$ref".into(), self.pick(&["#", "#/$defs/d", "#/$defs/e"]).into());
                self.maybe(&mut schema, 0.2, "minimum", Self::bound);
            }
            _ => {
                self.object_schema(&mut schema, depth);
                let branches: Vec<Value> = (0..2)
                    .map(|_| {
                        let mut branch = Map::new();
                        self.object_schema(&mut branch, depth - 1);
                        Value::Object(branch)
                    })
                    .collect();
                let keyword = self.pick(&["anyOf", "allOf"]);
                schema.insert(keyword.into(), Value::Array(branches));
            }
        }
        Value::Object(schema)
    }

    fn number_schema(&mut self, schema: &mut Map<String, Value>) {
        if self.rng.random_bool(0.15) {
            // Two of these have one number in common.
            let step = self.pick(&[999_999_937, 999_999_929]);
            let (low, high) = (999_999_866_000_004_000_u64, 999_999_866_000_005_000_u64);
            let keywords = json!({"type": "number", "minimum": low, "maximum": high, "multipleOf": step});
            schema.extend(keywords.as_object().cloned().unwrap_or_default());
            return;
        }
        schema.insert("type".into(), self.pick(&["integer", "number"]).into());
        let (low, high) = (self.pick(&["minimum", "exclusiveMinimum"]), self.pick(&["maximum", "exclusiveMaximum"]));
        self.maybe(schema, 0.5, low, Self::bound);
        self.maybe(schema, 0.5, high, Self::bound);
        self.maybe(schema, 0.3, "multipleOf", |maker| {
            let steps = [json!(2), json!(3), json!(0.1), json!(0.01), json!(5)];
            steps[maker.rng.random_range(0..steps.len())].clone()
        });
    }

    /// Some numbers by their keywords or by name.
    fn numbers(&mut self) -> Value {
        let mut schema = Map::new();
        match self.rng.random_range(0..3) {
            0 => drop(schema.insert("const".into(), self.number())),
            1 => drop(schema.insert("type".into(), self.pick(&["number", "string"]).into())),
            _ => self.number_schema(&mut schema),
        }
        Value::Object(schema)
    }

    fn string_schema(&mut self, schema: &mut Map<String, Value>) {
        schema.insert("type".into(), "string".into());
        self.maybe(schema, 0.4, "minLength", |maker| json!(maker.rng.random_range(0..3)));
        self.maybe(schema, 0.4, "maxLength", |maker| json!(maker.rng.random_range(1..5)));
        self.maybe(schema, 0.4, "pattern", |maker| maker.pick(&PATTERNS).into());
        self.maybe(schema, 0.1, "format", |maker| {
            maker.pick(&["date", "time", "date-time", "uuid", "email", "ipv4", "uri"]).into()
        });
    }

    fn array_schema(&mut self, schema: &mut Map<String, Value>, depth: usize) {
        schema.insert("type".into(), "array".into());
        self.maybe(schema, 0.7, "items", |maker| maker.schema(depth - 1));
        self.maybe(schema, 0.4, "prefixItems", |maker| {
            (0..maker.rng.random_range(1..3)).map(|_| maker.schema(depth - 1)).collect()
        });
        self.maybe(schema, 0.3, "minItems", |maker| json!(maker.rng.random_range(0..3)));
        self.maybe(schema, 0.5, "maxItems", |maker| json!(maker.rng.random_range(1..4)));
    }

    fn object_schema(&mut self, schema: &mut Map<String, Value>, depth: usize) {
        let depth = depth.saturating_sub(1);
        self.maybe(schema, 0.8, "type", |_| "object".into());
        self.maybe(schema, 0.9, "properties", |maker| {
            maker.names(3).into_iter().map(|name| (name.to_owned(), maker.schema(depth))).collect::<Map<_, _>>().into()
        });
        self.maybe(schema, 0.5, "required", |maker| json!(maker.names(2)));
        self.maybe(schema, 0.5, "additionalProperties", |maker| {
            if maker.rng.random_bool(0.6) { json!(false) } else { maker.schema(depth) }
        });
        self.maybe(schema, 0.2, "patternProperties", |maker| {
            let pattern = maker.pick(&PATTERNS);
            json!({pattern: maker.schema(depth)})
        });
        self.maybe(schema, 0.15, "minProperties", |maker| json!(maker.rng.random_range(0..3)));
        self.maybe(schema, 0.15, "maxProperties", |maker| json!(maker.rng.random_range(1..4)));
    }

    fn document(&mut self) -> Value {
        self.has_defs = self.rng.random_bool(0.3);
        let mut schema = self.schema(3);
        if self.has_defs
            && let Value::Object(members) = &mut schema
        {
            let defs = json!({"d": self.schema(2), "e": self.schema(1)});
            members.insert("$defs".into(), defs);
        }
        if self.has_defs && schema == json!(true) {
            self.has_defs = false;
        }
        schema
    }

    fn instance(&mut self, depth: usize) -> Value {
        match self.rng.random_range(0..if depth == 0 { 4 } else { 8 }) {
            0 => self.pick(&[json_null as fn() -> Value, json_true])(),
            1 => self.number(),
            2 | 3 => self.pick(&TEXTS).into(),
            4 => (0..self.rng.random_range(0..3)).map(|_| self.instance(depth - 1)).collect(),
            _ => {
                let names = self.names(3);
                names.into_iter().map(|name| (name.to_owned(), self.instance(depth - 1))).collect::<Map<_, _>>().into()
            }
        }
    }

    /// `value` with one small change.
    fn changed(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) if !items.is_empty() && self.rng.random_bool(0.7) => {
                let index = self.rng.random_range(0..items.len());
                if self.rng.random_bool(0.3) { drop(items.remove(index)) } else { self.changed(&mut items[index]) }
            }
            Value::Object(members) if !members.is_empty() && self.rng.random_bool(0.7) => {
                let name = members.keys().choose(&mut self.rng).unwrap().clone();
                match self.rng.random_range(0..4) {
                    0 => drop(members.remove(&name)),
                    1 => drop(members.insert(self.pick(&NAMES).into(), self.instance(1))),
                    _ => self.changed(members.get_mut(&name).unwrap()),
                }
            }
            _ => *value = self.instance(1),
        }
    }
}

fn json_null() -> Value {
    Value::Null
}

fn json_true() -> Value {
    Value::Bool(true)
}

/// `value` with the properties of its objects in every order; none where there would be too many.
fn orders(value: &Value) -> Option<Vec<Value>> {
    const MOST: usize = 300;
    let combine = |lists: Vec<Vec<Value>>| {
        let mut all: Vec<Vec<Value>> = vec![Vec::new()];
        for list in lists {
            all = all
                .iter()
                .flat_map(|head| list.iter().map(|next| [head.as_slice(), std::slice::from_ref(next)].concat()))
                .collect();
            if all.len() > MOST {
                return None;
            }
        }
        Some(all)
    };
    match value {
        Value::Array(items) => {
            let lists = items.iter().map(orders).collect::<Option<Vec<_>>>()?;
            Some(combine(lists)?.into_iter().map(Value::Array).collect())
        }
        Value::Object(members) if members.len() > 4 => None,
        Value::Object(members) => {
            let lists = members.values().map(orders).collect::<Option<Vec<_>>>()?;
            let names: Vec<&String> = members.keys().collect();
            let mut found = Vec::new();
            for values in combine(lists)? {
                for order in permutations(names.len()) {
                    let member = |index: &usize| (names[*index].clone(), values[*index].clone());
                    found.push(Value::Object(order.iter().map(member).collect()));
                }
            }
            (found.len() <= MOST).then_some(found)
        }
        scalar => Some(vec![scalar.clone()]),
    }
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = permutations(last);
    (0..count)
        .flat_map(|at| {
            shorter.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(at, last);
                order
            })
        })
        .collect()
}

/// Whether the grammar takes `value` with its properties in some order; none where that would take too long to say.
fn takes(grammar: &Grammar, value: &Value, whitespace: Whitespace) -> Option<bool> {
    Some(orders(value)?.iter().any(|value| accepts(grammar, &written(value, whitespace))))
}

/// Whether a number has a spelling that grammars may leave out where it is not listed: a fraction of 0, an exponent,
/// or more digits than are written next to bounds.
fn has_unusual_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            text.len() > 18 || (number.is_f64() && (text.len() > 12 || text.contains('e') || text.ends_with(".0")))
        }
        Value::Array(items) => items.iter().any(has_unusual_number),
        Value::Object(members) => members.values().any(has_unusual_number),
        _ => false,
    }
}

/// Characters that `jsonschema` and ECMA-262 see alike, and strings that the formats' documented subset holds: random
/// instances hold only dates of all formats, so that nothing has to be left out.
#[test]
fn grammars_and_the_validator_agree_on_random_schemas() {
    let compiler = compiler();
    let [mut compiled, mut walked, mut agreed, mut valid] = [0_u32; 4];
    for seed in 0..SCHEMAS {
        let mut maker = Maker { rng: ChaCha8Rng::seed_from_u64(seed), has_defs: false };
        let schema = maker.document();
        let whitespace = maker.pick(&[Whitespace::Compact, Whitespace::Template, Whitespace::Flexible]);
        let grammar = match grammar_of(&compiler, &schema, &options(whitespace)) {
            Ok(grammar) => grammar,
            Err(error @ (Error::Invalid { .. } | Error::Limit { .. } | Error::Reference { .. })) => {
                // Schemas without `$defs` may still be referred into by the maker.
                panic!("seed {seed}: {error}\n{schema}")
            }
            Err(_) => continue,
        };
        compiled += 1;
        let validator = validator(&schema);
        let mut instances: Vec<Value> = (0..20).map(|_| maker.instance(2)).collect();
        for wild in [0, 5, 20, 60, 150] {
            let text = walk(&grammar, wild, &mut maker.rng);
            let value: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
            assert!(validator.is_valid(&value), "seed {seed}\n{schema}\n{text}");
            walked += 1;
            if text.len() < 120 {
                for _ in 0..6 {
                    let mut value = value.clone();
                    maker.changed(&mut value);
                    instances.push(value);
                }
            }
        }
        for value in instances {
            let is_valid = validator.is_valid(&value);
            let Some(takes) = takes(&grammar, &value, whitespace) else { continue };
            if is_valid && !takes && has_unusual_number(&value) {
                continue;
            }
            assert_eq!(takes, is_valid, "seed {seed}\n{schema}\n{}", written(&value, whitespace));
            agreed += 1;
            valid += u32::from(is_valid);
        }
    }
    println!("{compiled} schemas, {walked} walks, {agreed} instances judged alike, {valid} of them valid");
    assert!(u64::from(compiled) > SCHEMAS / 2, "{compiled}");
    assert!(valid > agreed / 5 && valid < agreed * 9 / 10, "{valid} of {agreed}");
}

/// Random schemas of one run.
const SCHEMAS: u64 = 600;
