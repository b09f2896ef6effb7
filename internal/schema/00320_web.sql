-- +goose Up
-- Who may administer the server on pages (ACC-3), and the sessions of people's browsers (WEB-3). Of
-- a session's token only the SHA-256 is kept.
ALTER TABLE accounts ADD COLUMN admin SMALLINT NOT NULL DEFAULT 0;

CREATE TABLE web_sessions (
    hash    BLOB   PRIMARY KEY,
    id      BIGINT NOT NULL,  -- by which people name it
    account TEXT   NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    scope   TEXT   NOT NULL,  -- admin
    proof   BLOB   NOT NULL,  -- of the password it was begun with
    created BIGINT NOT NULL,
    used    BIGINT NOT NULL,  -- within a minute
    remote  TEXT   NOT NULL,
    agent   TEXT   NOT NULL
);
CREATE INDEX web_sessions_account ON web_sessions (account, id);

-- What was done on the admin pages, by whom.
CREATE TABLE web_audit (
    id      BIGINT PRIMARY KEY,
    at      BIGINT NOT NULL,
    account TEXT   NOT NULL,
    remote  TEXT   NOT NULL,
    command TEXT   NOT NULL,  -- that does the same
    outcome TEXT   NOT NULL
);

-- +goose Down
DROP TABLE web_audit;
DROP TABLE web_sessions;
ALTER TABLE accounts DROP COLUMN admin;
