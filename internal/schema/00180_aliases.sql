-- +goose Up
-- ACC-2: how local parts of a domain are compared. separators are the characters behind which
-- a detail begins ("joe+list"); '' is none.
ALTER TABLE domains ADD COLUMN separators TEXT NOT NULL DEFAULT '+';
ALTER TABLE domains ADD COLUMN case_sensitive SMALLINT NOT NULL DEFAULT 0;

-- ACC-1: an address without an account is an alias, if it stands here; if not, mail to it is
-- refused though the domain has a catchall.
CREATE TABLE aliases (
    domain      TEXT     NOT NULL,
    local       TEXT     NOT NULL,
    posting     TEXT     NOT NULL,  -- account.Posting
    sender_copy SMALLINT NOT NULL,
    PRIMARY KEY (domain, local),
    FOREIGN KEY (domain, local) REFERENCES addresses (domain, local) ON DELETE CASCADE
);

-- Who gets its mail, and who may post where posting is 'listed'.
CREATE TABLE alias_people (
    domain  TEXT   NOT NULL,
    local   TEXT   NOT NULL,
    role    TEXT   NOT NULL,  -- 'member', 'poster'
    address TEXT   NOT NULL,
    PRIMARY KEY (domain, local, role, address),
    FOREIGN KEY (domain, local) REFERENCES aliases (domain, local) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE alias_people;
DROP TABLE aliases;
ALTER TABLE domains DROP COLUMN case_sensitive;
ALTER TABLE domains DROP COLUMN separators;
