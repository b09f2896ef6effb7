-- +goose Up
-- Names to which an account is subscribed and that no mailbox has (RFC 9051 §6.3.7).
CREATE TABLE mailbox_subscriptions (
    account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    name    TEXT NOT NULL,
    PRIMARY KEY (account, name)
);
-- 1: it came along with one below it, and nobody has asked for it.
ALTER TABLE mailboxes ADD COLUMN implied SMALLINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE mailboxes DROP COLUMN implied;
DROP TABLE mailbox_subscriptions;
