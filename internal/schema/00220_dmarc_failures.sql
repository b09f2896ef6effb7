-- +goose Up
-- Messages that failed DMARC, to be told to the domains that ask for it (RFC 9991): those alike
-- of a quarter of an hour are one row, which is removed when its report is queued.
CREATE TABLE dmarc_failures (
    id        TEXT   PRIMARY KEY, -- hash of what the messages have in common, and the period
    due       BIGINT NOT NULL,
    until     BIGINT NOT NULL,    -- given up after that
    domain    TEXT   NOT NULL,    -- where the policy stands
    spf       TEXT   NOT NULL,    -- domain whose SPF record is told; '': none
    report    TEXT   NOT NULL,    -- JSON, arf.Report
    original  BLOB   NOT NULL,    -- what is shown of the first message's header
    incidents BIGINT NOT NULL,
    tries     BIGINT NOT NULL
);
CREATE INDEX dmarc_failures_due ON dmarc_failures (due);

-- How many rows there were of an organisation's domains on a day; '' is of all.
CREATE TABLE dmarc_failure_room (
    day          BIGINT NOT NULL,
    organization TEXT   NOT NULL,
    entries      BIGINT NOT NULL,
    left_out     BIGINT NOT NULL, -- messages
    PRIMARY KEY (day, organization)
);

-- Failure reports of others, in tables of the same form as those of other reports (package
-- reportbox).
CREATE TABLE dmarc_failure_received (
    id            BIGINT PRIMARY KEY,
    source        TEXT   NOT NULL,
    submitter     TEXT   NOT NULL,
    report_id     TEXT   NOT NULL,
    policy_domain TEXT   NOT NULL,
    organization  TEXT   NOT NULL,
    contact       TEXT   NOT NULL, -- address that the messages came from
    first         BIGINT NOT NULL,
    last          BIGINT NOT NULL,
    received      BIGINT NOT NULL,
    ok            BIGINT NOT NULL,
    failed        BIGINT NOT NULL, -- messages
    json          BLOB   NOT NULL, -- the report's fields, and the message's header
    UNIQUE (source, submitter, report_id, policy_domain)
);
CREATE INDEX dmarc_failure_received_domain ON dmarc_failure_received (policy_domain, first);
CREATE INDEX dmarc_failure_received_at ON dmarc_failure_received (received);
CREATE INDEX dmarc_failure_received_source ON dmarc_failure_received (source, submitter, received);

CREATE TABLE dmarc_failure_intake (
    day       BIGINT NOT NULL,
    submitter TEXT   NOT NULL,
    domain    TEXT   NOT NULL,
    stored    BIGINT NOT NULL,
    refused   BIGINT NOT NULL,
    octets    BIGINT NOT NULL,
    PRIMARY KEY (day, submitter, domain)
);

-- +goose Down
DROP TABLE dmarc_failure_intake;
DROP TABLE dmarc_failure_received;
DROP TABLE dmarc_failure_room;
DROP TABLE dmarc_failures;
