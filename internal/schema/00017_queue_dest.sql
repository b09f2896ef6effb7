-- +goose Up
-- dest is who is really contacted for a recipient, as far as the routes tell: its
-- domain, or a transport of the operator's ("via:NAME", "DOMAIN via:NAME"). Waiting
-- mail stands in lanes by it, and it is what closes when nobody answers (QUE-3).
-- '' where nothing waits any more.
ALTER TABLE recipients ADD COLUMN dest TEXT NOT NULL DEFAULT '';
UPDATE recipients SET dest = domain WHERE state < 3;
ALTER TABLE lanes RENAME COLUMN domain TO dest;
ALTER TABLE destinations RENAME COLUMN domain TO dest;
DROP INDEX recipients_lane;
CREATE INDEX recipients_lane ON recipients (dest, local, account, due, id) WHERE state = 0;
-- For filters by domain, what the index above does not find by its domain.
CREATE INDEX recipients_via ON recipients (domain, id) WHERE state = 0 AND dest <> domain;

-- The generation of the routes by which all waiting recipients have their dest.
CREATE TABLE queue_routed (
    one        SMALLINT PRIMARY KEY,  -- 1
    generation BIGINT   NOT NULL
);

-- +goose Down
DROP TABLE queue_routed;
DROP INDEX recipients_via;
DROP INDEX recipients_lane;
DELETE FROM destinations;
DELETE FROM lanes;
ALTER TABLE destinations RENAME COLUMN dest TO domain;
ALTER TABLE lanes RENAME COLUMN dest TO domain;
ALTER TABLE recipients DROP COLUMN dest;
CREATE INDEX recipients_lane ON recipients (domain, local, account, due, id) WHERE state = 0;
INSERT INTO lanes (domain, local, account, next)
    SELECT domain, local, account, min(due) FROM recipients WHERE state = 0 GROUP BY domain, local, account;
