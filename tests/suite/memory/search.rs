//! Searching recall and archival storage.

use jiff::civil::date;
use jiff::tz::TimeZone;
use mneme::memory::{EditError, Error, Role};
use mneme::types::{Body, NewMessage};

use super::{call, event, found, in_memory, reply, result, user};

#[test]
fn search_finds_what_both_sides_said_and_nothing_else() {
    let mut memory = in_memory();
    memory.record(&[user("a heron"), reply("herons, yes"), call("heron"), result("heron", "heron"), event()]).unwrap();
    let page = memory.view().search("heron", 0, 5).unwrap();
    let roles: Vec<Role> = page.items.iter().map(|hit| hit.role).collect();
    assert_eq!((page.total, page.page_count), (2, 1));
    assert!(roles.contains(&Role::User) && roles.contains(&Role::Agent));
    assert_eq!(memory.view().conversation_count().unwrap(), 2);
    assert_eq!(memory.view().recall_count().unwrap(), 5);
}

#[test]
fn better_matches_come_first_and_pages_tell_the_true_total() {
    let mut memory = in_memory();
    for n in 0..12 {
        memory.record(&[user(&format!("the lighthouse number {n} and many other words about the sea"))]).unwrap();
    }
    memory.record(&[user("lighthouse keeper")]).unwrap();
    let page = memory.view().search("lighthouse keeper", 0, 5).unwrap();
    assert_eq!(page.items[0].text, "lighthouse keeper");
    assert_eq!((page.items.len(), page.total, page.page_count), (5, 13, 3));
    let last = memory.view().search("lighthouse keeper", 2, 5).unwrap();
    assert_eq!((last.items.len(), last.total), (3, 13));
    let beyond = memory.view().search("lighthouse keeper", u64::MAX, 5).unwrap();
    assert_eq!((beyond.items.len(), beyond.total), (0, 13));
}

#[test]
fn every_string_is_a_legal_query() {
    let mut memory = in_memory();
    memory
        .record(&[
            user("I write C++ and don't like AND gates"),
            reply("Your 生日蛋糕 is ready 🎂"),
            user("Kirschtorte, naïve café"),
            user("ราคาเท่าไหร่"),
        ])
        .unwrap();
    let is_found = |query: &str, part: &str| {
        let hits = found(&memory, query);
        assert!(hits.first().is_some_and(|hit| hit.contains(part)), "{query:?}: {hits:?}");
    };
    is_found("c++", "C++");
    is_found("don't", "don't");
    is_found("AND gates", "gates");
    is_found("\"gates", "gates");
    is_found("gates\"*", "gates");
    is_found("生日", "生日");
    is_found("日", "生日");
    is_found("我的生日蛋糕在哪里", "生日");
    is_found("🎂", "🎂");
    is_found("Kirsch", "Kirschtorte");
    is_found("cafe naive", "café");
    is_found("writing", "write");
    is_found("เท่า", "เท่า");
    for query in ["", " ", "\"", "\"\"", "*", "NEAR(", "a:b", "-x", "^", "( OR )", "'; --", "\0", "++", "%", "_"] {
        memory.view().search(query, 0, 5).unwrap();
        memory.view().archival_search(query, 0, 5).unwrap();
    }
    assert!(found(&memory, "").is_empty() && found(&memory, "%").is_empty() && found(&memory, "zebra").is_empty());
}

#[test]
fn date_search_takes_whole_local_days_across_daylight_saving() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let ms = |day: jiff::civil::Date, hour: i8, minute: i8| {
        day.at(hour, minute, 0, 0).to_zoned(zone.clone()).unwrap().timestamp().as_millisecond()
    };
    let mut memory = in_memory();
    let mut said = |text: &str, at_ms: i64| {
        let body = Body::User { text: text.into() };
        memory.record(&[NewMessage { at_ms, body, interrupted: false }]).unwrap();
    };
    // The clocks go forward on 2025-03-30 (23 hours) and back on 2025-10-26 (25 hours).
    said("eve", ms(date(2025, 3, 29), 23, 59));
    said("first", ms(date(2025, 3, 30), 0, 0));
    said("last", ms(date(2025, 3, 30), 23, 59));
    said("after", ms(date(2025, 3, 31), 0, 0));
    said("autumn", ms(date(2025, 10, 26), 23, 59));
    said("winter", ms(date(2025, 10, 27), 0, 0));
    let on = |start, end| {
        let page = memory.view().search_date(start, end, &zone, 0, 10).unwrap();
        assert_eq!(page.total, page.items.len() as u64);
        page.items.into_iter().map(|hit| hit.text).collect::<Vec<_>>()
    };
    assert_eq!(on(date(2025, 3, 30), date(2025, 3, 30)), ["first", "last"]);
    assert_eq!(on(date(2025, 10, 26), date(2025, 10, 26)), ["autumn"]);
    assert_eq!(on(date(2025, 3, 31), date(2025, 3, 29)), ["eve", "first", "last", "after"]);
    assert_eq!(on(date(1, 1, 1), date(9999, 12, 31)).len(), 6);
    let page = memory.view().search_date(date(2025, 1, 1), date(2025, 12, 31), &zone, 1, 4).unwrap();
    assert_eq!((page.items.len(), page.total, page.page_count), (2, 6, 2));
}

#[test]
fn archival_passages_are_found_paged_and_not_stored_twice() {
    let mut memory = in_memory();
    let mut step = memory.step(77).unwrap();
    for n in 0..7 {
        step.archival_insert(&format!("Note {n}: the orchard has a wall of stone on its northern side."), None)
            .unwrap();
    }
    let error = step.archival_insert("note 3, the orchard has a WALL of stone on its northern side", None).unwrap_err();
    assert!(matches!(error, Error::Edit(EditError::DuplicatePassage)), "{error:?}");
    assert!(matches!(step.archival_insert(" \n", None), Err(Error::Edit(EditError::Empty { .. }))));
    let inserted = step
        .archival_insert("Note 3: the orchard has a wall of stones on its northern side.", Some("garden.txt"))
        .unwrap();
    assert!(inserted.similar.is_some());
    step.commit().unwrap();
    let page = memory.view().archival_search("orchard walls", 1, 5).unwrap();
    assert_eq!((page.items.len(), page.total, page.page_count), (3, 8, 2));
    assert_eq!(page.items[0].at_ms, 77);
    let all = memory.view().archival_search("orchard", 0, 8).unwrap().items;
    let newest = all.iter().find(|hit| hit.id == inserted.id).unwrap();
    assert_eq!((newest.text.contains("stones"), newest.source.as_deref()), (true, Some("garden.txt")));
}
