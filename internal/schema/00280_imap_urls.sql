-- +goose Up
-- Keys with which URLs of messages are signed (RFC 4467), one a mailbox.
CREATE TABLE imap_url_keys (
    mailbox BIGINT PRIMARY KEY REFERENCES mailboxes (id) ON DELETE CASCADE,
    secret  BLOB   NOT NULL
);

-- +goose Down
DROP TABLE imap_url_keys;
