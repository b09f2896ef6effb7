-- +goose Up
-- What somebody who does not administer has done is bounded with each act.
CREATE INDEX web_audit_account ON web_audit (account, id);

-- +goose Down
DROP INDEX web_audit_account;
