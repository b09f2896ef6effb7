-- +goose Up
-- One row, one number drawn at random when the store was made: so that a running
-- server notices that what it reaches is another store.
CREATE TABLE identity (
    one SMALLINT PRIMARY KEY,  -- 1
    id  BIGINT NOT NULL
);

-- +goose Down
DROP TABLE identity;
