-- +goose Up
-- Networks whose mail servers have made TLS handshakes with a machine (INB-9).
CREATE TABLE inbound_tls (
    network   TEXT   NOT NULL,
    machine   TEXT   NOT NULL,            -- its host name
    succeeded BIGINT NOT NULL,            -- when one last succeeded, as far as is noted: once a day
    failing   BIGINT NOT NULL DEFAULT 0,  -- since when they fail, with none that has succeeded; 0: they do not
    failures  BIGINT NOT NULL DEFAULT 0,  -- in that time
    alert     TEXT   NOT NULL DEFAULT '', -- why the last one failed
    told      BIGINT NOT NULL DEFAULT 0,  -- when the operator was told; 0: not
    PRIMARY KEY (machine, network)
);
CREATE INDEX inbound_tls_succeeded ON inbound_tls (machine, succeeded);

-- +goose Down
DROP TABLE inbound_tls;
