-- +goose Up
-- ACC-3: what an account may do.
ALTER TABLE accounts ADD COLUMN app_only SMALLINT NOT NULL DEFAULT 0; -- its own password logs nobody in
ALTER TABLE accounts ADD COLUMN networks TEXT NOT NULL DEFAULT '';    -- from which it logs in, with spaces between; '': from all
ALTER TABLE accounts ADD COLUMN send TEXT NOT NULL DEFAULT '';        -- '': to all, 'hosted', 'nothing'

-- +goose Down
ALTER TABLE accounts DROP COLUMN send;
ALTER TABLE accounts DROP COLUMN networks;
ALTER TABLE accounts DROP COLUMN app_only;
