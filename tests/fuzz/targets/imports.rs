//! Any bytes as a chat history or as an agent, in each form: all of it is stored or nothing, soon. What was stored is
//! there: a second import of the history adds nothing, and the agent's export makes the same agent.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use mneme::memory::{AgentForm, AgentMemory, ChatImport, Chats, Error, NewAgent, Result, Store, recognise};

/// The agent that takes histories.
const TAKER: &str = "taker";

thread_local! {
    /// As good as new: what was refused has left nothing in it.
    static STORE: RefCell<Option<Store>> = const { RefCell::new(None) };
}

fn fresh() -> Store {
    AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named(TAKER, 0)).unwrap().into_store()
}

fn import_chats(store: &mut Store, bytes: &[u8], lines: bool) -> Result<ChatImport> {
    let mut read = |chats: &mut Chats<'_>| {
        let mut input = bytes;
        if lines { chats.read_lines(&mut input) } else { chats.read_document(&mut input) }
    };
    store.import_chats(TAKER, &mut read, &mut |_| {})
}

fn chats(store: &mut Store, bytes: &[u8], lines: bool) -> Result<()> {
    let before = store.view(TAKER).unwrap().conversation_count().unwrap();
    let done = import_chats(store, bytes, lines)?;
    let stored = store.view(TAKER).unwrap().conversation_count().unwrap();
    assert_eq!(stored, before + done.added);
    assert!(store.view(TAKER).unwrap().unanswered().unwrap().is_none());
    let again = import_chats(store, bytes, lines).unwrap();
    assert_eq!((again.added, again.known, again.skipped), (0, done.added + done.known, done.skipped));
    Ok(())
}

/// The export of an agent without its first record, which holds the name.
fn export(store: &Store, name: &str) -> String {
    let mut out = Vec::new();
    store.export_agent(name, AgentForm::Mneme, true, &mut out).unwrap();
    store.export_agent(name, AgentForm::Letta, false, &mut std::io::sink()).unwrap();
    String::from_utf8(out).unwrap()
}

fn agent(store: &mut Store, mut bytes: &[u8], form: AgentForm) -> Result<()> {
    let done = store.import_agent(form, &mut bytes, Some("first"), &mut |_| {})?;
    let exported = export(store, "first");
    let again = store.import_agent(AgentForm::Mneme, &mut exported.as_bytes(), Some("second"), &mut |_| {}).unwrap();
    assert_eq!((again.messages, again.passages, again.edits), (done.messages, done.passages, done.edits));
    let copy = export(store, "second");
    let behind_name = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
    assert_eq!(behind_name(&exported), behind_name(&copy));
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let _ = recognise(&mut &*bytes);
    STORE.with_borrow_mut(|kept| {
        let mut store = kept.take().unwrap_or_else(fresh);
        let done = match first % 4 {
            0 => chats(&mut store, bytes, true),
            1 => chats(&mut store, bytes, false),
            2 => agent(&mut store, bytes, AgentForm::Mneme),
            _ => agent(&mut store, bytes, AgentForm::Letta),
        };
        if let Err(error) = done {
            let is_expected = matches!(error, Error::BadImport { .. } | Error::Name(_) | Error::Transfer { .. });
            assert!(is_expected && !error.to_string().is_empty(), "{error:?}");
            assert_eq!(store.agents().unwrap().len(), 1);
            *kept = Some(store);
        }
    });
});
