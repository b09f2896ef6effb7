-- +goose Up
-- How often the work on one unit has panicked (OPS-9): one that does so again and
-- again is settled as failed. area is guard.Area, unit what its owner calls it.
CREATE TABLE panics (
	area TEXT NOT NULL,
	unit TEXT NOT NULL,
	n BIGINT NOT NULL,
	at BIGINT NOT NULL, -- of the last one
	PRIMARY KEY (area, unit)
);
CREATE INDEX panics_at ON panics (at);

-- +goose Down
DROP TABLE panics;
