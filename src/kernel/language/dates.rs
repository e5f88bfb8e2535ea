//! Days in a fact that only mean something on the day on which they were said: "tomorrow" is put down as a date. Pure.
//!
//! Facts are written in English, so English words are enough. What could mean two days ("next Friday", said on a Monday) keeps
//! its words and gets the day on which it was said beside them.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

use super::words::words;

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// Words for one day, longest first, and how many days away it is.
const DAYS: [(&str, i32); 6] = [
    ("the day after tomorrow", 2),
    ("the day before yesterday", -2),
    ("tomorrow", 1),
    ("yesterday", -1),
    ("tonight", 0),
    ("today", 0),
];

/// Words for a time of which only the day tells when it is on which they are said.
const LOOSE: [&str; 15] = [
    "last night",
    "this week",
    "this weekend",
    "this month",
    "this year",
    "next week",
    "next weekend",
    "next month",
    "next year",
    "last week",
    "last weekend",
    "last month",
    "last year",
    "days ago",
    "weeks ago",
];

/// Parts of a day that can stand behind it.
const PARTS: [&str; 4] = ["morning", "afternoon", "evening", "night"];

/// Words that lead to a day.
const LEADING: [&str; 6] = ["on", "by", "until", "from", "since", "for"];

/// Other words that tell when something is.
#[rustfmt::skip]
const TIMES: [&str; 22] = [
    "april", "august", "december", "february", "january", "july", "june", "midday", "midnight", "november", "noon", "october", "september",
    "today", "tomorrow", "tonight", "week", "weekend", "morning", "afternoon", "evening", "clock",
];

/// What stands behind the number of an hour or a day.
const COUNTED: [&str; 7] = ["am", "pm", "o", "st", "nd", "rd", "th"];

/// Whether a text tells when something is, as far as its words and digits tell.
pub(in crate::kernel) fn tells_when(text: &str) -> bool {
    let words: Vec<String> = words(text).collect();
    let word_at = |at: usize| words.get(at).map_or("", String::as_str);
    words.iter().enumerate().any(|(at, word)| {
        let is_day = WEEKDAYS.iter().any(|(day, _)| *day == word.trim_end_matches('s'));
        let digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_number = digits.len() < word.len();
        let is_time = is_number
            && (COUNTED.contains(&digits)
                || digits.is_empty() && (COUNTED.contains(&word_at(at + 1)) || at > 0 && word_at(at - 1) == "at"));
        is_day || is_time || TIMES.contains(&&**word)
    })
}

/// The fact with days as dates; it was said on `said_on`.
pub(in crate::kernel) fn dated(fact: &str, said_on: Date) -> String {
    if let Some(dated) = with_day(fact, said_on).or_else(|| with_weekday(fact, said_on)) {
        return dated;
    }
    if LOOSE.iter().any(|loose| find(fact, loose).is_some()) { with_origin(fact, said_on) } else { fact.to_owned() }
}

/// "tomorrow" as a date.
fn with_day(fact: &str, said_on: Date) -> Option<String> {
    let (at, words, away) = DAYS.iter().find_map(|(words, away)| Some((find(fact, words)?, *words, *away)))?;
    let day = said_on.checked_add(away.days()).ok()?;
    let (before, behind) = (fact.get(..at)?, fact.get(at + words.len()..)?);
    // "tomorrow's exam" has no place for "on".
    if behind.starts_with(['\'', '’']) {
        return Some(with_origin(fact, said_on));
    }
    let part = PARTS.iter().find(|part| starts_with_word(behind, part));
    let (part, behind) = match part {
        Some(part) => (*part, behind.get(1 + part.len()..)?),
        None if words == "tonight" => ("evening", behind),
        None => ("", behind),
    };
    let day = match part {
        "" => spelled(day),
        "night" => format!("{}, at night", spelled(day)),
        part => format!("{}, in the {part}", spelled(day)),
    };
    Some(placed(before, &day, behind))
}

