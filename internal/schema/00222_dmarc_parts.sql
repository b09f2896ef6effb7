-- +goose Up
-- Parts of days: domains whose record asks for DMARC reports more often than daily (ri) have rows
-- of their own for each part. part is 100 times its hours and its first hour; 0 is the whole day.
ALTER TABLE dmarc_rows ADD COLUMN part INTEGER NOT NULL DEFAULT 0;

CREATE TABLE dmarc_parts (
    day    BIGINT  NOT NULL,
    part   INTEGER NOT NULL,
    domain TEXT    NOT NULL,
    policy TEXT    NOT NULL, -- JSON, dmarcrpt.Policy
    PRIMARY KEY (day, part, domain)
);

-- +goose Down
DROP TABLE dmarc_parts;
ALTER TABLE dmarc_rows DROP COLUMN part;
