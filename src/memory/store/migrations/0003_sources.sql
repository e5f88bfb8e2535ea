-- Documents: a source is a named set of them; its passages are seen by every agent that it is attached to.
CREATE TABLE sources (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source_id INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    -- Absolute: the same file is the same document from wherever it is loaded.
    path TEXT NOT NULL,
    -- How results call it.
    title TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    -- Of the file's bytes (SHA-256): what has not changed is not read again.
    fingerprint BLOB NOT NULL,
    loaded_at_ms INTEGER NOT NULL,
    UNIQUE (source_id, path)
) STRICT;

CREATE TABLE attachments (
    agent_id INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    source_id INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (agent_id, source_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX attachments_of_source ON attachments (source_id);

-- A passage belongs to an agent or to a document; `place` says where in the document it stands.
DROP VIEW searchable_passages;
CREATE TABLE new_passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id INTEGER REFERENCES agents (id) ON DELETE CASCADE,
    document_id INTEGER REFERENCES documents (id) ON DELETE CASCADE,
    at_ms INTEGER NOT NULL,
    text TEXT NOT NULL,
    source TEXT,
    place TEXT,
    fingerprint BLOB NOT NULL,
    hidden INTEGER NOT NULL DEFAULT 0 CHECK (hidden IN (0, 1)),
    CHECK ((agent_id IS NULL) <> (document_id IS NULL))
) STRICT;
INSERT INTO new_passages (id, agent_id, at_ms, text, source, fingerprint, hidden)
SELECT id, agent_id, at_ms, text, source, fingerprint, hidden FROM passages;
DROP TABLE passages;
ALTER TABLE new_passages RENAME TO passages;

CREATE INDEX passages_by_fingerprint ON passages (agent_id, fingerprint);
CREATE INDEX passages_of_document ON passages (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX passages_hidden ON passages (agent_id, id) WHERE hidden = 1;

-- Each passage that an agent can find.
CREATE VIEW visible_passages AS
SELECT p.id, p.agent_id AS viewer_id FROM passages p WHERE p.agent_id IS NOT NULL AND p.hidden = 0
UNION ALL
SELECT p.id, a.agent_id FROM attachments a
JOIN documents d ON d.source_id = a.source_id
JOIN passages p ON p.document_id = d.id
WHERE p.hidden = 0;

CREATE VIEW searchable_passages AS
SELECT id, text FROM passages WHERE hidden = 0;

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