/// "next Friday" with its date where that is one day for everybody.
fn with_weekday(fact: &str, said_on: Date) -> Option<String> {
    let named = |(name, weekday): &(&str, Weekday)| {
        let words = format!("next {name}");
        Some((find(fact, &words)?, words.len(), *weekday))
    };
    let (at, length, weekday) = WEEKDAYS.iter().find_map(named)?;
    let place = |weekday: Weekday| weekday.to_monday_zero_offset();
    if place(weekday) > place(said_on.weekday()) {
        // Later in this week, or in the next one?
        return Some(with_origin(fact, said_on));
    }
    let day = said_on.nth_weekday(1, weekday).ok()?;
    Some(placed(fact.get(..at)?, &spelled(day), fact.get(at + length..)?))
}

/// A day in the place of its words.
fn placed(before: &str, day: &str, behind: &str) -> String {
    let before = before.trim_end();
    let leads = before.rsplit(' ').next().is_some_and(|last| LEADING.contains(&last));
    let on = match before {
        "" => "On ",
        _ if leads => " ",
        _ => " on ",
    };
    format!("{before}{on}{day}{behind}")
}

/// The fact with the day on which it was said.
fn with_origin(fact: &str, said_on: Date) -> String {
    let body = fact.trim_end();
    let (body, end) = body.strip_suffix('.').map_or((body, ""), |body| (body, "."));
    format!("{body} (said on {}){end}", spelled(said_on))
}

fn spelled(day: Date) -> String {
    day.strftime("%A, %-d %B %Y").to_string()
}

/// Where `words` stand in a fact as whole words, in any case.
fn find(fact: &str, words: &str) -> Option<usize> {
    let lower = fact.to_ascii_lowercase();
    let is_apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    lower
        .match_indices(words)
        .find(|(at, _)| {
            let behind = lower.get(at + words.len()..).unwrap_or_default();
            is_apart(lower.get(..*at).unwrap_or_default().chars().next_back()) && is_apart(behind.chars().next())
        })
        .map(|(at, _)| at)
}

fn starts_with_word(text: &str, word: &str) -> bool {
    let behind = text.strip_prefix(' ').and_then(|text| text.strip_prefix(word));
    behind.is_some_and(|behind| !behind.starts_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    /// Said on a Wednesday.
    fn said(fact: &str) -> String {
        dated(fact, date(2026, 12, 2))
    }

    #[test]
    fn days_become_dates() {
        for (fact, expected) in [
            ("The user's exam is tomorrow.", "The user's exam is on Thursday, 3 December 2026."),
            ("Tomorrow the user flies to Oslo.", "On Thursday, 3 December 2026 the user flies to Oslo."),
            ("The user was ill yesterday.", "The user was ill on Tuesday, 1 December 2026."),
            ("The user cooks tonight.", "The user cooks on Wednesday, 2 December 2026, in the evening."),
            (
                "The user's boat arrives tomorrow morning at 8.",
                "The user's boat arrives on Thursday, 3 December 2026, in the morning at 8.",
            ),
            (
                "The user's aunt stays until the day after tomorrow.",
                "The user's aunt stays until Friday, 4 December 2026.",
            ),
            ("Zibby visits next Tuesday.", "Zibby visits on Tuesday, 8 December 2026."),
            ("Zibby visits on next Wednesday.", "Zibby visits on Wednesday, 9 December 2026."),
        ] {
            assert_eq!(said(fact), expected);
        }
    }

    #[test]
    fn what_could_be_two_days_keeps_its_words() {
        for (fact, expected) in [
            ("Zibby visits next Friday.", "Zibby visits next Friday (said on Wednesday, 2 December 2026)."),
            ("The user moved last month", "The user moved last month (said on Wednesday, 2 December 2026)"),
            ("Tomorrow's exam is hard.", "Tomorrow's exam is hard (said on Wednesday, 2 December 2026)."),
        ] {
            assert_eq!(said(fact), expected);
        }
    }

    #[test]
    fn other_facts_stay_as_they_are() {
        for fact in ["The user plays chess on Fridays.", "The user's exam is on Friday.", "Mr Todayson sings.", ""] {
            assert_eq!(said(fact), fact);
        }
    }
}
