-- +goose Up
-- INB-14: mailboxes that another program keeps. The transport that takes the mail there; '': they
-- are here, and of an account: as its address's domain says. 'local' is here, whatever the domain says.
ALTER TABLE domains ADD COLUMN transport TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN transport TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE accounts DROP COLUMN transport;
ALTER TABLE domains DROP COLUMN transport;
