//! Agents as a whole: what the list shows, renaming, deletion. An agent that a process has open is refused.

use rusqlite::named_params;

use super::super::error::{During, Error, Result};
use super::purge::{Purge, note_purge};
use super::{AgentInfo, Store, agent_info};
use crate::types::validate_name;

/// An agent with the size of its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentOverview {
    /// Name, times, model.
    pub info: AgentInfo,
    /// Messages in recall storage: all that were recorded and not removed, summaries apart.
    pub message_count: u64,
    /// Passages that a search in archival storage can find.
    pub passage_count: u64,
    /// Bytes of the texts of its messages, passages and edits; the file takes more for the indexes.
    pub text_bytes: u64,
}

impl Store {
    /// All agents with the size of their memory, the one used last first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn overviews(&self) -> Result<Vec<AgentOverview>> {
        let read = || {
            self.connection
                .prepare(
                    "SELECT name, created_at_ms, model, profile, context_window_tokens, last_login_at_ms,
                         (SELECT count(*) FROM messages m WHERE m.agent_id = a.id AND m.hidden = 0
                          AND m.state = 'complete' AND m.kind <> 'summary'),
                         (SELECT count(*) FROM visible_passages v WHERE v.viewer_id = a.id),
                         (SELECT coalesce(sum(octet_length(body) + coalesce(octet_length(searchable), 0)), 0)
                          FROM messages m WHERE m.agent_id = a.id)
                         + (SELECT coalesce(sum(octet_length(text)), 0) FROM passages p WHERE p.agent_id = a.id)
                         + (SELECT coalesce(sum(octet_length(before_text) + octet_length(after_text)), 0)
                            FROM block_edits e WHERE e.agent_id = a.id)
                     FROM agents a ORDER BY coalesce(last_login_at_ms, created_at_ms) DESC, id DESC",
                )?
                .query_map([], |row| {
                    let number = |index| row.get::<_, i64>(index).map(|number| u64::try_from(number).unwrap_or(0));
                    let (message_count, passage_count, text_bytes) = (number(6)?, number(7)?, number(8)?);
                    Ok(AgentOverview { info: agent_info(row)?, message_count, passage_count, text_bytes })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().during("list the agents")
    }

    /// Gives an agent another name; everything else of it stays.
    ///
    /// # Errors
    /// There is no such agent, it is open, the new name breaks the naming rule or is taken, or the database failed.
    pub fn rename_agent(&self, name: &str, new_name: &str) -> Result<()> {
        validate_name(new_name)?;
        let id = self.known_agent_id(name)?;
        let _lock = self.lock_agent(id, name)?;
        if self.has_agent(new_name)? {
            return Err(Error::AgentExists { name: new_name.to_owned() });
        }
        let mut statement =
            self.connection.prepare("UPDATE agents SET name = :name WHERE id = :agent").during("rename the agent")?;
        statement.execute(named_params! {":name": new_name, ":agent": id}).during("rename the agent")?;
        Ok(())
    }

    /// Deletes an agent with everything that belongs to it. Its bytes are in the file until [`Store::purge`], which is
    /// noted as pending together with the deletion.
    ///
    /// # Errors
    /// There is no such agent, it is open, or the database failed: then nothing was deleted.
    pub fn delete_agent(&self, name: &str) -> Result<()> {
        let id = self.known_agent_id(name)?;
        let _lock = self.lock_agent(id, name)?;
        let operation = "delete the agent";
        let transaction = self.connection.unchecked_transaction().during(operation)?;
        transaction.execute("DELETE FROM agents WHERE id = :agent", named_params! {":agent": id}).during(operation)?;
        note_purge(&transaction, &Purge::ALL)?;
        transaction.commit().during(operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{AgentMemory, NewAgent};
    use crate::types::{Body, ManualClock, NewMessage};

    #[test]
    fn an_agent_that_is_open_is_neither_renamed_nor_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(&folder.path().join("m.db"), &ManualClock::at(0)).unwrap();
        let memory = AgentMemory::create(open(), &NewAgent::named("a", 0)).unwrap();
        assert!(matches!(open().rename_agent("a", "b"), Err(Error::AgentInUse { .. })));
        assert!(matches!(open().delete_agent("a"), Err(Error::AgentInUse { .. })));
        drop(memory);
        assert!(matches!(open().rename_agent("a", "-b"), Err(Error::Name(_))));
        assert!(matches!(open().rename_agent("a", "a"), Err(Error::AgentExists { .. })));
        open().rename_agent("a", "b").unwrap();
        assert!(matches!(open().rename_agent("a", "c"), Err(Error::UnknownAgent { .. })));
        open().delete_agent("b").unwrap();
        assert!(open().agents().unwrap().is_empty());
    }

    #[test]
    fn an_overview_counts_what_a_search_can_find() {
        let mut memory = AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named("a", 5)).unwrap();
        for text in ["one", "two", "three"] {
            let body = Body::User { text: text.into() };
            memory.record(&[NewMessage { at_ms: 6, body, interrupted: false }]).unwrap();
        }
        memory.pop(1).unwrap();
        let mut step = memory.step(7).unwrap();
        step.archival_insert("a passage", None).unwrap();
        step.commit().unwrap();
        let overviews = memory.store().overviews().unwrap();
        let overview = overviews.first().unwrap();
        assert_eq!((overview.message_count, overview.passage_count), (2, 1));
        assert!(overview.text_bytes > 20, "{}", overview.text_bytes);
    }
}
