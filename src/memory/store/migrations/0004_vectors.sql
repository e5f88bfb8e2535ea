-- Vectors of passages and messages, by which texts of like meaning are found.
--
-- A component is a whole number of 16 bits times the vector's scale. The high bytes (`codes`) are scanned and lie close
-- together in one table; the low bytes (`remainders`), which only the best few need, in another.
CREATE TABLE embedders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    -- Which text stands for a row: other texts give other vectors.
    text_rule TEXT NOT NULL,
    dimensions INTEGER NOT NULL CHECK (dimensions > 0),
    UNIQUE (name, text_rule)
) STRICT;

CREATE TABLE passage_vectors (
    id INTEGER PRIMARY KEY REFERENCES passages (id) ON DELETE CASCADE,
    embedder_id INTEGER NOT NULL REFERENCES embedders (id) ON DELETE CASCADE,
    scale REAL NOT NULL,
    codes BLOB NOT NULL
) STRICT;
CREATE TABLE passage_vector_remainders (
    id INTEGER PRIMARY KEY REFERENCES passage_vectors (id) ON DELETE CASCADE,
    remainders BLOB NOT NULL
) STRICT;

CREATE TABLE message_vectors (
    id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    embedder_id INTEGER NOT NULL REFERENCES embedders (id) ON DELETE CASCADE,
    scale REAL NOT NULL,
    codes BLOB NOT NULL
) STRICT;
CREATE TABLE message_vector_remainders (
    id INTEGER PRIMARY KEY REFERENCES message_vectors (id) ON DELETE CASCADE,
    remainders BLOB NOT NULL
) STRICT;

-- What an index in memory has to look at again: a row, or (NULL) all of them. The token tells an entry from another one
-- that got its number after a rollback. Only the newest entries are kept: an index that is further behind is read anew.
CREATE TABLE passage_vector_changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    token INTEGER NOT NULL DEFAULT (random()),
    row_id INTEGER
) STRICT;
CREATE TABLE message_vector_changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    token INTEGER NOT NULL DEFAULT (random()),
    row_id INTEGER
) STRICT;

CREATE TRIGGER passage_vector_changes_trimmed AFTER INSERT ON passage_vector_changes
BEGIN
    DELETE FROM passage_vector_changes WHERE seq <= new.seq - 4096;
END;
CREATE TRIGGER message_vector_changes_trimmed AFTER INSERT ON message_vector_changes
BEGIN
    DELETE FROM message_vector_changes WHERE seq <= new.seq - 4096;
END;

CREATE TRIGGER passage_vectors_inserted AFTER INSERT ON passage_vectors
BEGIN
    INSERT INTO passage_vector_changes (row_id) VALUES (new.id);
END;
CREATE TRIGGER passage_vectors_deleted AFTER DELETE ON passage_vectors
BEGIN
    INSERT INTO passage_vector_changes (row_id) VALUES (old.id);
END;
CREATE TRIGGER passage_vectors_of_changed_texts AFTER UPDATE OF text ON passages WHEN old.text IS NOT new.text
BEGIN
    DELETE FROM passage_vectors WHERE id = old.id;
END;
CREATE TRIGGER passage_vectors_shown_or_hidden AFTER UPDATE OF hidden, agent_id, document_id ON passages
WHEN old.hidden IS NOT new.hidden OR old.agent_id IS NOT new.agent_id OR old.document_id IS NOT new.document_id
BEGIN
    INSERT INTO passage_vector_changes (row_id) VALUES (new.id);
END;
CREATE TRIGGER passage_vectors_attached AFTER INSERT ON attachments
BEGIN
    INSERT INTO passage_vector_changes (row_id) VALUES (NULL);
END;
CREATE TRIGGER passage_vectors_detached AFTER DELETE ON attachments
BEGIN
    INSERT INTO passage_vector_changes (row_id) VALUES (NULL);
END;

CREATE TRIGGER message_vectors_inserted AFTER INSERT ON message_vectors
BEGIN
    INSERT INTO message_vector_changes (row_id) VALUES (new.id);
END;
CREATE TRIGGER message_vectors_deleted AFTER DELETE ON message_vectors
BEGIN
    INSERT INTO message_vector_changes (row_id) VALUES (old.id);
END;
CREATE TRIGGER message_vectors_of_changed_texts AFTER UPDATE OF searchable ON messages
WHEN old.searchable IS NOT new.searchable
BEGIN
    DELETE FROM message_vectors WHERE id = old.id;
END;
CREATE TRIGGER message_vectors_shown_or_hidden AFTER UPDATE OF hidden, agent_id ON messages
WHEN old.hidden IS NOT new.hidden OR old.agent_id IS NOT new.agent_id
BEGIN
    INSERT INTO message_vector_changes (row_id) VALUES (new.id);
END;
