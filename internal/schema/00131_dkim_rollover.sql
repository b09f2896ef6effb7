-- +goose Up
-- The roll-over of DKIM keys (CRT-3): a key that takes over from another one signs once every
-- server of the zone has shown its record for long enough. Keys that were retired before this
-- have no time of that, and their records are not looked after.
ALTER TABLE dkim_key ADD COLUMN replaces TEXT NOT NULL DEFAULT '';      -- the selector from which it takes over; '': none
ALTER TABLE dkim_key ADD COLUMN promoted BIGINT NOT NULL DEFAULT 0;     -- when it took over
ALTER TABLE dkim_key ADD COLUMN retired BIGINT NOT NULL DEFAULT 0;      -- when it stopped signing
ALTER TABLE dkim_key ADD COLUMN dropped BIGINT NOT NULL DEFAULT 0;      -- its record may go since then
ALTER TABLE dkim_key ADD COLUMN seen_last BIGINT NOT NULL DEFAULT 0;    -- the last look that reached every server of the zone
ALTER TABLE dkim_key ADD COLUMN seen_since BIGINT NOT NULL DEFAULT 0;   -- the first of the unbroken looks in which all had the record
ALTER TABLE dkim_key ADD COLUMN seen_ttl BIGINT NOT NULL DEFAULT 0;     -- nanoseconds
ALTER TABLE dkim_key ADD COLUMN seen_some SMALLINT NOT NULL DEFAULT 0;  -- 1: at the last look some had it

-- +goose Down
ALTER TABLE dkim_key DROP COLUMN seen_some;
ALTER TABLE dkim_key DROP COLUMN seen_ttl;
ALTER TABLE dkim_key DROP COLUMN seen_since;
ALTER TABLE dkim_key DROP COLUMN seen_last;
ALTER TABLE dkim_key DROP COLUMN dropped;
ALTER TABLE dkim_key DROP COLUMN retired;
ALTER TABLE dkim_key DROP COLUMN promoted;
ALTER TABLE dkim_key DROP COLUMN replaces;
