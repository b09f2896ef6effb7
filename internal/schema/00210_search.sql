-- +goose Up
-- Mails whose words are not in the index as they are: delivery notes a mail here in its transaction,
-- as does what removes one for good. The search looks through these mails themselves (MBX-7).
CREATE TABLE mails_unindexed (
    account TEXT   NOT NULL,
    mail    BIGINT NOT NULL,
    PRIMARY KEY (account, mail)
-- +store only sqlite
) WITHOUT ROWID;
-- +store only postgres
);
-- +store both
INSERT INTO mails_unindexed (account, mail) SELECT account, id FROM mails;

-- The number with which each word of an account begins in the index, so that one account's words are
-- never another's. It is not given again, even if the account is removed.
CREATE TABLE search_accounts (
    number  BIGINT PRIMARY KEY,
    account TEXT   NOT NULL UNIQUE
);

-- The different words that an account's mails have had, to find those in which a text stands: a whole list in
-- their order, and behind it those that have come since.
CREATE TABLE search_words (
    number BIGINT   NOT NULL,
    seq    BIGINT   NOT NULL,
    whole  SMALLINT NOT NULL, -- 1: all words before it are in it
    words  TEXT     NOT NULL, -- a space before each, and one at the end
    PRIMARY KEY (number, seq)
);

-- The index. Words come folded and parted, each with its account's number.
-- +store only sqlite
CREATE VIRTUAL TABLE search_index USING fts5 (subject, sender, recipients, copies, blind, body, names, header,
    content='', contentless_delete=1, tokenize='ascii');
-- +store only postgres
CREATE TABLE search_index (
    rowid      BIGINT   PRIMARY KEY, -- the mail
    subject    TSVECTOR NOT NULL,
    sender     TSVECTOR NOT NULL,
    recipients TSVECTOR NOT NULL,
    copies     TSVECTOR NOT NULL,
    blind      TSVECTOR NOT NULL,
    body       TSVECTOR NOT NULL,
    names      TSVECTOR NOT NULL,
    header     TSVECTOR NOT NULL
);
CREATE INDEX search_index_words ON search_index USING gin (subject, sender, recipients, copies, blind, body, names, header);
-- +store both

-- +goose Down
DROP TABLE search_index;
DROP TABLE search_words;
DROP TABLE search_accounts;
DROP TABLE mails_unindexed;
