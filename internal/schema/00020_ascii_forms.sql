-- +goose Up
-- Of a notification that needs SMTPUTF8 or 8BITMIME, the form in US-ASCII for
-- hosts without (QUE-12, RFC 6533 §3). It goes when the body goes.
CREATE TABLE ascii_forms (
    message BIGINT PRIMARY KEY,
    data    BLOB   NOT NULL
);

-- +goose Down
DROP TABLE ascii_forms;
