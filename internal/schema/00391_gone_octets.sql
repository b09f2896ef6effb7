-- +goose Up
-- What of an account was removed and can be brought back, in octets: all of the mailbox_gone that count.
ALTER TABLE mail_accounts ADD COLUMN gone_octets BIGINT NOT NULL DEFAULT 0;
-- The size of the mail, where it was removed and did not move, as long as it can be brought back.
ALTER TABLE mailbox_gone ADD COLUMN octets BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE mailbox_gone DROP COLUMN octets;
ALTER TABLE mail_accounts DROP COLUMN gone_octets;
