-- +goose Up
-- MBX-3: when an account was removed that has mail; 0: it is there. It can be brought back for a while.
ALTER TABLE accounts ADD COLUMN removed BIGINT NOT NULL DEFAULT 0;

-- +goose Down
-- What was removed cannot be told from what is there: nobody is to log in to it.
UPDATE accounts SET disabled = 1, disabled_mail = 'refuse' WHERE removed > 0;
ALTER TABLE accounts DROP COLUMN removed;
