-- +goose Up
-- The operator's scripts, which those of all accounts may include (RFC 6609 §3.1: global).
CREATE TABLE sieve_globals (
    name    TEXT   PRIMARY KEY,
    script  TEXT   NOT NULL,
    changed BIGINT NOT NULL
);

-- +goose Down
DROP TABLE sieve_globals;
