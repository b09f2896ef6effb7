-- +goose Up
-- DMARC reports of others, in tables of the same form as those of TLS reports (package reportbox).
CREATE TABLE dmarc_received (
    id            BIGINT PRIMARY KEY,
    source        TEXT   NOT NULL, -- mail or https
    submitter     TEXT   NOT NULL, -- who authenticated it: From domain; by https the network it came from
    report_id     TEXT   NOT NULL,
    policy_domain TEXT   NOT NULL,
    organization  TEXT   NOT NULL,
    contact       TEXT   NOT NULL,
    first         BIGINT NOT NULL, -- the report's range
    last          BIGINT NOT NULL,
    received      BIGINT NOT NULL,
    ok            BIGINT NOT NULL, -- messages that passed
    failed        BIGINT NOT NULL,
    json          BLOB   NOT NULL, -- the report: XML in gzip
    UNIQUE (source, submitter, report_id, policy_domain)
);
CREATE INDEX dmarc_received_domain ON dmarc_received (policy_domain, first);
CREATE INDEX dmarc_received_at ON dmarc_received (received);
CREATE INDEX dmarc_received_source ON dmarc_received (source, submitter, received);

CREATE TABLE dmarc_intake (
    day       BIGINT NOT NULL,
    submitter TEXT   NOT NULL,
    domain    TEXT   NOT NULL,
    stored    BIGINT NOT NULL,
    refused   BIGINT NOT NULL,
    octets    BIGINT NOT NULL,
    PRIMARY KEY (day, submitter, domain)
);

-- +goose Down
DROP TABLE dmarc_intake;
DROP TABLE dmarc_received;
