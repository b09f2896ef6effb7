-- +goose Up
-- What accounts have sent in a day (INB-3). A machine writes down a few messages
-- before they come and takes back what it did not need: so that not every message
-- costs a row, and no crash forgets what was sent.
CREATE TABLE account_use (
    day        BIGINT NOT NULL,  -- since 1970, UTC
    account    TEXT   NOT NULL,
    messages   BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    PRIMARY KEY (day, account)
);

-- What an account may send in a day: NULL as the configuration says, 0 without limit.
CREATE TABLE account_limits (
    account    TEXT PRIMARY KEY REFERENCES accounts (name) ON DELETE CASCADE,
    messages   BIGINT,
    recipients BIGINT
);

-- +goose Down
DROP TABLE account_limits;
DROP TABLE account_use;
