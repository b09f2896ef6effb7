-- +goose Up
-- The extended DNS error behind a failure is a value of its own; 0: none. Before, what was
-- said of the failure began with "ede-N: ", N being one to five digits.
ALTER TABLE tls_details ADD COLUMN ede INTEGER NOT NULL DEFAULT 0;
UPDATE tls_details SET ede = CAST(substr(info, 5, 1) AS INTEGER), info = substr(info, 8)
    WHERE info LIKE 'ede-_: %' AND ltrim(substr(info, 5, 1), '0123456789') = '' AND ede = 0;
UPDATE tls_details SET ede = CAST(substr(info, 5, 2) AS INTEGER), info = substr(info, 9)
    WHERE info LIKE 'ede-__: %' AND ltrim(substr(info, 5, 2), '0123456789') = '' AND ede = 0;
UPDATE tls_details SET ede = CAST(substr(info, 5, 3) AS INTEGER), info = substr(info, 10)
    WHERE info LIKE 'ede-___: %' AND ltrim(substr(info, 5, 3), '0123456789') = '' AND ede = 0;
UPDATE tls_details SET ede = CAST(substr(info, 5, 4) AS INTEGER), info = substr(info, 11)
    WHERE info LIKE 'ede-____: %' AND ltrim(substr(info, 5, 4), '0123456789') = '' AND ede = 0;
UPDATE tls_details SET ede = CAST(substr(info, 5, 5) AS INTEGER), info = substr(info, 12)
    WHERE info LIKE 'ede-_____: %' AND ltrim(substr(info, 5, 5), '0123456789') = '' AND substr(info, 5, 5) <= '65535' AND ede = 0;

-- +goose Down
UPDATE tls_details SET info = 'ede-' || CAST(ede AS TEXT) || ': ' || info WHERE ede > 0;
ALTER TABLE tls_details DROP COLUMN ede;
