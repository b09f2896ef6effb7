-- +goose Up
-- The key with which what is posted to push services is signed (RFC 8292). There is one.
CREATE TABLE jmap_push_key (
    id     SMALLINT PRIMARY KEY CHECK (id = 1),
    secret BLOB     NOT NULL, -- of P-256
    made   BIGINT   NOT NULL
);

-- +goose Down
DROP TABLE jmap_push_key;
