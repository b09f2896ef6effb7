-- +goose Up
-- The SHA-256 of data, as it is stored, by which damage is found; NULL: of mail that passes, or of before.
ALTER TABLE bodies ADD COLUMN sha256 BLOB;
ALTER TABLE body_chunks ADD COLUMN sha256 BLOB;

-- +goose Down
ALTER TABLE body_chunks DROP COLUMN sha256;
ALTER TABLE bodies DROP COLUMN sha256;
