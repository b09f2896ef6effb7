-- +goose Up
-- What the last attempt of a recipient that was tried long enough failed by stands beside
-- the reason "expired". Before, its text was a part of that reason's, and its word was lost.
ALTER TABLE recipients ADD COLUMN last_word TEXT NOT NULL DEFAULT '';
ALTER TABLE recipients ADD COLUMN last_text TEXT NOT NULL DEFAULT '';

-- +goose Down
UPDATE recipients SET text = text || ' The last one: ' || CASE WHEN last_text <> '' THEN last_text ELSE last_word END WHERE last_text <> '' OR last_word <> '';
ALTER TABLE recipients DROP COLUMN last_text;
ALTER TABLE recipients DROP COLUMN last_word;
