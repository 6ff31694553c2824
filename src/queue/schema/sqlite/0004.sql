-- The journal: what has left of each meeting, so that its answers and failures find their attendee.

ALTER TABLE messages ADD COLUMN from_mailbox TEXT;
ALTER TABLE messages ADD COLUMN message_ids TEXT; -- JSON: what it refers to, nearest first
ALTER TABLE messages ADD COLUMN verp INTEGER NOT NULL DEFAULT 0 CHECK (verp IN (0, 1));

-- One for each organizer who uses a UID: what one says must not change what is known of another's meeting.
CREATE TABLE meetings (
  seq           INTEGER PRIMARY KEY, -- order in which they became known
  uid           TEXT    NOT NULL,
  organizer_key TEXT    NOT NULL, -- in the form in which addresses are compared
  digest        TEXT    NOT NULL, -- of what was added last: before the long columns, so that reading it does not read them
  keep_until    INTEGER NOT NULL,
  organizer     TEXT    NOT NULL,
  attendees     TEXT    NOT NULL, -- JSON
  told          TEXT    NOT NULL, -- JSON
  UNIQUE (uid, organizer_key)
) STRICT;

CREATE INDEX meetings_keep ON meetings (keep_until);

CREATE TABLE sendings (
  seq            INTEGER PRIMARY KEY, -- order in which they left
  token          TEXT    NOT NULL UNIQUE,
  uid            TEXT    NOT NULL,
  message_id     TEXT    NOT NULL,
  sent_to_key    TEXT    NOT NULL, -- in the form in which addresses are compared
  keep_until     INTEGER NOT NULL,
  sent_at        INTEGER NOT NULL,
  method         TEXT    NOT NULL,
  attendee       TEXT    NOT NULL,
  organizer      TEXT    NOT NULL,
  sent_to        TEXT    NOT NULL,
  reverse_path   TEXT    NOT NULL,
  queue_id       TEXT    NOT NULL,
  recurrence_ids TEXT    NOT NULL, -- JSON
  sequence       INTEGER,
  failed_at      INTEGER           -- when its failure was told to the organizer
) STRICT;

CREATE INDEX sendings_uid ON sendings (uid);
CREATE INDEX sendings_message_id ON sendings (uid, message_id);
CREATE INDEX sendings_sent_to ON sendings (uid, sent_to_key);
CREATE INDEX sendings_keep ON sendings (keep_until);
