-- What has to be purged so that deleted texts leave the files as well: noted by the transaction that deletes, and deleted
-- when it is done, so that what was killed or failed in between is finished later.
CREATE TABLE pending_purges (
    what TEXT PRIMARY KEY CHECK (what IN ('database', 'home'))
) STRICT, WITHOUT ROWID;
