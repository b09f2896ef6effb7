-- +goose Up
-- With which modseq of its account a mail came, or came back; 0: before this was noted.
ALTER TABLE mails ADD COLUMN created BIGINT NOT NULL DEFAULT 0;
-- With which modseq of its account a mailbox was made; 0: before this was noted.
ALTER TABLE mailboxes ADD COLUMN made BIGINT NOT NULL DEFAULT 0;

-- What JMAP clients have uploaded, until it is used or forgotten.
CREATE TABLE jmap_uploads (
    id      BIGINT PRIMARY KEY,
    account TEXT   NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    body    BIGINT NOT NULL REFERENCES bodies (id),
    size    BIGINT NOT NULL,
    type    TEXT   NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX jmap_uploads_account ON jmap_uploads (account, created);
CREATE INDEX jmap_uploads_created ON jmap_uploads (created);

-- +goose Down
DROP TABLE jmap_uploads;
ALTER TABLE mailboxes DROP COLUMN made;
ALTER TABLE mails DROP COLUMN created;
