-- +goose Up
-- How the octets of a body, or of a part of one, are stored (package body): 0 as they are, 1 compressed (zstd).
ALTER TABLE bodies ADD COLUMN coding SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE body_chunks ADD COLUMN coding SMALLINT NOT NULL DEFAULT 0;

-- +goose Down
-- Refused while there are compressed bodies: nothing could read them then.
CREATE TABLE bodies_compressed (n BIGINT NOT NULL CHECK (n = 0));
INSERT INTO bodies_compressed SELECT (SELECT count(*) FROM bodies WHERE coding <> 0) + (SELECT count(*) FROM body_chunks WHERE coding <> 0);
DROP TABLE bodies_compressed;
ALTER TABLE body_chunks DROP COLUMN coding;
ALTER TABLE bodies DROP COLUMN coding;
