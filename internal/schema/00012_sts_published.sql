-- +goose Up
-- One row for each hosted domain whose MTA-STS policy this server serves
-- (STS-11). The id changes when and only when the text does.
CREATE TABLE sts_published (
    domain  TEXT PRIMARY KEY,
    policy  TEXT   NOT NULL,  -- the text that is served
    id      TEXT   NOT NULL,  -- for the TXT record
    changed BIGINT NOT NULL
);

-- +goose Down
DROP TABLE sts_published;
