-- +goose Up
-- The future release that a message's client asked for, as its DSNs repeat it
-- (RFC 4865 §5.1.2): for;SECONDS or until;DATE. Empty: none. not_before is the
-- time that follows from it.
ALTER TABLE messages ADD COLUMN hold TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE messages DROP COLUMN hold;
