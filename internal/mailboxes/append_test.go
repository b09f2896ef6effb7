package mailboxes_test

import (
	"fmt"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
)

// Messages that come together are there as they came, in their order; one that answers another of them is of its thread.
func TestAppendMany(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		const n = 37 // some rows a statement, and some by themselves
		var all []mailboxes.Appended
		for i := range n {
			a := mailboxes.Appended{Content: delivery.Bytes(fmt.Sprintf("Subject: %d\r\n\r\n%d\r\n", i, i)), MessageID: fmt.Sprintf("%d@example.org", i)}
			if i > 1 {
				a.References = []string{fmt.Sprintf("%d@example.org", i-2)} // two threads
			}
			if i%3 == 0 {
				a.Flags = []string{`\Seen`, "$Third"}
			}
			all = append(all, a)
		}
		box, uids, err := m.Append(t.Context(), "joe", "INBOX", all)
		must(t, err)
		if len(uids) != n || uids[0] != box.UIDNext || uids[n-1] != box.UIDNext+n-1 {
			t.Fatalf("UIDs %v from %d on", uids, box.UIDNext)
		}
		var got []mailbox.Message
		must(t, m.Mails(t.Context(), box.ID, mailbox.All(), func(m *mailbox.Message) error {
			got = append(got, *m)
			return nil
		}))
		if len(got) != n {
			t.Fatalf("%d messages", len(got))
		}
		for i, g := range got {
			if g.Thread != got[i%2].ID || g.MessageID != all[i].MessageID || (g.Entry.Flags == 0) != (i%3 != 0) || g.Entry.UID != uids[i] {
				t.Errorf("message %d: %+v", i, g)
			}
			if text := read(t, m, g.ID); string(text) != string(all[i].Content.(delivery.Bytes)) {
				t.Errorf("message %d is %q", i, text)
			}
		}
		after, err := m.Box(t.Context(), "joe", "INBOX")
		must(t, err)
		if after.Messages != n || after.Unseen != n-13 || after.UIDNext != box.UIDNext+n {
			t.Errorf("counted: %+v", after)
		}
	})
}
