-- +goose Up
-- What DNS showed of a DKIM key's record. A new key signs once DNS has shown it, or at
-- once where it was told to; keys of before were told to, so that they go on signing.
ALTER TABLE dkim_key ADD COLUMN told SMALLINT NOT NULL DEFAULT 1;   -- 1: sign without waiting for DNS
ALTER TABLE dkim_key ADD COLUMN first BIGINT NOT NULL DEFAULT 0;    -- when DNS first showed it; 0: never
ALTER TABLE dkim_key ADD COLUMN looked BIGINT NOT NULL DEFAULT 0;   -- the last lookup
ALTER TABLE dkim_key ADD COLUMN found TEXT NOT NULL DEFAULT '';     -- what it showed: shown, missing, other, failed
ALTER TABLE dkim_key ADD COLUMN detail TEXT NOT NULL DEFAULT '';
ALTER TABLE dkim_key ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;    -- lookups in a row that did not show it
ALTER TABLE dkim_key ADD COLUMN look_at BIGINT NOT NULL DEFAULT 0;  -- the next lookup

-- +goose Down
ALTER TABLE dkim_key DROP COLUMN look_at;
ALTER TABLE dkim_key DROP COLUMN tries;
ALTER TABLE dkim_key DROP COLUMN detail;
ALTER TABLE dkim_key DROP COLUMN found;
ALTER TABLE dkim_key DROP COLUMN looked;
ALTER TABLE dkim_key DROP COLUMN first;
ALTER TABLE dkim_key DROP COLUMN told;
