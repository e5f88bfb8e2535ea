//! `mneme list passages` and `mneme delete passage`: the archival storage of an agent, its attached documents included.

use serde_json::json;

use super::super::output::{print_json, print_text, stdout};
use super::{Done, Error, confirmed, home, local_time, open_store};
use crate::cli::ExitCode;
use crate::memory::AgentMemory;
use crate::types::{Clock, PassageId, SystemClock};
use crate::ui::sanitize;

/// Passages on a page.
const PAGE_SIZE: u64 = 20;

/// Lists a page, from 1, the newest first.
pub(super) fn list(agent: &str, page: u64, as_json: bool) -> Done {
    let store = open_store(&home()?)?;
    let found = store.view(agent)?.passages(page.saturating_sub(1), PAGE_SIZE)?;
    if page > found.page_count.max(1) {
        return Err(Error::NoPage { page, page_count: found.page_count }.into());
    }
    if as_json {
        let passages: Vec<_> = found
            .items
            .iter()
            .map(|hit| json!({"id": hit.id.0, "at_ms": hit.at_ms, "source": hit.origin(), "text": hit.text}))
            .collect();
        print_json(&json!({
            "total": found.total,
            "page": page,
            "pages": found.page_count,
            "passages": passages,
        }))?;
        return Ok(ExitCode::Ok);
    }
    if found.total == 0 {
        writeln!(stdout(), "The archival storage of {agent} is empty.")?;
        return Ok(ExitCode::Ok);
    }
    let mut text = String::new();
    for hit in &found.items {
        let origin = hit.origin().map_or_else(String::new, |origin| format!(" ({origin})"));
        let said = hit.text.replace('\n', "\n    ");
        text.push_str(&sanitize(&format!("[{}] {}{origin}\n    {said}\n", hit.id.0, local_time(hit.at_ms))));
    }
    text.push_str(&format!("{} in all, page {page} of {}, the newest first\n", found.total, found.page_count));
    print_text(&text)?;
    Ok(ExitCode::Ok)
}

/// Deletes one of the agent's own passages.
pub(super) fn delete(agent: &str, id: &str, yes: bool) -> Done {
    let id = id.parse().map(PassageId).map_err(|_| Error::NoPassageNumber { typed: id.to_owned() })?;
    let store = open_store(&home()?)?;
    // Shown and refused before the question.
    let passage = store.view(agent)?.own_passage(id)?;
    let mut out = stdout();
    writeln!(out, "[{}] {}\n{}", id.0, local_time(passage.at_ms), sanitize(&passage.text))?;
    if !confirmed(&format!("Delete this passage of {agent}?"), yes)? {
        return Ok(ExitCode::Failed);
    }
    let mut memory = AgentMemory::open(store, agent)?;
    let mut step = memory.step(SystemClock.now_ms())?;
    step.archival_delete(id)?;
    step.commit()?;
    writeln!(out, "Passage {} is deleted. An earlier checkpoint brings it back; /forget in the chat does not.", id.0)?;
    Ok(ExitCode::Ok)
}
