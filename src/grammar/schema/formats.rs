//! Formats, as patterns.

/// What a format says.
pub(super) enum Format {
    /// Nothing of values.
    Annotation,
    /// The strings that match this pattern.
    Text(&'static str),
    /// The numbers between two ends, these included.
    Range(i64, i64),
}

/// All formats that say something of strings, for messages.
pub(super) const NAMES: &str = "date, time, date-time, uuid, email, ipv4 and uri";

macro_rules! date {
    () => {
        concat!(
            r"(([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29|",
            r"[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|",
            r"02-(0[1-9]|1[0-9]|2[0-8])))"
        )
    };
}

macro_rules! time {
    () => {
        r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
    };
}

/// The format of this name.
///
/// `date`, `time` and `date-time` are RFC 3339 without leap seconds, fractions of up to nine digits. `email` is a dot
/// string of up to three parts and a host name of up to five labels: no quotes, no address literals. `uri` is RFC 3986
/// without IP literals. `int32` and `int64` are the ranges that OpenAPI gives them. `float` and `double` name only the
/// precision in which a program will keep a number, `password` how a form shows a string: they are annotations.
pub(super) fn find(name: &str) -> Option<Format> {
    Some(match name {
        "date" => Format::Text(concat!("^", date!(), "$")),
        "time" => Format::Text(concat!("^", time!(), "$")),
        "date-time" => Format::Text(concat!("^", date!(), "[Tt]", time!(), "$")),
        "uuid" => Format::Text("^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"),
        "ipv4" => Format::Text(concat!(
            r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}",
            r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$"
        )),
        "email" => Format::Text(concat!(
            r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,30}(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,15}){0,2}@",
            r"[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20}){0,2}(\.[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20})?){0,4}$"
        )),
        "uri" => Format::Text(concat!(
            r"^[A-Za-z][A-Za-z0-9+.-]*:",
            r"(//(([A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?",
            r"([A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*(:[0-9]{0,5})?",
            r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*",
            r"|/(([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*)?",
            r"|(([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*)?)",
            r"(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?",
            r"(#([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$"
        )),
        "int32" => Format::Range(i32::MIN as i64, i32::MAX as i64),
        "int64" => Format::Range(i64::MIN, i64::MAX),
        "float" | "double" | "password" => Format::Annotation,
        _ => return None,
    })
}
