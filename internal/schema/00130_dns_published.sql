-- +goose Up
-- The record sets that Waxwing has made in zones or was told to take over, as last seen
-- (CRT-5). Nothing else in a zone is ever changed.
CREATE TABLE dns_published (
    name    TEXT     NOT NULL,
    type    TEXT     NOT NULL,
    host    TEXT     NOT NULL,  -- the machine that keeps it
    scope   TEXT     NOT NULL,  -- the hosted domain that it is for; '': the host
    purpose TEXT     NOT NULL,
    made    TEXT     NOT NULL,  -- the records, as JSON
    released SMALLINT NOT NULL, -- 1: an operator has left it to others
    pending SMALLINT NOT NULL,  -- 1: the servers have not shown it yet
    before  TEXT     NOT NULL,  -- what they showed before, as JSON
    written BIGINT   NOT NULL,  -- the last change; 0: not known whether it was taken
    PRIMARY KEY (name, type)
);
-- How the publishing of a host's records goes, and whose turn it is.
CREATE TABLE dns_publishing (
    host      TEXT   PRIMARY KEY,
    lease     BIGINT NOT NULL,  -- one is at it until then
    succeeded BIGINT NOT NULL,  -- the last time that all that was due was done; 0: never
    failing   BIGINT NOT NULL,  -- since when not; 0: it does not fail
    failure   TEXT   NOT NULL,
    told      SMALLINT NOT NULL -- 1: the operator was told of the failure
);
-- Sets about which somebody has to decide.
CREATE TABLE dns_conflict (
    host   TEXT     NOT NULL,
    name   TEXT     NOT NULL,
    type   TEXT     NOT NULL,
    word   TEXT     NOT NULL,
    seen   TEXT     NOT NULL,
    wanted TEXT     NOT NULL,
    first  BIGINT   NOT NULL,
    told   SMALLINT NOT NULL,  -- 1: the operator was told, or it was there from the first time on
    PRIMARY KEY (host, name, type)
);

-- +goose Down
DROP TABLE dns_conflict;
DROP TABLE dns_publishing;
DROP TABLE dns_published;
