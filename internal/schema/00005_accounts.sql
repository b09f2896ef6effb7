-- +goose Up
CREATE TABLE domains (
    name    TEXT PRIMARY KEY,  -- A-labels, lower case
    created BIGINT NOT NULL
);

-- All that is stored of a password stands in the row: an argon2id hash in PHC
-- form, and the server's SCRAM keys ("iterations$salt$stored key$server key",
-- base64) for SHA-256 and SHA-1.
CREATE TABLE accounts (
    name     TEXT PRIMARY KEY,
    disabled SMALLINT NOT NULL,
    password TEXT     NOT NULL,
    scram256 TEXT     NOT NULL,
    scram1   TEXT     NOT NULL,
    created  BIGINT   NOT NULL
);

-- ACC-1: an address is in one account (or, later, in one alias: then account is
-- NULL and another table has the members). The local part "*" is the catchall.
CREATE TABLE addresses (
    domain  TEXT   NOT NULL REFERENCES domains (name),
    local   TEXT   NOT NULL,  -- account.NormalizeLocal, unquoted
    account TEXT   REFERENCES accounts (name),
    mailbox TEXT   NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (domain, local)
);
CREATE INDEX addresses_account ON addresses (account);

-- +goose Down
DROP TABLE addresses;
DROP TABLE accounts;
DROP TABLE domains;
