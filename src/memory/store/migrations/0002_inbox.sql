-- What the user has said and the agent has not taken up: a line that waits for its turn outlives its process.
CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    at_ms INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;

CREATE INDEX inbox_of_agent ON inbox (agent_id, id);
