-- +goose Up
-- The outbox of reports of every sort (package outbox); kind says which: 0 TLS
-- report about a recipient domain, 1 about an MX host, 2 an alert to the webhook.
ALTER TABLE tls_units RENAME TO outbox_units;
ALTER TABLE tls_reports RENAME TO outbox_reports;
ALTER TABLE outbox_reports RENAME COLUMN json TO body;
ALTER TABLE tls_deliveries RENAME TO outbox_deliveries;
ALTER TABLE tls_tries RENAME TO outbox_tries;
ALTER TABLE tls_suppressions RENAME TO outbox_suppressions;
ALTER TABLE tls_caps RENAME TO outbox_caps;
ALTER TABLE tls_secret RENAME TO outbox_secret;

-- Deliveries go with their report from now on.
DELETE FROM outbox_deliveries WHERE report NOT IN (SELECT id FROM outbox_reports);
DELETE FROM outbox_tries WHERE delivery NOT IN (SELECT id FROM outbox_deliveries);

-- Alerts on their way to the webhook are posts among others.
INSERT INTO outbox_reports (id, day, kind, policy_domain, report_id, created, ok, failed, partial, state, body)
-- +store only sqlite
SELECT id, 0, 2, '', '', due, 0, 0, 0, 'sending', CAST(body AS BLOB) FROM tls_hooks WHERE state = 'waiting';
-- +store only postgres
SELECT id, 0, 2, '', '', due, 0, 0, 0, 'sending', convert_to(body, 'UTF8') FROM tls_hooks WHERE state = 'waiting';
-- +store both
INSERT INTO outbox_deliveries (id, report, uri, state, due, tries, claim, expires, changed, note)
SELECT id, id, 'webhook', state, due, tries, claim, expires, due, note FROM tls_hooks WHERE state = 'waiting';
DROP TABLE tls_hooks;

-- +goose Down
CREATE TABLE tls_hooks (
    id      BIGINT PRIMARY KEY,
    body    TEXT   NOT NULL,
    state   TEXT   NOT NULL,
    due     BIGINT NOT NULL,
    tries   BIGINT NOT NULL,
    claim   BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    note    TEXT   NOT NULL
);
CREATE INDEX tls_hooks_due ON tls_hooks (due) WHERE state = 'waiting';
DELETE FROM outbox_tries WHERE delivery IN (SELECT id FROM outbox_deliveries WHERE report IN (SELECT id FROM outbox_reports WHERE kind > 1));
DELETE FROM outbox_deliveries WHERE report IN (SELECT id FROM outbox_reports WHERE kind > 1);
DELETE FROM outbox_reports WHERE kind > 1;
DELETE FROM outbox_units WHERE kind > 1;
ALTER TABLE outbox_secret RENAME TO tls_secret;
ALTER TABLE outbox_caps RENAME TO tls_caps;
ALTER TABLE outbox_suppressions RENAME TO tls_suppressions;
ALTER TABLE outbox_tries RENAME TO tls_tries;
ALTER TABLE outbox_deliveries RENAME TO tls_deliveries;
ALTER TABLE outbox_reports RENAME COLUMN body TO json;
ALTER TABLE outbox_reports RENAME TO tls_reports;
ALTER TABLE outbox_units RENAME TO tls_units;
