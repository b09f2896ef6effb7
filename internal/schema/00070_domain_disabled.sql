-- +goose Up
-- 1: mail for the domain is put off, and nobody may send from it (SET-4).
ALTER TABLE domains ADD COLUMN disabled SMALLINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE domains DROP COLUMN disabled;
