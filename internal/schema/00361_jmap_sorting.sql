-- +goose Up
-- How JMAP clients call a script: its name can be changed, its id not.
ALTER TABLE sieve_scripts ADD COLUMN id BIGINT NOT NULL DEFAULT 0;
UPDATE sieve_scripts SET id = (SELECT count(*) FROM sieve_scripts AS o WHERE o.account < sieve_scripts.account OR o.account = sieve_scripts.account AND o.name <= sieve_scripts.name);

-- What is answered for an account while its owner is away (RFC 8621 §8), beside what its script says.
CREATE TABLE vacations (
    account TEXT     PRIMARY KEY REFERENCES accounts (name) ON DELETE CASCADE,
    enabled SMALLINT NOT NULL,
    since   BIGINT   NOT NULL, -- 0: from the beginning
    until   BIGINT   NOT NULL, -- 0: without end
    subject TEXT     NOT NULL, -- empty: that of the message
    plain   TEXT     NOT NULL,
    html    TEXT     NOT NULL,
    changed BIGINT   NOT NULL
);

-- +goose Down
DROP TABLE vacations;
ALTER TABLE sieve_scripts DROP COLUMN id;
