-- +goose Up
-- Into which mailbox of its account a recipient's copy goes (RPT-21); '' is INBOX, or what the address says.
ALTER TABLE recipients ADD COLUMN mailbox TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE recipients DROP COLUMN mailbox;
