-- +goose Up
-- IMP-2: extensions of IMAP that an account is not offered, with spaces between.
ALTER TABLE accounts ADD COLUMN imap_disable TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE accounts DROP COLUMN imap_disable;
