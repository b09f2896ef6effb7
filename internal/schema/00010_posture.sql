-- +goose Up
-- What deliveries have shown of recipient domains (SES-10), a row for each
-- account that sent there; account is empty for mail of the server's own.
-- A word is "" while nothing is known; its time is that of the last attempt
-- that showed it.
CREATE TABLE posture (
    domain        TEXT NOT NULL,
    account       TEXT NOT NULL,
    starttls      TEXT NOT NULL,
    starttls_at   BIGINT NOT NULL,
    mta_sts       TEXT NOT NULL,
    mta_sts_at    BIGINT NOT NULL,
    dnssec        TEXT NOT NULL,
    dnssec_at     BIGINT NOT NULL,
    dane          TEXT NOT NULL,
    dane_at       BIGINT NOT NULL,
    requiretls    TEXT NOT NULL,
    requiretls_at BIGINT NOT NULL,
    seen          BIGINT NOT NULL,
    PRIMARY KEY (domain, account)
);
CREATE INDEX posture_seen ON posture (seen);

-- +goose Down
DROP TABLE posture;
