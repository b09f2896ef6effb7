-- +goose Up
-- What the rows that are counted hold, packed, on a day: rows alone bound nothing,
-- since one may have a MiB. A row with domain '' counts all of one submitter.
ALTER TABLE tls_intake ADD COLUMN octets BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE tls_intake DROP COLUMN octets;
DELETE FROM tls_intake WHERE domain = '' AND submitter <> '';
