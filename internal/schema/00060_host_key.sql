-- +goose Up
-- The keys of a host, by the digest of the public key, with what DNS showed of their
-- TLSA records (CRT-6). The keys themselves are files.
CREATE TABLE host_key (
    host       TEXT     NOT NULL,
    spki       TEXT     NOT NULL,  -- SHA-256, hexadecimal
    algorithm  TEXT     NOT NULL,
    number     BIGINT   NOT NULL,
    made       BIGINT   NOT NULL,
    announced  BIGINT   NOT NULL,
    promoted   BIGINT   NOT NULL,
    retired    BIGINT   NOT NULL,
    dropped    BIGINT   NOT NULL,  -- its record may go since then
    wanted     BIGINT   NOT NULL,  -- of the key in use: a roll-over was asked for then
    seen_last  BIGINT   NOT NULL,
    seen_since BIGINT   NOT NULL,
    seen_ttl   BIGINT   NOT NULL,  -- nanoseconds
    seen_some  SMALLINT NOT NULL,
    seen_set   SMALLINT NOT NULL,
    PRIMARY KEY (host, spki)
);
-- Which machine of a host has which key.
CREATE TABLE host_key_holder (
    host    TEXT   NOT NULL,
    machine TEXT   NOT NULL,
    spki    TEXT   NOT NULL,  -- '': the machine itself
    at      BIGINT NOT NULL,
    PRIMARY KEY (host, machine, spki)
);
-- The last look at the servers of a host's zone, and whose turn the next is.
CREATE TABLE host_look (
    host   TEXT   PRIMARY KEY,
    look_at BIGINT NOT NULL,  -- the next one
    looked BIGINT NOT NULL,  -- the last one that reached every server
    detail TEXT   NOT NULL   -- what kept it from that; '': nothing
);

-- +goose Down
DROP TABLE host_look;
DROP TABLE host_key_holder;
DROP TABLE host_key;
