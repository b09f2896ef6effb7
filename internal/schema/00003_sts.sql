-- +goose Up
-- One row for each recipient domain whose MTA-STS policy is cached, or whose
-- policy could not be fetched lately (RFC 8461 §5.1, STS-5).
CREATE TABLE sts_policy (
    domain         TEXT PRIMARY KEY,
    -- These five change together. policy is the raw text; empty: none is cached.
    policy         BLOB NOT NULL,
    record_id      TEXT NOT NULL,
    fetched        BIGINT NOT NULL,
    valid_until    BIGINT NOT NULL,
    due            BIGINT NOT NULL,
    last_used      BIGINT NOT NULL,
    last_checked   BIGINT NOT NULL,
    -- The failed fetches since the last good one; they belong to failed_id (STS-7).
    failures       BIGINT NOT NULL,
    failed_id      TEXT NOT NULL,
    failure_word   TEXT NOT NULL,
    failure_detail TEXT NOT NULL,
    failure_status BIGINT NOT NULL,
    backoff_until  BIGINT NOT NULL
);
CREATE INDEX sts_policy_due ON sts_policy (due);

-- +goose Down
DROP TABLE sts_policy;
