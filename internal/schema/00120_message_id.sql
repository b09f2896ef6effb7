-- +goose Up
-- The Message-ID field of RFC 5322, without its brackets, by which "mail trace" finds a message
-- (OPS-5): that of mail in the queue and its history, and that of what lies in mailboxes, which
-- stays longer. Empty: it has none, or came before there was this column.
ALTER TABLE messages ADD COLUMN message_id TEXT NOT NULL DEFAULT '';
CREATE INDEX messages_message_id ON messages (message_id, id) WHERE message_id <> '';
ALTER TABLE mailbox_messages ADD COLUMN message_id TEXT NOT NULL DEFAULT '';
CREATE INDEX mailbox_messages_message_id ON mailbox_messages (message_id, body) WHERE message_id <> '';

-- +goose Down
DROP INDEX mailbox_messages_message_id;
ALTER TABLE mailbox_messages DROP COLUMN message_id;
DROP INDEX messages_message_id;
ALTER TABLE messages DROP COLUMN message_id;
