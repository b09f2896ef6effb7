-- +goose Up
-- Certificates by ACME for the host's keys, and the attempts to get them (CRT-1). The
-- keys are not here: each machine has them as files.
CREATE TABLE certificate (
    name       TEXT     NOT NULL,
    spki       TEXT     NOT NULL,  -- SHA-256 of the public key, hexadecimal
    chain      TEXT     NOT NULL,  -- PEM; '': none yet
    issued     BIGINT   NOT NULL,
    ari_start  BIGINT   NOT NULL,  -- when the authority suggests to renew
    ari_end    BIGINT   NOT NULL,
    ari_at     BIGINT   NOT NULL,  -- when it is asked next
    failures   BIGINT   NOT NULL,  -- since the last success
    since      BIGINT   NOT NULL,  -- the first of them
    tried      BIGINT   NOT NULL,  -- the last attempt
    not_until  BIGINT   NOT NULL,  -- the authority said to come back then
    error      TEXT     NOT NULL,
    asked      BIGINT   NOT NULL,  -- an operator asked for it then
    owner      TEXT     NOT NULL,  -- the machine at work on it
    lease      BIGINT   NOT NULL,  -- until when
    PRIMARY KEY (name, spki)
);
-- Challenges under way: whichever machine the authority comes to can answer.
CREATE TABLE acme_challenge (
    kind  TEXT   NOT NULL,
    name  TEXT   NOT NULL,
    token TEXT   NOT NULL,
    proof TEXT   NOT NULL,  -- the key authorization
    until BIGINT NOT NULL,
    PRIMARY KEY (kind, name, token)
);
-- Accounts at authorities, shared by all machines.
CREATE TABLE acme_account (
    directory TEXT   PRIMARY KEY,
    key       TEXT   NOT NULL,  -- PEM
    location  TEXT   NOT NULL,
    made      BIGINT NOT NULL
);

-- +goose Down
DROP TABLE acme_account;
DROP TABLE acme_challenge;
DROP TABLE certificate;
