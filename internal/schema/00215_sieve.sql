-- +goose Up
-- SIV-1: scripts of accounts; of each account at most one is active.
CREATE TABLE sieve_scripts (
    account TEXT     NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    name    TEXT     NOT NULL,
    script  TEXT     NOT NULL,
    active  SMALLINT NOT NULL,
    changed BIGINT   NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE UNIQUE INDEX sieve_scripts_active ON sieve_scripts (account) WHERE active = 1;

-- What scripts keep in mind: whom they have answered, which message they have seen, of which of
-- their faults the account has been told.
CREATE TABLE sieve_memory (
    account TEXT   NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    what    TEXT   NOT NULL, -- a word and a hash
    until   BIGINT NOT NULL,
    PRIMARY KEY (account, what)
);
CREATE INDEX sieve_memory_until ON sieve_memory (until);

-- +goose Down
DROP TABLE sieve_memory;
DROP TABLE sieve_scripts;
