-- +goose Up
-- ACC-3: who logged in to an account, and who tried. One row for all that are alike within an hour.
CREATE TABLE logins (
    account   TEXT     NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    hour      BIGINT   NOT NULL,  -- since 1970
    address   TEXT     NOT NULL,
    protocol  TEXT     NOT NULL,
    mechanism TEXT     NOT NULL,
    client    TEXT     NOT NULL,  -- what it calls itself
    result    TEXT     NOT NULL,
    good      SMALLINT NOT NULL,
    first     BIGINT   NOT NULL,
    last      BIGINT   NOT NULL,
    times     BIGINT   NOT NULL,
    PRIMARY KEY (account, hour, address, protocol, mechanism, client, result)
);
CREATE INDEX logins_last ON logins (account, good, last);

-- +goose Down
DROP TABLE logins;
