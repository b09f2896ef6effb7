package mailboxes_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
)

// SIV-1: whatever names and keywords a script thinks of, the message lies somewhere, and a header that
// the script has changed is that of this copy alone.
func TestDeliverAsScriptsWant(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		text := "Subject: a\r\n\r\nbody\r\n"
		flags := []string{`\Seen`, "good", "not good", strings.Repeat("x", 300), `\Nonsense`, ""}
		for i := range 100 {
			flags = append(flags, fmt.Sprintf("k%d", i))
		}
		copies := []delivery.Copy{
			{Recipient: 1, Address: "joe@here.test", Account: "joe", Mailbox: "bad\nname", Create: true, Flags: flags},
			{Recipient: 1, Address: "joe@here.test", Account: "joe", Mailbox: "Lists/Go", Create: true, Header: []byte("Subject: b\r\n\r\n"), Replaced: 14},
			{Recipient: 1, Address: "joe@here.test", Account: "joe", Mailbox: "Missing"},
		}
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			return m.Deliver(tx, mailbox.Delivery{Body: store.NewID(), Data: []byte(text), Size: int64(len(text)), Sender: "a@b.test"}, copies)
		}))
		for box, want := range map[string]string{"INBOX": "Subject: a", "Lists/Go": "Subject: b"} {
			all, err := m.List(t.Context(), "joe", box, 10)
			must(t, err)
			if len(all) == 0 {
				t.Fatalf("nothing in %s", box)
			}
			c, _, err := m.Open(t.Context(), all[0].ID)
			must(t, err)
			r, err := c.Open()
			must(t, err)
			b, err := io.ReadAll(r)
			must(t, err)
			if got := string(b); !strings.Contains(got, want+"\r\n\r\nbody\r\n") || strings.Count(got, "Subject") != 1 {
				t.Errorf("%s: %q", box, got)
			}
		}
		words, err := m.Keywords(t.Context(), "joe")
		must(t, err)
		if !slices.Contains(words, "good") || len(words) > mailbox.MaxKeywords {
			t.Errorf("%q", words)
		}
	})
}
