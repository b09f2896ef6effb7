-- +goose Up
CREATE TABLE mailboxes (
    id      BIGINT PRIMARY KEY,
    account TEXT   NOT NULL REFERENCES accounts (name),
    name    TEXT   NOT NULL,
    created BIGINT NOT NULL,
    UNIQUE (account, name)
);

-- One row a message in a mailbox. Its bytes are in mailbox_chunks.
CREATE TABLE mailbox_messages (
    id        BIGINT PRIMARY KEY,
    mailbox   BIGINT NOT NULL REFERENCES mailboxes (id),
    sender    TEXT   NOT NULL,
    recipient TEXT   NOT NULL,
    size      BIGINT NOT NULL,
    received  BIGINT NOT NULL
);
CREATE INDEX mailbox_messages_mailbox ON mailbox_messages (mailbox, id);

CREATE TABLE mailbox_chunks (
    message BIGINT NOT NULL REFERENCES mailbox_messages (id) ON DELETE CASCADE,
    part    BIGINT NOT NULL,  -- from 0
    data    BLOB   NOT NULL,
    PRIMARY KEY (message, part)
);

-- +goose Down
DROP TABLE mailbox_chunks;
DROP TABLE mailbox_messages;
DROP TABLE mailboxes;
