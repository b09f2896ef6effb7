-- +goose Up
-- With which modseq of its account a mailbox changed last in anything but what lies in it. What was before this was noted may have been such a change.
ALTER TABLE mailboxes ADD COLUMN shaped BIGINT NOT NULL DEFAULT 0;
UPDATE mailboxes SET shaped = modseq;
-- Up to which of its changes submissions are forgotten: what has changed since an earlier one is not known.
ALTER TABLE jmap_sending ADD COLUMN pruned BIGINT NOT NULL DEFAULT 0;
CREATE INDEX jmap_submissions_gone ON jmap_submissions (gone);

-- +goose Down
DROP INDEX jmap_submissions_gone;
ALTER TABLE jmap_sending DROP COLUMN pruned;
ALTER TABLE mailboxes DROP COLUMN shaped;
