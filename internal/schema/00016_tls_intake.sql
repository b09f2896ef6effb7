-- +goose Up
-- Reports taken by mail on a UTC day, by the organisations of who signed and of
-- the policy domain; both '': all together. A sender's own valid signature is no
-- promise of moderation: stored rows are bounded by these, and refused says how
-- many were beyond.
CREATE TABLE tls_intake (
    day       BIGINT NOT NULL,
    submitter TEXT   NOT NULL,
    domain    TEXT   NOT NULL,
    stored    BIGINT NOT NULL,
    refused   BIGINT NOT NULL,
    PRIMARY KEY (day, submitter, domain)
);

-- Batches of libtlsrpt's datagrams that are stored: a batch is tried again when
-- nobody knows what became of its commit, and must not count twice.
CREATE TABLE tls_batches (
    id BIGINT PRIMARY KEY,
    at BIGINT NOT NULL
);
CREATE INDEX tls_batches_at ON tls_batches (at);

-- +goose Down
DROP TABLE tls_batches;
DROP TABLE tls_intake;
