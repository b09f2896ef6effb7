-- +goose Up
-- What was found out about who sent a message from outside, as JSON (package verify);
-- empty where nobody looked. A mailbox has its own, which live as long as its message.
-- +store only sqlite
ALTER TABLE messages ADD COLUMN facts BLOB NOT NULL DEFAULT x'';
ALTER TABLE mailbox_messages ADD COLUMN facts BLOB NOT NULL DEFAULT x'';
-- +store only postgres
ALTER TABLE messages ADD COLUMN facts BYTEA NOT NULL DEFAULT '';
ALTER TABLE mailbox_messages ADD COLUMN facts BYTEA NOT NULL DEFAULT '';
-- +store both
ALTER TABLE recipients ADD COLUMN junk SMALLINT NOT NULL DEFAULT 0;

-- Senders whose mail is put off because a lookup failed, since when, and when last.
CREATE TABLE put_off (
    author TEXT   NOT NULL, -- domain in From
    sender TEXT   NOT NULL, -- reverse-path
    since  BIGINT NOT NULL,
    last   BIGINT NOT NULL,
    PRIMARY KEY (author, sender)
);
CREATE INDEX put_off_last ON put_off (last);

-- +goose Down
DROP TABLE put_off;
ALTER TABLE recipients DROP COLUMN junk;
ALTER TABLE mailbox_messages DROP COLUMN facts;
ALTER TABLE messages DROP COLUMN facts;
