package mailboxes_test

import (
	"errors"
	"strings"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
)

// IMP-2 (REPLACE), MBX-5: one message comes and another goes, or neither; they need no room together, and what is refused
// leaves nothing behind, of large messages too.
func TestReplace(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		of := func(size int) mailboxes.Appended {
			return mailboxes.Appended{Content: delivery.Bytes(strings.Repeat("x", size))}
		}
		const large = 300 << 10
		_, uids, err := m.Append(t.Context(), "joe", "Drafts", []mailboxes.Appended{of(large)})
		must(t, err)
		drafts, err := m.Box(t.Context(), "joe", "Drafts")
		must(t, err)
		m.Quota = mailboxes.Quota{Octets: large + 10, Messages: 1}
		draft := []mailbox.Range{{Low: uids[0], High: uids[0]}}
		box, uid, err := m.Replace(t.Context(), of(large+10), "Drafts", drafts, draft)
		must(t, err)
		if uid != uids[0]+1 || box.ID != drafts.ID {
			t.Errorf("UID %d in %+v", uid, box)
		}
		now := []mailbox.Range{{Low: uid, High: uid}}
		for _, c := range []struct {
			size int
			to   string
			uids []mailbox.Range
			want error
		}{
			{large, "Drafts", draft, mailboxes.ErrNoSuchMessage}, {large, "Drafts", nil, mailboxes.ErrNoSuchMessage}, {5, "None", now, mailboxes.ErrNoSuchMailbox},
			{large + 11, "Drafts", now, mailboxes.ErrOverQuota}, {large + 11, "Sent", now, mailboxes.ErrOverQuota},
		} {
			if _, _, err := m.Replace(t.Context(), of(c.size), c.to, drafts, c.uids); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		list, err := m.List(t.Context(), "joe", "Drafts", 9)
		must(t, err)
		if len(list) != 1 || list[0].Entry.UID != uid {
			t.Errorf("%+v", list)
		}
		must(t, db.Read(t.Context(), func(tx *store.Tx) error {
			var bodies int
			err := tx.Row(`SELECT count(*) FROM bodies`).Scan(&bodies)
			if bodies != 2 { // of the message, and of the one that can be brought back
				t.Errorf("%d bodies", bodies)
			}
			return err
		}))
		if differ, err := mailboxes.Check(t.Context(), db, false); err != nil || len(differ) > 0 {
			t.Errorf("%v, %v", differ, err)
		}
	})
}
