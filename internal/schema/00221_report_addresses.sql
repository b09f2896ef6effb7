-- +goose Up
-- Local parts of the addresses that reports of others come to, by sort (tlsrpt, dmarc), with when
-- each was last the configured one: those that were are taken for 30 days more (RPT-21).
CREATE TABLE report_addresses (
    noun  TEXT   NOT NULL,
    local TEXT   NOT NULL, -- in lower case
    last  BIGINT NOT NULL,
    PRIMARY KEY (noun, local)
);

-- +goose Down
DROP TABLE report_addresses;
