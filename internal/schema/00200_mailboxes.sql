-- +goose Up
-- What an account has in mailboxes: one modification sequence for all of them (RFC 7162),
-- which orders every change of its mail, and counters that are kept and not counted.
CREATE TABLE mail_accounts (
    account      TEXT   PRIMARY KEY REFERENCES accounts (name) ON DELETE CASCADE,
    modseq       BIGINT NOT NULL DEFAULT 1,
    uidvalidity  BIGINT NOT NULL DEFAULT 0,  -- the last one that was given
    messages     BIGINT NOT NULL DEFAULT 0,
    octets       BIGINT NOT NULL DEFAULT 0,
    keywords     TEXT   NOT NULL DEFAULT '', -- by number, with spaces between
    pruned       BIGINT NOT NULL DEFAULT 0,  -- the highest modseq in mailbox_gone of which anything was forgotten
    full_since   BIGINT NOT NULL DEFAULT 0   -- since when mail has been put off for its quota; 0: it is not
);

-- What an account's classifier is to learn, since its owner has moved a mail into Junk or out of it.
CREATE TABLE mail_lessons (
    mail  BIGINT   PRIMARY KEY,
    class SMALLINT NOT NULL -- of package mailbox
);

ALTER TABLE mailboxes ADD COLUMN uidvalidity BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN uidnext BIGINT NOT NULL DEFAULT 1;
ALTER TABLE mailboxes ADD COLUMN modseq BIGINT NOT NULL DEFAULT 1;
ALTER TABLE mailboxes ADD COLUMN special TEXT NOT NULL DEFAULT '';
ALTER TABLE mailboxes ADD COLUMN subscribed SMALLINT NOT NULL DEFAULT 1;
ALTER TABLE mailboxes ADD COLUMN messages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN unseen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0; -- messages with \Deleted
ALTER TABLE mailboxes ADD COLUMN octets BIGINT NOT NULL DEFAULT 0;
-- When it was deleted; 0: it is there. One that was deleted has another name.
ALTER TABLE mailboxes ADD COLUMN removed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN was TEXT NOT NULL DEFAULT ''; -- the name before that
-- The highest modseq of which mailbox_changes does not tell everything.
ALTER TABLE mailboxes ADD COLUMN untold BIGINT NOT NULL DEFAULT 0;

-- A message as an account has it, in however many mailboxes: header, which belongs to this
-- account's delivery alone, and then body without the octets that header stands in place of.
CREATE TABLE mails (
    id         BIGINT   PRIMARY KEY, -- EMAILID (RFC 8474)
    account    TEXT     NOT NULL,
    thread     BIGINT   NOT NULL,    -- THREADID: the id of the first mail of the thread
    sender     TEXT     NOT NULL,
    recipient  TEXT     NOT NULL,
    size       BIGINT   NOT NULL,
    received   BIGINT   NOT NULL,    -- INTERNALDATE
    body       BIGINT   NOT NULL REFERENCES bodies (id),
    header     BLOB     NOT NULL,
    replaced   BIGINT   NOT NULL DEFAULT 0,
    message_id TEXT     NOT NULL,
    facts      BLOB     NOT NULL,
    evidence   TEXT     NOT NULL,
    taught     SMALLINT NOT NULL DEFAULT 0,
    structure  BLOB     NOT NULL     -- of package structure; empty: to be made when it is asked for
);

-- A mail in a mailbox. Narrow, so that flags of very many are read and changed quickly.
CREATE TABLE mailbox_entries (
    mailbox BIGINT NOT NULL REFERENCES mailboxes (id),
    uid     BIGINT NOT NULL,
    mail    BIGINT NOT NULL,
    flags   BIGINT NOT NULL,
    modseq  BIGINT NOT NULL,
    added   BIGINT NOT NULL, -- the modseq with which it came
    saved   BIGINT NOT NULL, -- when (RFC 8514)
    PRIMARY KEY (mailbox, uid)
-- +store only sqlite
) WITHOUT ROWID;
-- +store only postgres
);
-- +store both

-- Where in a mailbox something has come or has other flags: a row a change and range of UIDs, since many
-- messages often change at once. What has changed after a modseq is in the ranges above it and has a modseq above it.
CREATE TABLE mailbox_changes (
    mailbox BIGINT NOT NULL REFERENCES mailboxes (id),
    modseq  BIGINT NOT NULL,
    low     BIGINT NOT NULL,
    high    BIGINT NOT NULL,
    PRIMARY KEY (mailbox, modseq, low)
-- +store only sqlite
) WITHOUT ROWID;
-- +store only postgres
);
-- +store both

-- What has been in a mailbox and is not there any more. mail is 0 once it cannot be brought back.
CREATE TABLE mailbox_gone (
    mailbox BIGINT NOT NULL REFERENCES mailboxes (id),
    modseq  BIGINT NOT NULL, -- with which it went
    uid     BIGINT NOT NULL,
    mail    BIGINT NOT NULL,
    flags   BIGINT NOT NULL,
    removed BIGINT NOT NULL, -- when
    PRIMARY KEY (mailbox, modseq, uid)
-- +store only sqlite
) WITHOUT ROWID;
-- +store only postgres
);
-- +store both

