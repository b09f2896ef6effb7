-- +goose Up
-- The octets of a message stand in the store once, whoever holds them: the queue
-- and mailboxes. users counts those who do. A body without users is removed when idle
-- lies long enough back: the time when it was put, 0 when its last user has gone. users
-- is -1 while chunks are being removed, and nobody can hold the body any more. A small
-- body is in its row, a large one in body_chunks.
ALTER TABLE bodies RENAME COLUMN message TO id;
ALTER TABLE bodies ADD COLUMN users BIGINT NOT NULL DEFAULT 1;
ALTER TABLE bodies ADD COLUMN idle BIGINT NOT NULL DEFAULT 0;
INSERT INTO bodies (id, users, idle)
    SELECT message, (SELECT count(*) FROM messages WHERE messages.id = chunks.message AND unsettled > 0), max(written) FROM chunks GROUP BY message;
CREATE INDEX bodies_idle ON bodies (idle) WHERE users < 1;

-- What mailboxes hold stays where it is, however much that is: its table becomes the
-- one for all, without the rule that a chunk belongs to a row of mailbox_messages.
-- SQLite removes such a rule in no other way (sqlite.org/lang_altertable.html §7).
-- +store only sqlite
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'REFERENCES mailbox_messages (id) ON DELETE CASCADE', '') WHERE type = 'table' AND name = 'mailbox_chunks';
PRAGMA writable_schema = RESET;
-- +store only postgres
ALTER TABLE mailbox_chunks DROP CONSTRAINT mailbox_chunks_message_fkey;
-- +store both
ALTER TABLE mailbox_chunks RENAME TO body_chunks;
ALTER TABLE body_chunks RENAME COLUMN message TO body;
INSERT INTO bodies (id, users, idle) SELECT id, 1, 0 FROM mailbox_messages;
INSERT INTO body_chunks (body, part, data) SELECT message, part, data FROM chunks;
DROP TABLE chunks;

-- A message in a mailbox is header, which belongs to this copy alone, and then body.
ALTER TABLE mailbox_messages ADD COLUMN body BIGINT REFERENCES bodies (id);
ALTER TABLE mailbox_messages ADD COLUMN header BLOB NOT NULL DEFAULT '';
UPDATE mailbox_messages SET body = id;
CREATE INDEX mailbox_messages_body ON mailbox_messages (body, mailbox);

-- +goose Down
CREATE TABLE chunks (
    message BIGINT NOT NULL,
    part    BIGINT NOT NULL,
    written BIGINT NOT NULL,
    data    BLOB   NOT NULL,
    PRIMARY KEY (message, part)
);
INSERT INTO chunks (message, part, written, data)
    SELECT c.body, c.part, 0, c.data FROM body_chunks c JOIN messages m ON m.id = c.body WHERE m.unsettled > 0;
DROP INDEX mailbox_messages_body;
DROP INDEX mailbox_messages_mailbox;
ALTER TABLE mailbox_messages RENAME TO mailbox_messages_new;
CREATE TABLE mailbox_messages (
    id        BIGINT PRIMARY KEY,
    mailbox   BIGINT NOT NULL REFERENCES mailboxes (id),
    sender    TEXT   NOT NULL,
    recipient TEXT   NOT NULL,
    size      BIGINT NOT NULL,
    received  BIGINT NOT NULL
);
INSERT INTO mailbox_messages (id, mailbox, sender, recipient, size, received)
    SELECT id, mailbox, sender, recipient, size, received FROM mailbox_messages_new;
CREATE INDEX mailbox_messages_mailbox ON mailbox_messages (mailbox, id);
CREATE TABLE mailbox_chunks (
    message BIGINT NOT NULL REFERENCES mailbox_messages (id) ON DELETE CASCADE,
    part    BIGINT NOT NULL,
    data    BLOB   NOT NULL,
    PRIMARY KEY (message, part)
);
INSERT INTO mailbox_chunks (message, part, data) SELECT id, 0, header FROM mailbox_messages_new WHERE length(header) > 0;
INSERT INTO mailbox_chunks (message, part, data)
    SELECT m.id, c.part + 1, c.data FROM mailbox_messages_new m JOIN body_chunks c ON c.body = m.body;
INSERT INTO mailbox_chunks (message, part, data)
    SELECT m.id, 1, b.data FROM mailbox_messages_new m JOIN bodies b ON b.id = m.body WHERE length(b.data) > 0;
DROP TABLE mailbox_messages_new;
DROP TABLE body_chunks;
DELETE FROM bodies WHERE data IS NULL OR NOT EXISTS (SELECT 1 FROM messages WHERE messages.id = bodies.id AND unsettled > 0);
DROP INDEX bodies_idle;
ALTER TABLE bodies DROP COLUMN idle;
ALTER TABLE bodies DROP COLUMN users;
ALTER TABLE bodies RENAME COLUMN id TO message;
