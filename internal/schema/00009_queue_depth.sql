-- +goose Up
-- What a message asks of its own retries (QUE-4): no attempt before not_before
-- (RFC 4865), and its own schedule as JSON ('' for the server's).
ALTER TABLE messages ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN patience TEXT NOT NULL DEFAULT '';

-- account is the message's, for claims and filters; need and via are set where an
-- operator changed them for this recipient alone; attend is when a waiting row
-- must be looked at even if nothing can be tried: a delay to be told, the end of its time.
ALTER TABLE recipients ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE recipients ADD COLUMN attend BIGINT NOT NULL DEFAULT 0;
ALTER TABLE recipients ADD COLUMN need SMALLINT;
ALTER TABLE recipients ADD COLUMN via TEXT;
UPDATE recipients SET account = (SELECT account FROM messages WHERE messages.id = recipients.message) WHERE state < 3;

-- Waiting rows stand in the order of their lane, leased ones in that of their
-- leases' ends. Neither holds what is settled (QUE-9).
DROP INDEX recipients_due;
CREATE INDEX recipients_lane ON recipients (domain, local, account, due, id) WHERE state = 0;
CREATE INDEX recipients_attend ON recipients (attend) WHERE state = 0;
CREATE INDEX recipients_leased ON recipients (due, id) WHERE state = 1;
-- For filters: what is held; what waits, by account and by domain, in the order of pages.
CREATE INDEX recipients_held ON recipients (id) WHERE state = 2;
CREATE INDEX recipients_account ON recipients (account, id) WHERE state = 0 AND account <> '';

-- A lane is the waiting mail of one account for one destination. next is no later
-- than the first row of the lane is due, or when its destination may be tried
-- again: so the cost of a claim depends on neither the rows nor the lanes that wait.
CREATE TABLE lanes (
    domain  TEXT     NOT NULL,
    local   SMALLINT NOT NULL,
    account TEXT     NOT NULL,
    next    BIGINT   NOT NULL,
    PRIMARY KEY (domain, local, account)
);
CREATE INDEX lanes_next ON lanes (next);
CREATE INDEX lanes_account ON lanes (account, next);
INSERT INTO lanes (domain, local, account, next)
    SELECT domain, local, account, min(due) FROM recipients WHERE state = 0 GROUP BY domain, local, account;

-- Destinations that could not be reached lately; all machines keep away from
-- them until blocked (QUE-3).
CREATE TABLE destinations (
    domain   TEXT     NOT NULL,
    local    SMALLINT NOT NULL,
    blocked  BIGINT   NOT NULL,
    failures BIGINT   NOT NULL,  -- in a row
    since    BIGINT   NOT NULL,  -- the first of them
    text     TEXT     NOT NULL,  -- what the last one was
    PRIMARY KEY (domain, local)
);
CREATE INDEX destinations_blocked ON destinations (blocked);

-- Hold rules (QUE-6): mail that matches all given fields is held. '' matches all.
CREATE TABLE hold_rules (
    id               BIGINT PRIMARY KEY,
    account          TEXT   NOT NULL,
    sender_domain    TEXT   NOT NULL,
    recipient_domain TEXT   NOT NULL,
    note             TEXT   NOT NULL,
    created          BIGINT NOT NULL
);

-- Recipients that an account sends no more mail to (QUE-7).
CREATE TABLE suppressions (
    account TEXT     NOT NULL,
    address TEXT     NOT NULL,  -- in the form that is compared
    manual  SMALLINT NOT NULL,
    code    TEXT     NOT NULL,  -- of the reply that did it
    text    TEXT     NOT NULL,
    created BIGINT   NOT NULL,
    expires BIGINT   NOT NULL,  -- 0: never
    PRIMARY KEY (account, address)
);
CREATE INDEX suppressions_expires ON suppressions (expires) WHERE expires > 0;

-- +goose Down
DROP TABLE suppressions;
DROP TABLE hold_rules;
DROP TABLE destinations;
DROP TABLE lanes;
DROP INDEX recipients_account;
DROP INDEX recipients_held;
DROP INDEX recipients_leased;
DROP INDEX recipients_attend;
DROP INDEX recipients_lane;
ALTER TABLE recipients DROP COLUMN via;
ALTER TABLE recipients DROP COLUMN need;
ALTER TABLE recipients DROP COLUMN attend;
ALTER TABLE recipients DROP COLUMN account;
ALTER TABLE messages DROP COLUMN patience;
ALTER TABLE messages DROP COLUMN not_before;
CREATE INDEX recipients_due ON recipients (state, due, id) WHERE state < 2;
