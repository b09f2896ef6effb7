-- +goose Up
-- A reason's word and what was said of it stand apart. Before, the word was kept where
-- nothing had been said, and else lost. Words hold no blank; what was said holds some.
ALTER TABLE recipients ADD COLUMN first_fail_word TEXT NOT NULL DEFAULT '';
UPDATE recipients SET first_fail_word = first_fail, first_fail = '' WHERE first_fail <> '' AND first_fail NOT LIKE '% %';
ALTER TABLE destinations ADD COLUMN word TEXT NOT NULL DEFAULT '';
UPDATE destinations SET word = text, text = '' WHERE text <> '' AND text NOT LIKE '% %';

-- +goose Down
UPDATE destinations SET text = word WHERE text = '';
ALTER TABLE destinations DROP COLUMN word;
UPDATE recipients SET first_fail = first_fail_word WHERE first_fail = '';
ALTER TABLE recipients DROP COLUMN first_fail_word;
