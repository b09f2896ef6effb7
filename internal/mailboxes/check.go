package mailboxes

import (
	"context"
	"fmt"

	"waxwing/internal/store"
)

// Check counts again what is kept as counters (MBX-5), and returns what differs, a line each, at
// most 100. With repair, the counters are set right.
func Check(ctx context.Context, db *store.Store, repair bool) (differ []string, err error) {
	err = db.Write(ctx, func(tx *store.Tx) error {
		differ = nil
		boxes, err := store.Collect(tx, func(r store.Row) (string, error) {
			var id, has, counted int64
			var account, name string
			err := r.Scan(&id, &account, &name, &has, &counted)
			return fmt.Sprintf("mailbox %q of %s: its counters say %d messages, and it has %d", name, account, has, counted), err
		}, `SELECT b.id, b.account, b.name, b.messages, `+countMessages+` FROM mailboxes b
			WHERE b.messages <> `+countMessages+` OR b.unseen <> `+countUnseen+` OR b.deleted <> `+countDeleted+` OR b.octets <> `+countOctets+`
				OR b.uidnext <= coalesce((SELECT max(uid) FROM mailbox_entries e WHERE e.mailbox = b.id), 0)
				OR b.modseq < coalesce((SELECT max(modseq) FROM mailbox_entries e WHERE e.mailbox = b.id), 0) ORDER BY b.id LIMIT 50`)
		if err != nil {
			return err
		}
		accounts, err := store.Collect(tx, func(r store.Row) (string, error) {
			var account string
			var has, counted int64
			err := r.Scan(&account, &has, &counted)
			return fmt.Sprintf("account %s: its counters say %d messages, and it has %d", account, has, counted), err
		}, `SELECT a.account, a.messages, `+sumMessages+` FROM mail_accounts a WHERE a.messages <> `+sumMessages+` OR a.octets <> `+sumOctets+` OR a.gone_octets <> `+sumGone+` ORDER BY a.account LIMIT 50`)
		if err != nil {
			return err
		}
		differ = append(boxes, accounts...)
		if !repair || len(differ) == 0 {
			return nil
		}
		_, err = tx.Exec(`UPDATE mailboxes AS b SET messages = ` + countMessages + `, unseen = ` + countUnseen + `, deleted = ` + countDeleted + `, octets = ` + countOctets)
		if err == nil {
			_, err = tx.Exec(`UPDATE mail_accounts AS a SET messages = ` + sumMessages + `, octets = ` + sumOctets + `, gone_octets = ` + sumGone)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count what is in mailboxes: %w", err)
	}
	return differ, nil
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
