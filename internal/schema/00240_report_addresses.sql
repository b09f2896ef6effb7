-- +goose Up
-- Report addresses of single domains beside those of all (RPT-21): domain is '' for the latter.
CREATE TABLE report_locals (
    noun   TEXT   NOT NULL,
    domain TEXT   NOT NULL,
    local  TEXT   NOT NULL, -- in lower case
    last   BIGINT NOT NULL, -- when it was last the configured one
    PRIMARY KEY (noun, domain, local)
);
INSERT INTO report_locals (noun, domain, local, last) SELECT noun, '', local, last FROM report_addresses;
DROP TABLE report_addresses;

-- +goose Down
CREATE TABLE report_addresses (
    noun  TEXT   NOT NULL,
    local TEXT   NOT NULL,
    last  BIGINT NOT NULL,
    PRIMARY KEY (noun, local)
);
INSERT INTO report_addresses (noun, local, last) SELECT noun, local, last FROM report_locals WHERE domain = '';
DROP TABLE report_locals;
