-- +goose Up
-- When the message was first sent in full to a host that never answered, so that
-- it may have been delivered (SES-13); 0: never. A bounce says so.
ALTER TABLE recipients ADD COLUMN unanswered BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE recipients DROP COLUMN unanswered;
