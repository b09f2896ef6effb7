-- +goose Up
-- The newest messages of an account, for the HTTP API (OPS-8).
CREATE INDEX messages_account ON messages (account, id) WHERE account <> '';

-- +goose Down
DROP INDEX messages_account;
