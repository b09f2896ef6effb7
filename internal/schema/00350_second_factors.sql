-- +goose Up
-- WEB-3: what people log in to pages with beside their password. An account that has such a factor
-- has second_factor set, in the transaction that adds or removes it.
ALTER TABLE accounts ADD COLUMN second_factor SMALLINT NOT NULL DEFAULT 0;

CREATE TABLE second_factors (
    id      BIGINT PRIMARY KEY,
    account TEXT   NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    kind    TEXT   NOT NULL,  -- totp, passkey
    name    TEXT   NOT NULL,  -- what its owner calls it
    ident   BLOB   NOT NULL,  -- of a passkey: the id of the credential
    secret  BLOB   NOT NULL,  -- of totp: the shared key; of a passkey: the public key (SubjectPublicKeyInfo)
    counter BIGINT NOT NULL,  -- of totp: the last time step used; of a passkey: its signature counter
    created BIGINT NOT NULL,
    used    BIGINT NOT NULL,  -- 0: never
    UNIQUE (account, name)
);

-- Of a recovery code only the SHA-256 is kept, until it is used.
CREATE TABLE recovery_codes (
    account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    hash    BLOB NOT NULL,
    PRIMARY KEY (account, hash)
);

ALTER TABLE web_sessions ADD COLUMN factor    TEXT   NOT NULL DEFAULT '';  -- the second factor it was begun with: totp, passkey, recovery-code
ALTER TABLE web_sessions ADD COLUMN challenge TEXT   NOT NULL DEFAULT '';  -- what its browser's passkey is to sign
ALTER TABLE web_sessions ADD COLUMN tries     BIGINT NOT NULL DEFAULT 0;   -- wrong second factors in it

-- +goose Down
ALTER TABLE web_sessions DROP COLUMN tries;
ALTER TABLE web_sessions DROP COLUMN challenge;
ALTER TABLE web_sessions DROP COLUMN factor;
DROP TABLE recovery_codes;
DROP TABLE second_factors;
ALTER TABLE accounts DROP COLUMN second_factor;
