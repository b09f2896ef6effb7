-- +goose Up
-- ACC-3: what becomes of mail for a disabled domain ('': it is put off, 'refuse', 'keep') and for a
-- disabled account ('': it is kept, 'refuse').
ALTER TABLE domains ADD COLUMN disabled_mail TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN disabled_mail TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE accounts DROP COLUMN disabled_mail;
ALTER TABLE domains DROP COLUMN disabled_mail;
