-- +goose Up
-- The trust anchors of DNSSEC over time, shared by all machines (VAL-3, RFC 5011).
CREATE TABLE trust_anchors (
    zone   TEXT   NOT NULL,
    record TEXT   NOT NULL,  -- DNSKEY, as in a zone file
    state  TEXT   NOT NULL,  -- pending, valid, missing, revoked, removed
    since  BIGINT NOT NULL,
    PRIMARY KEY (zone, record)
);

-- When a zone's keys were last asked for. Whoever looks takes the row first.
CREATE TABLE trust_anchor_looks (
    zone    TEXT   PRIMARY KEY,
    queried BIGINT NOT NULL,
    success BIGINT NOT NULL,
    next    BIGINT NOT NULL
);

-- +goose Down
DROP TABLE trust_anchor_looks;
DROP TABLE trust_anchors;
