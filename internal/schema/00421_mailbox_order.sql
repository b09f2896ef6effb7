-- +goose Up
-- In which order programs show mailboxes (RFC 8621 §2), as they have said; -1: they have not.
ALTER TABLE mailboxes ADD COLUMN sort_order BIGINT NOT NULL DEFAULT -1;

-- +goose Down
ALTER TABLE mailboxes DROP COLUMN sort_order;