INSERT INTO mail_accounts (account, modseq, uidvalidity, messages, octets)
    SELECT b.account, 2, 1, count(m.id), coalesce(sum(m.size), 0) FROM mailboxes b LEFT JOIN mailbox_messages m ON m.mailbox = b.id GROUP BY b.account;
INSERT INTO mails (id, account, thread, sender, recipient, size, received, body, header, message_id, facts, evidence, taught, structure)
    SELECT m.id, b.account, m.id, m.sender, m.recipient, m.size, m.received, m.body, m.header, m.message_id, m.facts, m.evidence, m.taught, ''
    FROM mailbox_messages m JOIN mailboxes b ON b.id = m.mailbox;
INSERT INTO mailbox_entries (mailbox, uid, mail, flags, modseq, added, saved)
    SELECT mailbox, row_number() OVER (PARTITION BY mailbox ORDER BY id), id, 0, 2, 2, received FROM mailbox_messages;
UPDATE mailboxes SET uidvalidity = 1, modseq = 2, untold = 2,
    uidnext = 1 + (SELECT count(*) FROM mailbox_messages m WHERE m.mailbox = mailboxes.id),
    messages = (SELECT count(*) FROM mailbox_messages m WHERE m.mailbox = mailboxes.id),
    unseen = (SELECT count(*) FROM mailbox_messages m WHERE m.mailbox = mailboxes.id),
    octets = (SELECT coalesce(sum(m.size), 0) FROM mailbox_messages m WHERE m.mailbox = mailboxes.id);
UPDATE mailboxes SET special = '\Junk' WHERE name = 'Junk';
DROP TABLE mailbox_messages;

CREATE INDEX mails_body ON mails (body);
CREATE INDEX mails_message_id ON mails (message_id, account) WHERE message_id <> '';
CREATE INDEX mailbox_entries_mail ON mailbox_entries (mail);
CREATE INDEX mailbox_gone_mail ON mailbox_gone (mail) WHERE mail <> 0;
CREATE INDEX mailbox_gone_removed ON mailbox_gone (removed);

-- +goose Down
CREATE TABLE mailbox_messages (
    id         BIGINT PRIMARY KEY,
    mailbox    BIGINT NOT NULL REFERENCES mailboxes (id),
    sender     TEXT   NOT NULL,
    recipient  TEXT   NOT NULL,
    size       BIGINT NOT NULL,
    received   BIGINT NOT NULL,
    body       BIGINT REFERENCES bodies (id),
    header     BLOB   NOT NULL DEFAULT '',
    message_id TEXT   NOT NULL DEFAULT '',
    facts      BLOB   NOT NULL DEFAULT '',
    evidence   TEXT   NOT NULL DEFAULT '',
    taught     SMALLINT NOT NULL DEFAULT 0
);
-- A copy of a copy cannot be said there: each mail stays in one of its mailboxes.
INSERT INTO mailbox_messages (id, mailbox, sender, recipient, size, received, body, header, message_id, facts, evidence, taught)
    SELECT m.id, e.mailbox, m.sender, m.recipient, m.size, m.received, m.body, m.header, m.message_id, m.facts, m.evidence, m.taught
    FROM mails m JOIN (SELECT mail, min(mailbox) AS mailbox FROM mailbox_entries GROUP BY mail) e ON e.mail = m.id;
DROP TABLE mailbox_gone;
DROP TABLE mailbox_changes;
DROP TABLE mailbox_entries;
DROP TABLE mails;
DROP TABLE mail_lessons;
DROP TABLE mail_accounts;
ALTER TABLE mailboxes DROP COLUMN untold;
ALTER TABLE mailboxes DROP COLUMN was;
ALTER TABLE mailboxes DROP COLUMN removed;
ALTER TABLE mailboxes DROP COLUMN octets;
ALTER TABLE mailboxes DROP COLUMN deleted;
ALTER TABLE mailboxes DROP COLUMN unseen;
ALTER TABLE mailboxes DROP COLUMN messages;
ALTER TABLE mailboxes DROP COLUMN subscribed;
ALTER TABLE mailboxes DROP COLUMN special;
ALTER TABLE mailboxes DROP COLUMN modseq;
ALTER TABLE mailboxes DROP COLUMN uidnext;
ALTER TABLE mailboxes DROP COLUMN uidvalidity;
CREATE INDEX mailbox_messages_mailbox ON mailbox_messages (mailbox, id);
CREATE INDEX mailbox_messages_body ON mailbox_messages (body, mailbox);
CREATE INDEX mailbox_messages_message_id ON mailbox_messages (message_id, body) WHERE message_id <> '';
