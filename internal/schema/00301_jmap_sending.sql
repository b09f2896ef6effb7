-- +goose Up
-- How often what follows has changed, by account: the state that JMAP clients are told.
CREATE TABLE jmap_sending (
    account TEXT   PRIMARY KEY REFERENCES accounts (name) ON DELETE CASCADE,
    changes BIGINT NOT NULL
);

-- As whom people write. Each address of an account is an identity by itself; a row changes one of these, or is a further one.
CREATE TABLE jmap_identities (
    account  TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    id       TEXT NOT NULL,
    email    TEXT NOT NULL,
    settings TEXT NOT NULL, -- JSON: names, signatures, where answers go
    PRIMARY KEY (account, id)
);

-- What was handed in by JMAP.
CREATE TABLE jmap_submissions (
    id       BIGINT   PRIMARY KEY,
    account  TEXT     NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    identity TEXT     NOT NULL,
    mail     BIGINT   NOT NULL,
    thread   BIGINT   NOT NULL,
    message  BIGINT   NOT NULL, -- in the queue
    envelope TEXT     NOT NULL, -- JSON
    send_at  BIGINT   NOT NULL,
    canceled SMALLINT NOT NULL DEFAULT 0,
    made     BIGINT   NOT NULL, -- with which of jmap_sending.changes
    changed  BIGINT   NOT NULL, -- and with which last
    gone     BIGINT   NOT NULL DEFAULT 0 -- when it was destroyed; 0: it was not
);
CREATE INDEX jmap_submissions_account ON jmap_submissions (account, changed);
CREATE INDEX jmap_submissions_send_at ON jmap_submissions (send_at);

-- +goose Down
DROP TABLE jmap_submissions;
DROP TABLE jmap_identities;
DROP TABLE jmap_sending;
