//! `mneme list|add|delete|rename agents`.

use std::path::Path;

use indicatif::DecimalBytes;
use serde_json::json;

use super::super::chat::Texts;
use super::super::output::{print_json, stdout};
use super::table::Table;
use super::{Done, Error, confirmed, home, local_time, open_store, purge};
use crate::cli::ExitCode;
use crate::config::{Config, ConfigFile, Overrides};
use crate::dialect::Profile;
use crate::memory::{AgentMemory, Error as MemoryError, NewAgent};
use crate::types::{Clock, Draft, SystemClock};

pub(super) fn list(as_json: bool) -> Done {
    let store = open_store(&home()?)?;
    let agents = store.overviews()?;
    if as_json {
        let rows = agents.iter().map(|agent| {
            json!({
                "name": agent.info.name,
                "created_at_ms": agent.info.created_at_ms,
                "last_login_at_ms": agent.info.last_login_at_ms,
                "model": agent.info.model,
                "profile": agent.info.profile,
                "messages": agent.message_count,
                "passages": agent.passage_count,
                "text_bytes": agent.text_bytes,
            })
        });
        print_json(&rows.collect())?;
        return Ok(ExitCode::Ok);
    }
    if agents.is_empty() {
        writeln!(stdout(), "There are no agents yet. Talk to one: mneme run --agent NAME")?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["name", "created", "last login", "model", "messages", "passages", "size"]);
    for agent in agents {
        table.row(vec![
            agent.info.name,
            local_time(agent.info.created_at_ms),
            agent.info.last_login_at_ms.map_or_else(|| "never".to_owned(), local_time),
            if agent.info.model.is_empty() { "-".to_owned() } else { agent.info.model },
            agent.message_count.to_string(),
            agent.passage_count.to_string(),
            DecimalBytes(agent.text_bytes).to_string(),
        ]);
    }
    table.print()?;
    Ok(ExitCode::Ok)
}

pub(super) fn add(name: &str, persona: Option<String>, human: Option<String>, profile: Option<Profile>) -> Done {
    let home = home()?;
    let overrides = Overrides { persona, human, profile, ..Overrides::default() };
    let config = Config::new(home.clone(), ConfigFile::read(&home)?, overrides)?;
    let store = open_store(&home)?;
    crate::types::validate_name(name)?;
    if store.has_agent(name)? {
        return Err(MemoryError::AgentExists { name: name.to_owned() }.into());
    }
    let texts = Texts::read(&config, &store, name)?;
    let agent = NewAgent {
        name: name.to_owned(),
        at_ms: SystemClock.now_ms(),
        model: config.model.clone().unwrap_or_default(),
        profile: config.profile.as_str().to_owned(),
        context_window_tokens: config.context_window.unwrap_or_default(),
        persona: texts.persona,
        human: texts.human,
        persona_limit_chars: config.core_memory_limit_chars,
        human_limit_chars: config.core_memory_limit_chars,
    };
    AgentMemory::create(store, &agent)?;
    writeln!(stdout(), "The agent {name} is there. Talk to it: mneme run --agent {name}")?;
    Ok(ExitCode::Ok)
}

pub(super) fn rename(name: &str, new_name: &str) -> Done {
    let home = home()?;
    let store = open_store(&home)?;
    // Refused before drafts are copied.
    crate::types::validate_name(new_name)?;
    store.view(name)?;
    if store.has_agent(new_name)? {
        return Err(MemoryError::AgentExists { name: new_name.to_owned() }.into());
    }
    // Drafts of no agent are deleted by the next purge: at any moment those of this one have its name, whichever it is.
    let drafts = drafts_of(&home, name)?;
    let renamed = copy_drafts(&drafts, new_name).and_then(|()| Ok(store.rename_agent(name, new_name)?));
    let needless = if renamed.is_ok() { drafts } else { drafts_of(&home, new_name)? };
    // What stays is deleted by the next purge.
    needless.iter().for_each(|draft| drop(std::fs::remove_file(&draft.path)));
    renamed?;
    writeln!(stdout(), "The agent {name} is called {new_name} now.")?;
    Ok(ExitCode::Ok)
}

fn copy_drafts(drafts: &[Draft], new_name: &str) -> Result<(), super::super::Error> {
    for draft in drafts {
        let copy = std::fs::copy(&draft.path, draft.renamed(new_name));
        copy.map_err(|source| Error::File { path: draft.path.clone(), source })?;
    }
    Ok(())
}

fn drafts_of(home: &Path, name: &str) -> Result<Vec<Draft>, super::super::Error> {
    let drafts = Draft::all(home).map_err(|source| Error::File { path: home.to_owned(), source })?;
    Ok(drafts.into_iter().filter(|draft| draft.agent == name).collect())
}

pub(super) fn delete(name: &str, yes: bool) -> Done {
    let home = home()?;
    let store = open_store(&home)?;
    // Refused before the question.
    store.view(name)?;
    let found = store.overviews()?.into_iter().find(|agent| agent.info.name == name);
    let (messages, passages) = found.map_or((0, 0), |agent| (agent.message_count, agent.passage_count));
    let question = format!("Delete the agent {name} with {messages} messages and {passages} passages for good?");
    if !confirmed(&question, yes)? {
        return Ok(ExitCode::Failed);
    }
    store.delete_agent(name)?;
    let mut out = stdout();
    writeln!(out, "The agent {name} is deleted.")?;
    for notice in purge::purge(&store, &home)? {
        writeln!(out, "{notice}")?;
    }
    writeln!(out, "Backups and exports that you have made yourself still hold it.")?;
    Ok(ExitCode::Ok)
}
