-- Lists, moves and spellings. What is open keeps its place, its holds and its lifetime.

ALTER TABLE messages ADD COLUMN delivered_to TEXT; -- JSON

ALTER TABLE deliveries ADD COLUMN list TEXT;
ALTER TABLE deliveries ADD COLUMN released INTEGER NOT NULL DEFAULT 0 CHECK (released IN (0, 1));
ALTER TABLE deliveries ADD COLUMN started_at INTEGER; -- of a post: when its first attempt was settled

-- A lifetime that began to count goes on as it counted.
UPDATE deliveries SET started_at = created_at WHERE kind = 'post' AND attempts > 0;

-- What is final waits for nothing.
UPDATE deliveries SET blocked = 0 WHERE blocked = 1 AND state NOT IN ('queued', 'held');

-- What waits for a person or the end of a move is asked for every minute; what is open may be a thousand times more.
CREATE INDEX deliveries_held ON deliveries (state) WHERE state = 'held';

CREATE TABLE spellings (
  user    TEXT    NOT NULL,
  uid     TEXT    NOT NULL,
  invited TEXT    NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY (user, uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX spellings_used ON spellings (used_at);
