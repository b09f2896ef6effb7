-- +goose Up
-- How the server has done, hour by hour (ADM-3): what happened in an hour as a sum, what is so as it was last.
CREATE TABLE trends (
    hour BIGINT NOT NULL,  -- its beginning
    kind TEXT   NOT NULL,  -- sessions, failures, latency, queue, age, disk
    name TEXT   NOT NULL,
    n    BIGINT NOT NULL,
    PRIMARY KEY (hour, kind, name)
);

-- +goose Down
DROP TABLE trends;
