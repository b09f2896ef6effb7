-- +goose Up
-- TLS reporting in depth (see 00004_tls.sql). A unit reads its rows of a day by
-- recipient domain or by policy domain: without these a run is quadratic.
CREATE INDEX tls_rows_domain ON tls_rows (day, domain);
CREATE INDEX tls_rows_policy ON tls_rows (day, policy_domain);

-- Who is not sent to, and for how long (RPT-12). A row whose time is over is
-- kept for a while: who bounces again is left alone for longer. Soft counts the
-- days on which an address took nothing but did not refuse for good either.
ALTER TABLE tls_suppressions ADD COLUMN created BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tls_suppressions ADD COLUMN soft BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tls_suppressions ADD COLUMN soft_day BIGINT NOT NULL DEFAULT 0;

-- Reports sent to an organisation on a UTC day (the daily cap of RPT-12).
CREATE TABLE tls_caps (
    day          BIGINT NOT NULL,
    organization TEXT   NOT NULL,
    reports      BIGINT NOT NULL,
    PRIMARY KEY (day, organization)
);

-- What signs the return paths of report mails, one row for all machines.
CREATE TABLE tls_secret (
    id     BIGINT PRIMARY KEY,
    secret BLOB NOT NULL
);

-- First failures of a domain that was clean (RPT-18), at most one a domain and
-- UTC day. Told is when the postmaster was mailed; 0: not yet.
CREATE TABLE tls_alerts (
    day       BIGINT NOT NULL,
    domain    TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    told      BIGINT NOT NULL,
    submitter TEXT   NOT NULL,
    report    BIGINT NOT NULL,  -- in tls_received
    ok        BIGINT NOT NULL,
    failed    BIGINT NOT NULL,
    types     TEXT   NOT NULL,  -- JSON: [{"type": …, "sessions": …}]
    PRIMARY KEY (day, domain)
);
CREATE INDEX tls_alerts_told ON tls_alerts (told);

-- Alerts on their way to the webhook. States: waiting, accepted, failed.
CREATE TABLE tls_hooks (
    id      BIGINT PRIMARY KEY,
    body    TEXT   NOT NULL,
    state   TEXT   NOT NULL,
    due     BIGINT NOT NULL,
    tries   BIGINT NOT NULL,
    claim   BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    note    TEXT   NOT NULL
);
CREATE INDEX tls_hooks_due ON tls_hooks (due) WHERE state = 'waiting';

-- Reports by HTTPS are counted by their source (RPT-15): submitter is then the
-- network they came from.
CREATE INDEX tls_received_source ON tls_received (source, submitter, received);

-- +goose Down
DROP INDEX tls_received_source;
DROP TABLE tls_hooks;
DROP TABLE tls_alerts;
DROP TABLE tls_secret;
DROP TABLE tls_caps;
ALTER TABLE tls_suppressions DROP COLUMN soft_day;
ALTER TABLE tls_suppressions DROP COLUMN soft;
ALTER TABLE tls_suppressions DROP COLUMN created;
DROP INDEX tls_rows_policy;
DROP INDEX tls_rows_domain;
