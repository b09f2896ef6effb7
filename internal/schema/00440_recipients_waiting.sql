-- +goose Up
-- What waits, in the order of pages, and the oldest of it: without this, whoever lists the queue reads through all that was settled before the
-- first recipient that waits (WEB-2).
CREATE INDEX recipients_waiting ON recipients (id) WHERE state = 0;

-- +goose Down
DROP INDEX recipients_waiting;
