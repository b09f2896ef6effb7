-- +goose Up
-- What an operator was told of by mail or webhook and need not hear again, by any
-- machine (STS-13).
CREATE TABLE told (
	what TEXT PRIMARY KEY,
	at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE told;
