-- +goose Up
-- DKIM keys. A domain signs with all its active keys, one signature each; a
-- retired key stays until its record may go from the DNS.
CREATE TABLE dkim_key (
    domain      TEXT NOT NULL,     -- A-labels, lower case
    selector    TEXT NOT NULL,
    algorithm   TEXT NOT NULL,     -- rsa-sha256, ed25519-sha256
    private_key TEXT NOT NULL,     -- PKCS #8, PEM
    services    TEXT NOT NULL,     -- s= of the record, joined by ':'; empty: all
    state       TEXT NOT NULL,     -- active, retired
    created     BIGINT NOT NULL,
    PRIMARY KEY (domain, selector)
);

-- +goose Down
DROP TABLE dkim_key;
