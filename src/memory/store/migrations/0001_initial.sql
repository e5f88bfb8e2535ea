CREATE TABLE agents (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL,
    model TEXT NOT NULL,
    profile TEXT NOT NULL,
    context_window_tokens INTEGER NOT NULL,
    last_login_at_ms INTEGER,
    memory_pressure_warned INTEGER NOT NULL DEFAULT 0 CHECK (memory_pressure_warned IN (0, 1)),
    -- The newest message of the user that a memory pass has looked at.
    passed_message_id INTEGER NOT NULL DEFAULT 0,
    heartbeats_paused_until_ms INTEGER
) STRICT;

CREATE TABLE core_memory (
    agent_id INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    label TEXT NOT NULL CHECK (label IN ('persona', 'human')),
    text TEXT NOT NULL,
    limit_chars INTEGER NOT NULL CHECK (limit_chars > 0),
    PRIMARY KEY (agent_id, label)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a checkpoint names the newest row of its time, so ids must never come back.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'notification', 'assistant', 'function_result', 'summary')),
    body TEXT NOT NULL,
    searchable TEXT,
    interrupted INTEGER NOT NULL DEFAULT 0 CHECK (interrupted IN (0, 1)),
    stub TEXT,
    state TEXT NOT NULL DEFAULT 'complete' CHECK (state IN ('streaming', 'complete')),
    in_queue INTEGER NOT NULL DEFAULT 1 CHECK (in_queue IN (0, 1)),
    hidden INTEGER NOT NULL DEFAULT 0 CHECK (hidden IN (0, 1))
) STRICT;

CREATE INDEX messages_in_queue ON messages (agent_id, id) WHERE in_queue = 1;
CREATE INDEX messages_by_time ON messages (agent_id, at_ms, id) WHERE searchable IS NOT NULL;
CREATE INDEX messages_streaming ON messages (agent_id) WHERE state = 'streaming';
CREATE INDEX messages_hidden ON messages (agent_id, id) WHERE hidden = 1;

CREATE TABLE block_edits (
    id INTEGER PRIMARY KEY,
    agent_id INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    label TEXT NOT NULL CHECK (label IN ('persona', 'human')),
    before_text TEXT NOT NULL,
    after_text TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    message_id INTEGER REFERENCES messages (id) ON DELETE SET NULL,
    cause TEXT NOT NULL
) STRICT;

CREATE INDEX block_edits_of_agent ON block_edits (agent_id, id);
CREATE INDEX block_edits_of_message ON block_edits (message_id) WHERE message_id IS NOT NULL;

CREATE TABLE passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    at_ms INTEGER NOT NULL,
    text TEXT NOT NULL,
    source TEXT,
    fingerprint BLOB NOT NULL,
    hidden INTEGER NOT NULL DEFAULT 0 CHECK (hidden IN (0, 1))
) STRICT;

CREATE INDEX passages_by_fingerprint ON passages (agent_id, fingerprint);
CREATE INDEX passages_hidden ON passages (agent_id, id) WHERE hidden = 1;

CREATE TABLE checkpoints (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    UNIQUE (agent_id, name)
) STRICT;

-- The indexes read through these views, so that a rebuild leaves out what is hidden.
CREATE VIEW searchable_messages AS
SELECT id, searchable AS text FROM messages WHERE hidden = 0 AND searchable IS NOT NULL;

CREATE VIEW searchable_passages AS
SELECT id, text FROM passages WHERE hidden = 0;

CREATE VIRTUAL TABLE messages_fts USING fts5 (
    text, content = 'searchable_messages', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE messages_trigram USING fts5 (
    text, content = 'searchable_messages', content_rowid = 'id', tokenize = 'trigram remove_diacritics 1'
);
CREATE VIRTUAL TABLE passages_fts USING fts5 (
    text, content = 'searchable_passages', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE passages_trigram USING fts5 (
    text, content = 'searchable_passages', content_rowid = 'id', tokenize = 'trigram remove_diacritics 1'
);

CREATE TRIGGER messages_inserted AFTER INSERT ON messages
WHEN new.hidden = 0 AND new.searchable IS NOT NULL
BEGIN
    INSERT INTO messages_fts (rowid, text) VALUES (new.id, new.searchable);
    INSERT INTO messages_trigram (rowid, text) VALUES (new.id, new.searchable);
END;

CREATE TRIGGER messages_deleted AFTER DELETE ON messages
WHEN old.hidden = 0 AND old.searchable IS NOT NULL
BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, text) VALUES ('delete', old.id, old.searchable);
    INSERT INTO messages_trigram (messages_trigram, rowid, text) VALUES ('delete', old.id, old.searchable);
END;

CREATE TRIGGER messages_updated AFTER UPDATE OF searchable, hidden ON messages
WHEN old.hidden IS NOT new.hidden OR old.searchable IS NOT new.searchable
BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, text)
    SELECT 'delete', old.id, old.searchable WHERE old.hidden = 0 AND old.searchable IS NOT NULL;
    INSERT INTO messages_trigram (messages_trigram, rowid, text)
    SELECT 'delete', old.id, old.searchable WHERE old.hidden = 0 AND old.searchable IS NOT NULL;
    INSERT INTO messages_fts (rowid, text)
    SELECT new.id, new.searchable WHERE new.hidden = 0 AND new.searchable IS NOT NULL;
    INSERT INTO messages_trigram (rowid, text)
    SELECT new.id, new.searchable WHERE new.hidden = 0 AND new.searchable IS NOT NULL;
END;

CREATE TRIGGER passages_inserted AFTER INSERT ON passages
WHEN new.hidden = 0
BEGIN
    INSERT INTO passages_fts (rowid, text) VALUES (new.id, new.text);
    INSERT INTO passages_trigram (rowid, text) VALUES (new.id, new.text);
END;

CREATE TRIGGER passages_deleted AFTER DELETE ON passages
WHEN old.hidden = 0
BEGIN
    INSERT INTO passages_fts (passages_fts, rowid, text) VALUES ('delete', old.id, old.text);
    INSERT INTO passages_trigram (passages_trigram, rowid, text) VALUES ('delete', old.id, old.text);
END;

CREATE TRIGGER passages_updated AFTER UPDATE OF text, hidden ON passages
WHEN old.hidden IS NOT new.hidden OR old.text IS NOT new.text
BEGIN
    INSERT INTO passages_fts (passages_fts, rowid, text) SELECT 'delete', old.id, old.text WHERE old.hidden = 0;
    INSERT INTO passages_trigram (passages_trigram, rowid, text) SELECT 'delete', old.id, old.text WHERE old.hidden = 0;
    INSERT INTO passages_fts (rowid, text) SELECT new.id, new.text WHERE new.hidden = 0;
    INSERT INTO passages_trigram (rowid, text) SELECT new.id, new.text WHERE new.hidden = 0;
END;
