-- +goose Up
-- What was in a mailbox with the UIDs from number * size + 1 on, size of them, as it was at a modseq: packed, so that a
-- view of very many messages is made at once. It can be missing, and made again of mailbox_entries.
CREATE TABLE mailbox_sheets (
    mailbox BIGINT NOT NULL REFERENCES mailboxes (id) ON DELETE CASCADE,
    number  BIGINT NOT NULL,
    size    BIGINT NOT NULL,
    modseq  BIGINT NOT NULL,
    data    BLOB   NOT NULL,
    PRIMARY KEY (mailbox, number)
);

-- +goose Down
DROP TABLE mailbox_sheets;
