-- +goose Up
-- Nothing has ever set a message's own schedule.
ALTER TABLE messages DROP COLUMN patience;

-- +goose Down
ALTER TABLE messages ADD COLUMN patience TEXT NOT NULL DEFAULT '';
