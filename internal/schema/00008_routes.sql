-- +goose Up
-- The ways out. settings is JSON (route.Transport); secrets, which no listing
-- reads, stand apart from it. The built-in ones have no settings.
CREATE TABLE transports (
    name     TEXT PRIMARY KEY,
    kind     TEXT   NOT NULL,
    settings TEXT   NOT NULL,
    secrets  TEXT   NOT NULL,  -- JSON; '' without any
    created  BIGINT NOT NULL
);
INSERT INTO transports (name, kind, settings, secrets, created) VALUES ('direct', 'direct', '', '', 0), ('local', 'local', '', '', 0);

-- Routes (TRA-4). Scope: 0 account, 1 domain of the sender, 2 server. Within one
-- scope and owner the order is that of position, then of the identifiers.
CREATE TABLE routes (
    id           BIGINT PRIMARY KEY,
    scope        SMALLINT NOT NULL,
    owner        TEXT     NOT NULL,
    position     BIGINT   NOT NULL,
    recipient    TEXT     NOT NULL,  -- domain; with a leading dot its subdomains too; '': any
    sender       TEXT     NOT NULL,
    min_attempts BIGINT   NOT NULL,
    need         SMALLINT NOT NULL,  -- delivery.TLSNeed; -1: any
    transport    TEXT     NOT NULL REFERENCES transports (name)
);

-- A message's own transport; '': the routes choose.
ALTER TABLE messages ADD COLUMN transport TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE messages DROP COLUMN transport;
DROP TABLE routes;
DROP TABLE transports;
