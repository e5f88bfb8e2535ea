-- The state of an agent before each of its last human turns, for /undo. Rows that /undo went back over are `undone` and
-- lead forth again, the newest of them without a message: the state from which the first /undo went back.
CREATE TABLE turn_marks (
    -- Grows with time: the order of the turns.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    -- The message of the user that began the turn.
    message_id INTEGER REFERENCES messages (id) ON DELETE CASCADE,
    at_ms INTEGER NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0 CHECK (undone IN (0, 1)),
    -- Last: it is long, and most statements need only what stands before it.
    state TEXT NOT NULL,
    CHECK (message_id IS NOT NULL OR undone = 1)
) STRICT;

CREATE INDEX turn_marks_of_agent ON turn_marks (agent_id, id);
CREATE INDEX turn_marks_undone ON turn_marks (agent_id, id) WHERE undone = 1;
CREATE INDEX turn_marks_of_message ON turn_marks (message_id) WHERE message_id IS NOT NULL;

-- What the user has put in the place of the system instructions, and of the model of the config; none: the default.
ALTER TABLE agents ADD COLUMN instructions TEXT;
ALTER TABLE agents ADD COLUMN chosen_model TEXT;
