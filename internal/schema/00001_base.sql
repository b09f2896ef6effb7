-- +goose Up
-- A row of this table is raised whenever the area it names changes, so that a
-- running server sees what a command or another machine wrote.
CREATE TABLE generation (
    area  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

-- +goose Down
DROP TABLE generation;
