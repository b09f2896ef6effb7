-- +goose Up
-- Where JMAP clients have changes posted to (RFC 8620 §7.2).
CREATE TABLE jmap_push (
    id         BIGINT   PRIMARY KEY,
    account    TEXT     NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    credential TEXT     NOT NULL, -- which password made it: a hash of what is stored of that
    device     TEXT     NOT NULL,
    url        TEXT     NOT NULL,
    p256dh     BLOB     NOT NULL, -- empty: what is posted is not encrypted
    auth       BLOB     NOT NULL,
    code       TEXT     NOT NULL, -- with which the client shows that it gets what is posted
    asked      SMALLINT NOT NULL DEFAULT 0, -- the code has been posted
    verified   SMALLINT NOT NULL DEFAULT 0, -- and has come back
    types      TEXT     NOT NULL, -- JSON; null: all
    expires    BIGINT   NOT NULL,
    told       TEXT     NOT NULL DEFAULT '{}', -- JSON: the states that were told last
    modseq     BIGINT   NOT NULL DEFAULT 0, -- of mail_accounts, when it was looked for changes last; below 0: something else has changed since
    due        BIGINT   NOT NULL, -- nothing is posted before
    failures   BIGINT   NOT NULL DEFAULT 0, -- since the last success
    failing    BIGINT   NOT NULL DEFAULT 0, -- since when; 0: it is not
    lease      BIGINT   NOT NULL DEFAULT 0, -- until when a machine has it
    claim      BIGINT   NOT NULL DEFAULT 0
);
CREATE INDEX jmap_push_account ON jmap_push (account);
CREATE INDEX jmap_push_due ON jmap_push (due);

-- +goose Down
DROP TABLE jmap_push;
