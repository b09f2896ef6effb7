-- +goose Up
-- TLS reporting (RFC 8460). Observations: one row a UTC day and key of RPT-1.
-- id is a hash of the key; several rows of one key (shards) keep transactions
-- on PostgreSQL from waiting for each other, and are summed when read.
CREATE TABLE tls_rows (
    day           BIGINT   NOT NULL,  -- days since 1970-01-01 UTC
    id            TEXT     NOT NULL,
    shard         SMALLINT NOT NULL,
    domain        TEXT     NOT NULL,  -- recipient domain
    type          TEXT     NOT NULL,
    policy_domain TEXT     NOT NULL,
    strings       TEXT     NOT NULL,  -- JSON array
    mx            TEXT     NOT NULL,  -- JSON array
    ok            BIGINT   NOT NULL,
    ok_mail       BIGINT   NOT NULL,  -- of ok: sessions that carried more than reports (RPT-3)
    failed        BIGINT   NOT NULL,
    details       BIGINT   NOT NULL,  -- distinct ones stored
    PRIMARY KEY (day, id, shard)
);

CREATE TABLE tls_details (
    day         BIGINT   NOT NULL,
    id          TEXT     NOT NULL,
    shard       SMALLINT NOT NULL,
    detail      TEXT     NOT NULL,  -- hash of what follows but info; '' holds what was folded
    type        TEXT     NOT NULL,
    sending_ip  TEXT     NOT NULL,
    mx_host     TEXT     NOT NULL,
    helo        TEXT     NOT NULL,
    receiver_ip TEXT     NOT NULL,
    reason      TEXT     NOT NULL,
    info        TEXT     NOT NULL,  -- of the first session
    sessions    BIGINT   NOT NULL,
    PRIMARY KEY (day, id, shard, detail)
);

-- What is to be reported: one row a day and policy domain, first the recipient
-- domains (kind 0), then the MX hosts (kind 1, RPT-6). States: open, reported,
-- none (no record), invalid, expired, skipped. Claim counts the claims: who
-- settles a unit checks it, so that each report is made by exactly one machine.
CREATE TABLE tls_units (
    day    BIGINT   NOT NULL,
    kind   SMALLINT NOT NULL,
    name   TEXT     NOT NULL,
    state  TEXT     NOT NULL,
    due    BIGINT   NOT NULL,
    tries  BIGINT   NOT NULL,
    claim  BIGINT   NOT NULL,
    rua    TEXT     NOT NULL,  -- the addresses it was reported to, sorted
    note   TEXT     NOT NULL,
    PRIMARY KEY (day, kind, name)
);
CREATE INDEX tls_units_due ON tls_units (due) WHERE state = 'open';

-- Reports to others. States: sending, delivered, failed.
CREATE TABLE tls_reports (
    id            BIGINT PRIMARY KEY,
    day           BIGINT   NOT NULL,
    kind          SMALLINT NOT NULL,
    policy_domain TEXT     NOT NULL,
    report_id     TEXT     NOT NULL,
    created       BIGINT   NOT NULL,
    ok            BIGINT   NOT NULL,
    failed        BIGINT   NOT NULL,
    partial       SMALLINT NOT NULL,
    state         TEXT     NOT NULL,
    json          BLOB     NOT NULL   -- gzip, exactly as sent
);
CREATE INDEX tls_reports_day ON tls_reports (day, policy_domain);

-- One row a report and address. States: waiting (https only), queued (mail only),
-- accepted, failed.
CREATE TABLE tls_deliveries (
    id      BIGINT PRIMARY KEY,
    report  BIGINT NOT NULL,
    uri     TEXT   NOT NULL,
    state   TEXT   NOT NULL,
    due     BIGINT NOT NULL,
    tries   BIGINT NOT NULL,
    claim   BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    note    TEXT   NOT NULL
);
CREATE INDEX tls_deliveries_report ON tls_deliveries (report);
CREATE INDEX tls_deliveries_due ON tls_deliveries (due) WHERE state = 'waiting';

-- Every try to deliver (RPT-10).
CREATE TABLE tls_tries (
    id       BIGINT PRIMARY KEY,
    delivery BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    result   TEXT   NOT NULL
);
CREATE INDEX tls_tries_delivery ON tls_tries (delivery);

-- Report addresses that are not sent to, until a time (RPT-12).
CREATE TABLE tls_suppressions (
    address TEXT PRIMARY KEY,  -- the rua as published
    until   BIGINT   NOT NULL,
    times   BIGINT   NOT NULL,
    manual  SMALLINT NOT NULL,
    reason  TEXT     NOT NULL
);

-- Reports received, one row a policy domain of ours (RPT-17). Source is mail or
-- https; submitter is the DKIM domain that authenticated a mail.
CREATE TABLE tls_received (
    id            BIGINT PRIMARY KEY,
    source        TEXT   NOT NULL,
    submitter     TEXT   NOT NULL,
    report_id     TEXT   NOT NULL,
    policy_domain TEXT   NOT NULL,
    organization  TEXT   NOT NULL,
    contact       TEXT   NOT NULL,
    first         BIGINT NOT NULL,  -- the report's range
    last          BIGINT NOT NULL,
    received      BIGINT NOT NULL,
    ok            BIGINT NOT NULL,
    failed        BIGINT NOT NULL,
    json          BLOB   NOT NULL,  -- gzip; the policies of policy_domain
    UNIQUE (source, submitter, report_id, policy_domain)
);
CREATE INDEX tls_received_domain ON tls_received (policy_domain, first);
CREATE INDEX tls_received_at ON tls_received (received);

-- +goose Down
DROP TABLE tls_received;
DROP TABLE tls_suppressions;
DROP TABLE tls_tries;
DROP TABLE tls_deliveries;
DROP TABLE tls_reports;
DROP TABLE tls_units;
DROP TABLE tls_details;
DROP TABLE tls_rows;
