-- Who said a message, where it came from a talk of people with names.
ALTER TABLE messages ADD COLUMN speaker TEXT;
CREATE INDEX messages_of_speakers ON messages (agent_id, speaker) WHERE speaker IS NOT NULL;

-- What was said, in its order: the turns around a message that was found.
CREATE INDEX messages_said ON messages (agent_id, id, speaker) WHERE searchable IS NOT NULL AND hidden = 0;
