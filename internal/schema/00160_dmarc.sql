-- +goose Up
-- DMARC aggregate reports (RFC 9990). Evaluations: one row a UTC day and row of the report.
-- id is a hash of domain and record; several rows of one id (shards) keep transactions on
-- PostgreSQL from waiting for each other, and are summed when read.
CREATE TABLE dmarc_rows (
    day      BIGINT   NOT NULL, -- days since 1970-01-01 UTC
    id       TEXT     NOT NULL,
    shard    SMALLINT NOT NULL,
    domain   TEXT     NOT NULL, -- where the policy stands
    record   TEXT     NOT NULL, -- JSON, dmarcrpt.Record without its count
    messages BIGINT   NOT NULL,
    mail     BIGINT   NOT NULL, -- of messages: those that were no reports
    PRIMARY KEY (day, id, shard)
);
CREATE INDEX dmarc_rows_domain ON dmarc_rows (day, domain);

-- The policy that was seen last on a day.
CREATE TABLE dmarc_policies (
    day    BIGINT NOT NULL,
    domain TEXT   NOT NULL,
    policy TEXT   NOT NULL, -- JSON, dmarcrpt.Policy
    PRIMARY KEY (day, domain)
);

-- How many rows there are of an organisation's domains on a day; '' is of all. What finds no
-- room is counted.
CREATE TABLE dmarc_room (
    day          BIGINT NOT NULL,
    organization TEXT   NOT NULL,
    entries      BIGINT NOT NULL,
    left_out     BIGINT NOT NULL, -- messages
    PRIMARY KEY (day, organization)
);

-- +goose Down
DROP TABLE dmarc_room;
DROP TABLE dmarc_policies;
DROP TABLE dmarc_rows;
