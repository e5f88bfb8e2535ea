//! Values as the official judge compares them: those of Python.
//!
//! `True`, `1` and `1.0` are equal but of three types; dictionaries are equal in any order. Integers beyond 128 bits are
//! held at the largest, and those beyond 64 bits in JSON are read as floats; nothing of the data is as large.

/// A value of Python.
#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Dict(Vec<(String, Value)>),
}

/// Its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    Boolean,
    Integer,
    Float,
    Text,
    List,
    Dict,
}

impl Value {
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::None => Kind::None,
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) => Kind::Integer,
            Self::Float(_) => Kind::Float,
            Self::Text(_) => Kind::Text,
            Self::List(_) => Kind::List,
            Self::Dict(_) => Kind::Dict,
        }
    }

    /// Whether it is the empty text, by which accepted values say that a parameter may be left out.
    pub(super) fn is_empty_text(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    /// Whether two numbers are equal, a truth value being 0 or 1; none where one of them is no number.
    fn numbers_equal(&self, other: &Self) -> Option<bool> {
        let whole = |value: &Self| match value {
            Self::Boolean(flag) => Some(i128::from(*flag)),
            Self::Integer(whole) => Some(*whole),
            _ => None,
        };
        match (whole(self), self, whole(other), other) {
            (Some(one), _, Some(two), _) => Some(one == two),
            (Some(whole), _, _, Self::Float(float)) | (_, Self::Float(float), Some(whole), _) => {
                Some(equals(whole, *float))
            }
            #[expect(clippy::float_cmp, reason = "the official judge compares exactly")]
            (_, Self::Float(one), _, Self::Float(two)) => Some(one == two),
            _ => None,
        }
    }
}

/// Whether two numbers are equal without rounding.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "within the bounds that are checked")]
fn equals(whole: i128, float: f64) -> bool {
    float.fract() == 0.0 && float.abs() < i128::MAX as f64 && float as i128 == whole
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Text(one), Self::Text(two)) => one == two,
            (Self::List(one), Self::List(two)) => one == two,
            (Self::Dict(one), Self::Dict(two)) => {
                let has = |(key, value): &(String, Self)| two.iter().any(|other| other.0 == *key && other.1 == *value);
                one.len() == two.len() && one.iter().all(has)
            }
            _ => self.numbers_equal(other).unwrap_or(false),
        }
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::None,
            serde_json::Value::Bool(flag) => Self::Boolean(*flag),
            serde_json::Value::Number(number) => match number.as_i128() {
                Some(whole) => Self::Integer(whole),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(members) => {
                Self::Dict(members.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_equal_as_in_python() {
        let equal = |one: serde_json::Value, two: serde_json::Value| Value::from(&one) == Value::from(&two);
        assert!(equal(json!(true), json!(1)) && equal(json!(1), json!(1.0)) && equal(json!(0.0), json!(false)));
        assert!(!equal(json!("1"), json!(1)) && !equal(json!(null), json!(false)) && !equal(json!(2), json!(true)));
        assert!(!equal(json!(3), json!(3.5)) && !equal(json!(-3), json!(-3.5)));
        assert!(!equal(json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0)));
        assert!(equal(json!({"a": [1, {"b": 2}], "c": 3}), json!({"c": 3.0, "a": [true, {"b": 2}]})));
        assert!(!equal(json!({"a": 1}), json!({"a": 1, "b": 2})) && !equal(json!([1, 2]), json!([2, 1])));
        assert_eq!(Value::Integer(1).kind(), Kind::Integer);
        assert_ne!(Value::Float(f64::NAN), Value::Float(f64::NAN));
    }
}
