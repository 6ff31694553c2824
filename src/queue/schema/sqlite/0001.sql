-- The queue of one gateway process. Times are milliseconds since the epoch. Columns that are asked for are typed;
-- what is only read back whole is JSON.

CREATE TABLE messages (
  seq         INTEGER PRIMARY KEY,           -- order of acceptance
  id          TEXT    NOT NULL UNIQUE,       -- queue id
  received_at INTEGER NOT NULL,
  settled_at  INTEGER,                       -- when the last delivery became final
  calendar    INTEGER NOT NULL CHECK (calendar IN (0, 1)),
  mode        TEXT    NOT NULL,
  origin      TEXT    NOT NULL,
  listener    TEXT    NOT NULL,
  message_id  TEXT,
  uid         TEXT,
  method      TEXT,
  ends_at     INTEGER,
  size        INTEGER NOT NULL,
  eight_bit   INTEGER NOT NULL CHECK (eight_bit IN (0, 1)),
  passes      INTEGER NOT NULL,
  body        TEXT    NOT NULL CHECK (body IN ('inline', 'spool', 'none')),
  spool_file  TEXT,
  client      TEXT    NOT NULL,              -- JSON
  envelope    TEXT    NOT NULL               -- JSON
) STRICT;

CREATE INDEX messages_settled ON messages (calendar, settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX messages_message_id ON messages (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX messages_spooled ON messages (spool_file) WHERE spool_file IS NOT NULL;

-- Apart from the messages, so that a list does not read them.
CREATE TABLE bodies (
  message INTEGER PRIMARY KEY REFERENCES messages (seq) ON DELETE CASCADE,
  bytes   BLOB NOT NULL
) STRICT;

CREATE TABLE deliveries (
  id          INTEGER PRIMARY KEY,
  message     INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
  position    INTEGER NOT NULL,
  kind        TEXT    NOT NULL CHECK (kind IN ('post', 'mail')),
  route       TEXT    NOT NULL,
  state       TEXT    NOT NULL CHECK (state IN ('queued', 'held', 'delivered', 'failed', 'expired', 'skipped', 'deleted')),
  blocked     INTEGER NOT NULL CHECK (blocked IN (0, 1)),  -- an earlier post of the same key is open
  recipient   TEXT    NOT NULL,
  user        TEXT    NOT NULL,              -- '' while the directory has not said
  uid         TEXT,
  created_at  INTEGER NOT NULL,
  due_at      INTEGER NOT NULL,
  attempts    INTEGER NOT NULL DEFAULT 0,
  answers     INTEGER NOT NULL DEFAULT 0,
  held_at     INTEGER,
  held_ms     INTEGER NOT NULL DEFAULT 0,
  told        TEXT,
  lease_owner TEXT,
  lease_until INTEGER,
  outcome     TEXT,                          -- JSON
  decisions   TEXT    NOT NULL DEFAULT '[]', -- JSON, oldest first
  -- When it can be claimed: a leased one once its lease has run out, a blocked, held or final one never.
  ready_at    INTEGER AS (CASE WHEN state = 'queued' AND blocked = 0 THEN coalesce(lease_until, due_at) END) VIRTUAL
) STRICT;

CREATE INDEX deliveries_message ON deliveries (message);
CREATE INDEX deliveries_ready ON deliveries (ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX deliveries_open ON deliveries (message, kind, state) WHERE state IN ('queued', 'held');
CREATE INDEX deliveries_open_posts ON deliveries (uid, user, message) WHERE kind = 'post' AND state IN ('queued', 'held');
CREATE INDEX deliveries_untold ON deliveries (message) WHERE told IS NULL AND state IN ('failed', 'expired');

CREATE TABLE ledger (
  user          TEXT    NOT NULL,
  uid           TEXT    NOT NULL,
  recurrence_id TEXT    NOT NULL,
  author        TEXT    NOT NULL,
  organizer     TEXT    NOT NULL,
  sequence      INTEGER NOT NULL,
  dtstamp       TEXT    NOT NULL,
  digest        TEXT    NOT NULL,
  used_at       INTEGER NOT NULL,
  PRIMARY KEY (user, uid, recurrence_id, author)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_used ON ledger (used_at);
