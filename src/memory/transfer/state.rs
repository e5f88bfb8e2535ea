//! The rows that a checkpoint names, under other numbers. A stored state is taken as plain JSON: whatever else it holds
//! is carried along as it is.

use serde_json::Value;

/// How rows are called elsewhere. Numbers ascend with ids.
pub(super) trait Renumber {
    /// The same message; none where there is no such row.
    fn message(&self, id: i64) -> Option<i64>;
    /// The last message that is not newer, 0 where there is none.
    fn last_message(&self, id: i64) -> i64;
    /// The same passage; none where there is no such row.
    fn passage(&self, id: i64) -> Option<i64>;
    /// The last passage that is not newer, 0 where there is none.
    fn last_passage(&self, id: i64) -> i64;
}

/// Renumbers a state in place. Rows that are not there are left out.
///
/// # Errors
/// What is not as a state should be.
pub(super) fn renumber(state: &mut Value, numbers: &dyn Renumber) -> Result<(), String> {
    for text in ["persona", "human"] {
        if !state.get(text).is_some_and(Value::is_string) {
            return Err(format!("its {text} is no text"));
        }
    }
    renumber_queue(field(state, "queue")?, numbers)?;
    let hidden = field(state, "hidden_messages")?;
    *hidden = rows(hidden, &|id| numbers.message(id), &|id| numbers.last_message(id))?;
    let hidden = field(state, "hidden_passages")?;
    *hidden = rows(hidden, &|id| numbers.passage(id), &|id| numbers.last_passage(id))?;
    let last = field(state, "last_message")?;
    *last = numbers.last_message(whole(last)?).into();
    let last = field(state, "last_passage")?;
    *last = numbers.last_passage(whole(last)?).into();
    if let Some(passed) = state.get_mut("passes").and_then(|passes| passes.get_mut("passed_message_id")) {
        *passed = numbers.last_message(whole(passed)?).into();
    }
    // Sources do not travel with an agent: their numbers mean others elsewhere.
    if let Some(state) = state.as_object_mut() {
        state.remove("sources");
    }
    Ok(())
}

fn field<'a>(state: &'a mut Value, name: &str) -> Result<&'a mut Value, String> {
    state.get_mut(name).ok_or_else(|| format!("it has no {name}"))
}

fn whole(value: &Value) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("{value} is no number of a row"))
}

fn renumber_queue(queue: &mut Value, numbers: &dyn Renumber) -> Result<(), String> {
    let entries = queue.as_array_mut().ok_or("its queue is no list")?;
    let mut kept = Vec::new();
    for mut entry in entries.drain(..) {
        let id = field(&mut entry, "id")?;
        if let Some(number) = numbers.message(whole(id)?) {
            *id = number.into();
            kept.push(entry);
        }
    }
    *entries = kept;
    Ok(())
}

/// A list of rows and of runs of rows (`[first, last]`).
fn rows(list: &Value, same: &dyn Fn(i64) -> Option<i64>, up_to: &dyn Fn(i64) -> i64) -> Result<Value, String> {
    let mut found = Vec::new();
    for item in list.as_array().ok_or("its hidden rows are no list")? {
        match item.as_array().map(Vec::as_slice) {
            None => found.extend(same(whole(item)?).map(Value::from)),
            Some([first, last]) => {
                let (first, last) = (whole(first)?, whole(last)?);
                // The rows of a run follow each other under their new numbers as well.
                let (below, end) = (up_to(first.saturating_sub(1)), up_to(last));
                let start = same(first).unwrap_or_else(|| below.saturating_add(1));
                if end > below && start <= end {
                    found.push(vec![start, end].into());
                }
            }
            Some(_) => return Err(format!("{item} is no run of rows")),
        }
    }
    Ok(Value::Array(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Rows 3, 5, 6 and 9 are 1 to 4.
    struct Four;

    impl Renumber for Four {
        fn message(&self, id: i64) -> Option<i64> {
            [3, 5, 6, 9].iter().position(|known| *known == id).map(|index| index as i64 + 1)
        }
        fn last_message(&self, id: i64) -> i64 {
            [3, 5, 6, 9].iter().filter(|known| **known <= id).count() as i64
        }
        fn passage(&self, id: i64) -> Option<i64> {
            self.message(id)
        }
        fn last_passage(&self, id: i64) -> i64 {
            self.last_message(id)
        }
    }

    #[test]
    fn rows_and_runs_are_renumbered_and_what_is_gone_is_left_out() {
        let mut state = json!({"persona": "p", "human": "h", "queue": [{"id": 3, "stub": "s"}, {"id": 4}],
            "hidden_messages": [3, 4, [5, 8]], "last_message": 8, "hidden_passages": [[7, 8]], "last_passage": 2,
            "passes": {"passed_message_id": 6}, "sources": [2], "more": true});
        renumber(&mut state, &Four).unwrap();
        let expected = json!({"persona": "p", "human": "h", "queue": [{"id": 1, "stub": "s"}],
            "hidden_messages": [1, [2, 3]], "last_message": 3, "hidden_passages": [], "last_passage": 0,
            "passes": {"passed_message_id": 3}, "more": true});
        assert_eq!(state, expected);
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for wrong in [json!({}), json!([]), json!({"persona": "p", "human": "h", "queue": 7})] {
            assert!(renumber(&mut wrong.clone(), &Four).is_err(), "{wrong}");
        }
    }
}
