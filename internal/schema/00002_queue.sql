-- +goose Up
-- One row a message: the envelope. Recipients have identifiers between
-- first_recipient and last_recipient, so that they are found by their primary
-- key and need no index of their own.
CREATE TABLE messages (
    id              BIGINT PRIMARY KEY,
    sender          TEXT     NOT NULL,
    need            SMALLINT NOT NULL,
    purpose         SMALLINT NOT NULL,
    ref             TEXT     NOT NULL,
    account         TEXT     NOT NULL,
    eight_bit       SMALLINT NOT NULL,
    smtputf8        SMALLINT NOT NULL,
    env_id          TEXT     NOT NULL,
    ret             SMALLINT NOT NULL,
    size            BIGINT   NOT NULL,
    accepted        BIGINT   NOT NULL,
    peer            TEXT     NOT NULL,
    first_recipient BIGINT   NOT NULL,
    last_recipient  BIGINT   NOT NULL,
    unsettled       BIGINT   NOT NULL,  -- recipients that still wait
    finished        BIGINT   NOT NULL   -- when the last one was settled; 0 before
);
-- What the clean-up of the history looks through (QUE-8).
CREATE INDEX messages_finished ON messages (finished) WHERE finished > 0;

-- One row a message, deleted when its last recipient is settled. A large
-- message has its data in chunks and none here.
CREATE TABLE bodies (
    message BIGINT PRIMARY KEY,
    data    BLOB
);
CREATE TABLE chunks (
    message BIGINT NOT NULL,
    part    BIGINT NOT NULL,
    written BIGINT NOT NULL,  -- chunks go in before their envelope; old ones without one are swept
    data    BLOB   NOT NULL,
    PRIMARY KEY (message, part)
);

-- One row a recipient (QUE-1). States: 0 waits, 1 leased, 2 held, 3 delivered,
-- 4 failed. Due is when the queue next looks at a row: the next attempt while it
-- waits, the end of the lease while it is leased, and when it was settled after that.
CREATE TABLE recipients (
    id             BIGINT PRIMARY KEY,
    message        BIGINT   NOT NULL,
    address        TEXT     NOT NULL,
    domain         TEXT     NOT NULL,
    local          SMALLINT NOT NULL,
    orcpt          TEXT     NOT NULL,
    notify         SMALLINT NOT NULL,
    state          SMALLINT NOT NULL,
    due            BIGINT   NOT NULL,
    owner          TEXT     NOT NULL,  -- of the lease; '' without one
    claim          BIGINT   NOT NULL,  -- counts claims; settling checks it (QUE-2)
    attempts       BIGINT   NOT NULL,  -- begun
    last_attempt   BIGINT   NOT NULL,  -- when the last one ended; 0 before
    delay_told     SMALLINT NOT NULL,
    first_fail     TEXT     NOT NULL,  -- first policy that could not be met (POL-6)
    first_fail_at  BIGINT   NOT NULL,
    last_addrs     TEXT     NOT NULL,  -- separated by spaces (DST-2)
    word           TEXT     NOT NULL,  -- why it is in this state
    text           TEXT     NOT NULL,
    reply          TEXT     NOT NULL,
    host           TEXT     NOT NULL,
    tls            TEXT     NOT NULL
);
-- Only what is still to be done stands in this index: its size, and so the cost of
-- a claim, does not grow with history (QUE-9).
CREATE INDEX recipients_due ON recipients (state, due, id) WHERE state < 2;

-- One row an attempt of one job, with everything that was decided and seen (QUE-8).
CREATE TABLE attempts (
    id        BIGINT PRIMARY KEY,
    message   BIGINT NOT NULL,
    domain    TEXT   NOT NULL,
    transport TEXT   NOT NULL,
    owner     TEXT   NOT NULL,
    started   BIGINT NOT NULL,
    ended     BIGINT NOT NULL,
    detail    TEXT   NOT NULL  -- JSON: queue.Detail
);
CREATE INDEX attempts_message ON attempts (message);

-- +goose Down
DROP TABLE attempts;
DROP TABLE recipients;
DROP TABLE chunks;
DROP TABLE bodies;
DROP TABLE messages;
