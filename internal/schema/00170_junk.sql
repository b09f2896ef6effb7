-- +goose Up
-- Why a copy lies where it does (JNK-1), as JSON of package junk: each account has its own.
ALTER TABLE recipients ADD COLUMN evidence TEXT NOT NULL DEFAULT '';
ALTER TABLE mailbox_messages ADD COLUMN evidence TEXT NOT NULL DEFAULT '';
-- What the account's classifier has learnt the message as: 0 nothing, 1 good mail, 2 junk.
ALTER TABLE mailbox_messages ADD COLUMN taught SMALLINT NOT NULL DEFAULT 0;

-- What an account has had to do with a sender: an address, or @ and a domain.
CREATE TABLE correspondents (
    account  TEXT     NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    who      TEXT     NOT NULL,
    written  BIGINT   NOT NULL DEFAULT 0, -- when the account last wrote to it; 0: never
    replied  BIGINT   NOT NULL DEFAULT 0, -- and when last in answer to a message
    received BIGINT   NOT NULL DEFAULT 0, -- messages that were taken
    mark     SMALLINT NOT NULL DEFAULT 0, -- 1 good, 2 junk
    marked   BIGINT   NOT NULL DEFAULT 0, -- when
    last     BIGINT   NOT NULL,           -- when anything of it changed
    PRIMARY KEY (account, who)
);
CREATE INDEX correspondents_last ON correspondents (account, last);

-- What an account's classifier has learnt.
CREATE TABLE junk_models (
    account TEXT   PRIMARY KEY REFERENCES accounts (name) ON DELETE CASCADE,
    good    BIGINT NOT NULL DEFAULT 0, -- messages of each kind
    junk    BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE junk_words (
    account TEXT   NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    word    BIGINT NOT NULL,           -- its hash
    good    BIGINT NOT NULL DEFAULT 0, -- messages of each kind that have it
    junk    BIGINT NOT NULL DEFAULT 0,
    day     BIGINT NOT NULL,           -- when it was last learnt, days since 1970
    PRIMARY KEY (account, word)
-- +store only sqlite
) WITHOUT ROWID;
-- +store only postgres
);
-- +store both

-- Accounts that want to see what was refused.
CREATE TABLE junk_rejects (
    account TEXT PRIMARY KEY REFERENCES accounts (name) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE junk_rejects;
DROP TABLE junk_words;
DROP TABLE junk_models;
DROP TABLE correspondents;
ALTER TABLE mailbox_messages DROP COLUMN taught;
ALTER TABLE mailbox_messages DROP COLUMN evidence;
ALTER TABLE recipients DROP COLUMN evidence;
