-- +goose Up
-- AUT-3: mailing lists and forwarders that an account trusts, by domain (A-labels).
CREATE TABLE account_trust (
    account TEXT   NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    domain  TEXT   NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (account, domain)
);

-- +goose Down
DROP TABLE account_trust;
