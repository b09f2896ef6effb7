-- +goose Up
-- Where programs are told of events (OPS-8). The secret signs what is posted, so it is kept as it is.
CREATE TABLE webhooks (
    id       BIGINT PRIMARY KEY,
    url      TEXT   NOT NULL,
    account  TEXT   REFERENCES accounts (name) ON DELETE CASCADE,  -- NULL: any
    domain   TEXT   REFERENCES domains (name) ON DELETE CASCADE,   -- NULL: any
    events   TEXT   NOT NULL,  -- words with spaces between
    note     TEXT   NOT NULL,
    secret   BLOB   NOT NULL,
    created  BIGINT NOT NULL,
    disabled BIGINT NOT NULL,  -- when it was; 0: it is not
    word     TEXT   NOT NULL,  -- of the last failure; '' after a success
    failures BIGINT NOT NULL,  -- posts that failed since the last success
    failing  BIGINT NOT NULL,  -- since when; 0: it is not
    due      BIGINT NOT NULL,  -- nothing is posted before
    lease    BIGINT NOT NULL,  -- until when a machine posts to it
    claim    BIGINT NOT NULL,  -- counts leases
    dropped  BIGINT NOT NULL   -- events for which there was no room
);

-- One row an event and webhook, written in the transaction that settles what it tells of.
CREATE TABLE webhook_posts (
    id      BIGINT PRIMARY KEY,
    webhook BIGINT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    type    TEXT   NOT NULL,
    body    BLOB   NOT NULL,
    state   TEXT   NOT NULL,  -- waiting, accepted, failed
    created BIGINT NOT NULL,
    due     BIGINT NOT NULL,
    tries   BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    word    TEXT   NOT NULL,
    note    TEXT   NOT NULL
);
CREATE INDEX webhook_posts_waiting ON webhook_posts (webhook, due, id) WHERE state = 'waiting';
CREATE INDEX webhook_posts_webhook ON webhook_posts (webhook, id);
CREATE INDEX webhook_posts_over ON webhook_posts (changed) WHERE state <> 'waiting';

-- +goose Down
DROP TABLE webhook_posts;
DROP TABLE webhooks;
