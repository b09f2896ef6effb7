-- +goose Up
-- ACC-3: passwords of programs, a row each. The SCRAM keys have the salts that the account's own had
-- when it was made.
CREATE TABLE app_passwords (
    account   TEXT   NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    name      TEXT   NOT NULL,
    protocols TEXT   NOT NULL,  -- words, with spaces between
    hash      TEXT   NOT NULL,  -- SHA-256, in hex: it is random, so that nothing slow is needed
    scram256  TEXT   NOT NULL,  -- as in accounts
    scram1    TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    expires   BIGINT NOT NULL,  -- 0: never
    used      BIGINT NOT NULL,  -- 0: never; seldom written
    used_from TEXT   NOT NULL,
    PRIMARY KEY (account, name)
);

-- What a login was made with: '' is the account's own password, a certificate or an API key, else
-- the name of the app password. It belongs to the key, so that the table is made anew.
CREATE TABLE logins_new (
    account   TEXT     NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    hour      BIGINT   NOT NULL,  -- since 1970
    address   TEXT     NOT NULL,
    protocol  TEXT     NOT NULL,
    mechanism TEXT     NOT NULL,
    app       TEXT     NOT NULL,
    client    TEXT     NOT NULL,  -- what it calls itself
    result    TEXT     NOT NULL,
    good      SMALLINT NOT NULL,
    first     BIGINT   NOT NULL,
    last      BIGINT   NOT NULL,
    times     BIGINT   NOT NULL,
    PRIMARY KEY (account, hour, address, protocol, mechanism, app, client, result)
);
INSERT INTO logins_new (account, hour, address, protocol, mechanism, app, client, result, good, first, last, times)
    SELECT account, hour, address, protocol, mechanism, '', client, result, good, first, last, times FROM logins;
DROP TABLE logins;
ALTER TABLE logins_new RENAME TO logins;
CREATE INDEX logins_last ON logins (account, good, last);

-- +goose Down
CREATE TABLE logins_old (
    account   TEXT     NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    hour      BIGINT   NOT NULL,
    address   TEXT     NOT NULL,
    protocol  TEXT     NOT NULL,
    mechanism TEXT     NOT NULL,
    client    TEXT     NOT NULL,
    result    TEXT     NOT NULL,
    good      SMALLINT NOT NULL,
    first     BIGINT   NOT NULL,
    last      BIGINT   NOT NULL,
    times     BIGINT   NOT NULL,
    PRIMARY KEY (account, hour, address, protocol, mechanism, client, result)
);
INSERT INTO logins_old (account, hour, address, protocol, mechanism, client, result, good, first, last, times)
    SELECT account, hour, address, protocol, mechanism, client, result, max(good), min(first), max(last), sum(times) FROM logins
    GROUP BY account, hour, address, protocol, mechanism, client, result;
DROP TABLE logins;
ALTER TABLE logins_old RENAME TO logins;
CREATE INDEX logins_last ON logins (account, good, last);
DROP TABLE app_passwords;
