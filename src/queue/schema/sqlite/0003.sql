-- Posts that peers hand over.

ALTER TABLE messages ADD COLUMN peer TEXT;
ALTER TABLE messages ADD COLUMN digest TEXT;

CREATE INDEX messages_posted ON messages (message_id, peer) WHERE peer IS NOT NULL;
