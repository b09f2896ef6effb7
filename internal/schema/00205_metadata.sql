-- +goose Up
-- What clients keep beside mailboxes (RFC 5464), by account and mailbox; mailbox 0 is the
-- server itself, as the account sees it.
CREATE TABLE annotations (
    account TEXT   NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    mailbox BIGINT NOT NULL,
    name    TEXT   NOT NULL, -- in lower case, with the slash before it
    value   BLOB   NOT NULL,
    PRIMARY KEY (account, mailbox, name)
);

-- +goose Down
DROP TABLE annotations;
