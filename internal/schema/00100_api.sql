-- +goose Up
-- Keys of the HTTP API (OPS-8). Of a key only the SHA-256 of its secret part is kept.
CREATE TABLE api_keys (
    id      BIGINT PRIMARY KEY,
    account TEXT   NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    rights  TEXT   NOT NULL,  -- words with spaces between
    domain  TEXT   NOT NULL,  -- A-labels: senders are held to it; '': to the account's addresses alone
    note    TEXT   NOT NULL,
    hash    BLOB   NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,  -- 0: never
    used    BIGINT NOT NULL   -- within a minute; 0: never
);
CREATE INDEX api_keys_account ON api_keys (account, id);

-- What was sent under an idempotency key, in the transaction that queued the message.
CREATE TABLE api_requests (
    account TEXT   NOT NULL,
    name    TEXT   NOT NULL,  -- the Idempotency-Key
    hash    BLOB   NOT NULL,  -- SHA-256 of the request
    message BIGINT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE INDEX api_requests_created ON api_requests (created);

-- +goose Down
DROP TABLE api_requests;
DROP TABLE api_keys;
