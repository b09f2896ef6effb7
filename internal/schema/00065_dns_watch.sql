-- +goose Up
-- The checks of what hosted domains publish in DNS, by themselves (DNS-W).
CREATE TABLE dns_watch (
	domain  TEXT PRIMARY KEY,
	look_at BIGINT NOT NULL, -- the next check, or the end of the lease of one under way
	looked  BIGINT NOT NULL  -- the last check; 0: none yet
);
-- What they found, but for what is well.
CREATE TABLE dns_finding (
	domain  TEXT   NOT NULL,
	word    TEXT   NOT NULL,
	subject TEXT   NOT NULL,
	level   TEXT   NOT NULL,
	seen    TEXT   NOT NULL,
	wanted  TEXT   NOT NULL,
	first   BIGINT NOT NULL, -- when it was found first, without a check since that did not
	last    BIGINT NOT NULL,
	looks   BIGINT NOT NULL, -- checks that found it
	told    SMALLINT NOT NULL, -- 1: the operator was told, or it was there from the first check on
	PRIMARY KEY (domain, word, subject)
);

-- +goose Down
DROP TABLE dns_finding;
DROP TABLE dns_watch;
