-- +goose Up
-- How far mail of another server's mailboxes was pulled (MBX-8).
CREATE TABLE mail_pulls (
    account     TEXT   NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    source      TEXT   NOT NULL, -- user and server
    mailbox     TEXT   NOT NULL, -- as the server spells it
    target      TEXT   NOT NULL, -- the mailbox here
    uidvalidity BIGINT NOT NULL,
    uid         BIGINT NOT NULL, -- up to this one, all was taken
    PRIMARY KEY (account, source, mailbox, target)
);

-- +goose Down
DROP TABLE mail_pulls;
