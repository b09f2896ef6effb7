-- +goose Up
-- Random values that all machines must have in common, each made once.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

-- A SCRAM login of nobody's is answered like the address with its local part (INB-5).
CREATE INDEX addresses_local ON addresses (local, domain);

-- +goose Down
DROP INDEX addresses_local;
DROP TABLE secrets;
