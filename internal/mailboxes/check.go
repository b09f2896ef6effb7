package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waxwing/internal/store"
)

// Check counts again what is kept as counters (MBX-5), an account at a time, and returns what differs, a line
// each, at most 100. With repair, the counters are set right.
func Check(ctx context.Context, db *store.Store, repair bool) (differ []string, err error) {
	accounts, err := store.List(ctx, db, store.Value[string], `SELECT account FROM mailboxes UNION SELECT account FROM mail_accounts ORDER BY account`)
	if err != nil {
		return nil, fmt.Errorf("look for accounts with mailboxes: %w", err)
	}
	for _, a := range accounts {
		some, err := CheckAccount(ctx, db, a, repair)
		if err != nil {
			return nil, err
		}
		differ = append(differ, some[:min(len(some), maxDiffer-len(differ))]...)
	}
	return differ, nil
}

// maxDiffer is how many lines Check returns.
const maxDiffer = 100

// CheckAccount is Check for one account. Without repair it holds nobody up; with repair, those who change the
// account's mail, where something differs.
func CheckAccount(ctx context.Context, db *store.Store, account string, repair bool) (differ []string, err error) {
	err = db.Read(ctx, func(tx *store.Tx) (err error) {
		differ, err = recount(tx, account)
		return err
	})
	if err == nil && repair && len(differ) > 0 {
		err = db.Write(ctx, func(tx *store.Tx) error { return setRight(tx, account) })
	}
	if err != nil {
		return nil, fmt.Errorf("count what is in the mailboxes of %s: %w", account, err)
	}
	return differ, nil
}

// recount says which counters of an account differ from what is there.
func recount(tx *store.Tx, account string) ([]string, error) {
	boxes, err := store.Collect(tx, func(r store.Row) (string, error) {
		var id, has, counted int64
		var name string
		err := r.Scan(&id, &name, &has, &counted)
		return fmt.Sprintf("mailbox %q of %s: its counters say %d messages, and it has %d", name, account, has, counted), err
	}, `SELECT b.id, b.name, b.messages, `+countMessages+` FROM mailboxes b
		WHERE b.account = ? AND (b.messages <> `+countMessages+` OR b.unseen <> `+countUnseen+` OR b.deleted <> `+countDeleted+` OR b.octets <> `+countOctets+`
			OR b.uidnext <= coalesce((SELECT max(uid) FROM mailbox_entries e WHERE e.mailbox = b.id), 0)
			OR b.modseq < coalesce((SELECT max(modseq) FROM mailbox_entries e WHERE e.mailbox = b.id), 0)) ORDER BY b.id LIMIT 100`, account)
	if err != nil {
		return nil, err
	}
	sums, err := store.Collect(tx, func(r store.Row) (string, error) {
		var has, counted int64
		err := r.Scan(&has, &counted)
		return fmt.Sprintf("account %s: its counters say %d messages, and it has %d", account, has, counted), err
	}, `SELECT a.messages, `+sumMessages+` FROM mail_accounts a WHERE a.account = ? AND (a.messages <> `+sumMessages+` OR a.octets <> `+sumOctets+` OR a.gone_octets <> `+sumGone+`)`, account)
	return append(boxes, sums...), err
}

// setRight counts anew. The account's turn is taken first: what others change meanwhile would be missed.
func setRight(tx *store.Tx, account string) error {
	err := tx.Row(`SELECT account FROM mail_accounts WHERE account = ?`+tx.Wait(), account).Scan(&account)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	if err == nil {
		_, err = tx.Exec(`UPDATE mailboxes AS b SET messages = `+countMessages+`, unseen = `+countUnseen+`, deleted = `+countDeleted+`, octets = `+countOctets+` WHERE b.account = ?`, account)
	}
	if err == nil {
		_, err = tx.Exec(`UPDATE mail_accounts AS a SET messages = `+sumMessages+`, octets = `+sumOctets+`, gone_octets = `+sumGone+` WHERE a.account = ?`, account)
	}
	return err
}

const (
	countMessages = `(SELECT count(*) FROM mailbox_entries e WHERE e.mailbox = b.id)`
	countUnseen   = `(SELECT count(*) FROM mailbox_entries e WHERE e.mailbox = b.id AND e.flags & 1 = 0)`
	countDeleted  = `(SELECT count(*) FROM mailbox_entries e WHERE e.mailbox = b.id AND e.flags & 8 <> 0)`
	countOctets   = `(SELECT coalesce(sum(m.size), 0) FROM mailbox_entries e JOIN mails m ON m.id = e.mail WHERE e.mailbox = b.id)`
	sumMessages   = `(SELECT coalesce(sum(b.messages), 0) FROM mailboxes b WHERE b.account = a.account)`
	sumGone       = `(SELECT coalesce(sum(g.octets), 0) FROM mailbox_gone g JOIN mailboxes b ON b.id = g.mailbox WHERE b.account = a.account)`
	sumOctets     = `(SELECT coalesce(sum(b.octets), 0) FROM mailboxes b WHERE b.account = a.account)`
)
