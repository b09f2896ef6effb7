package mailboxes

import (
	"database/sql"
	"errors"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Taught notes what a message was learnt as, and returns what it was before; ErrNoSuchMessage.
func (s *Store) Taught(tx *store.Tx, id int64, class mailbox.Class) (was mailbox.Class, err error) {
	err = tx.Row(`SELECT taught FROM mails WHERE id = ?`+tx.Lock(), id).Scan(&was)
	if errors.Is(err, sql.ErrNoRows) {
		return was, ErrNoSuchMessage
	}
	if err == nil {
		_, err = tx.Exec(`UPDATE mails SET taught = ? WHERE id = ?`, int64(class), id)
	}
	return was, err
}
