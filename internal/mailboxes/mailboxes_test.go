package mailboxes_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func each(t *testing.T, fn func(t *testing.T, db *store.Store, m *mailboxes.Store)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		must(t, (&accounts.Store{DB: db}).AddAccount(t.Context(), "joe", "correct horse"))
		fn(t, db, &mailboxes.Store{DB: db})
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func deliver(t *testing.T, db *store.Store, m *mailboxes.Store, d mailbox.Delivery, c delivery.Content) (id int64, err error) {
	err = db.Write(t.Context(), func(tx *store.Tx) error {
		id, err = m.Deliver(tx, d, c)
		return err
	})
	return id, err
}

func TestDeliveredIsReadBack(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		r := rand.NewChaCha8([32]byte{1})
		for _, size := range []int{0, 1, 256<<10 - 1, 256 << 10, 256<<10 + 1, 3<<20 + 7} {
			body := make([]byte, size)
			r.Read(body)
			for _, header := range []string{"", "Return-Path: <ann@example.org>\r\n"} {
				d := mailbox.Delivery{Account: "joe", Sender: "ann@example.org", Recipient: "Joe+x@example.net",
					Received: time.Unix(1e9, 5).UTC(), Header: []byte(header)}
				id, err := deliver(t, db, m, d, delivery.Bytes(body))
				must(t, err)
				c, msg, err := m.Open(t.Context(), id)
				must(t, err)
				want := mailbox.Message{ID: id, Account: "joe", Mailbox: "INBOX", Sender: d.Sender, Recipient: d.Recipient,
					Size: int64(len(header) + size), Received: d.Received}
				if msg != want || c.Size() != want.Size {
					t.Errorf("message %+v, want %+v", msg, want)
				}
				for range 2 { // can be read more than once
					rc, err := c.Open()
					must(t, err)
					got, err := io.ReadAll(rc)
					if err != nil || !bytes.Equal(got, append([]byte(header), body...)) {
						t.Errorf("size %d: read %d octets, %v, or other ones", size, len(got), err)
					}
					must(t, rc.Close())
				}
			}
		}
	})
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		var ids []int64
		for i, box := range []string{"", "Inbox", "INBOX", "Lists"} {
			id, err := deliver(t, db, m, mailbox.Delivery{Account: "joe", Mailbox: box, Sender: fmt.Sprint(i)}, delivery.Bytes("x"))
			must(t, err)
			ids = append(ids, id)
		}
		for _, c := range []struct {
			box   string
			limit int
			want  []int64
		}{
			{"INBOX", 0, []int64{ids[2], ids[1], ids[0]}},
			{"inbox", 2, []int64{ids[2], ids[1]}},
			{"Lists", 9, ids[3:]},
			{"None", 9, nil},
		} {
			got, err := m.List(t.Context(), "joe", c.box, c.limit)
			must(t, err)
			var have []int64
			for _, g := range got {
				have = append(have, g.ID)
			}
			if fmt.Sprint(have) != fmt.Sprint(c.want) {
				t.Errorf("%s, %d: %v, want %v", c.box, c.limit, have, c.want)
			}
		}
	})
}

// liar announces another size than it has, or breaks.
type liar struct {
	size int64
	r    io.Reader
}

func (l liar) Size() int64                  { return l.size }
func (l liar) Open() (io.ReadCloser, error) { return io.NopCloser(l.r), nil }

// What goes wrong leaves nothing behind.
func TestFailures(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		broken := errors.New("broken")
		for _, c := range []struct {
			name string
			d    mailbox.Delivery
			c    delivery.Content
			want string
		}{
			{"no account", mailbox.Delivery{Account: "ann"}, delivery.Bytes("x"), "no such account"},
			{"short", mailbox.Delivery{Account: "joe"}, liar{5, strings.NewReader("x")}, "5 octets"},
			{"long", mailbox.Delivery{Account: "joe"}, liar{5, strings.NewReader("xxxxxx")}, "5 octets"},
			{"broken", mailbox.Delivery{Account: "joe"}, liar{5, iotest.ErrReader(broken)}, "broken"},
			{"name", mailbox.Delivery{Account: "joe", Mailbox: "a\nb"}, delivery.Bytes("x"), "mailbox name"},
		} {
			if _, err := deliver(t, db, m, c.d, c.c); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
			}
		}
		got, err := m.List(t.Context(), "joe", "", 0)
		if len(got) != 0 || err != nil {
			t.Errorf("%d messages were left, %v", len(got), err)
		}
		if _, _, err := m.Open(t.Context(), 1); !errors.Is(err, mailboxes.ErrNoSuchMessage) {
			t.Errorf("Open: %v", err)
		}
	})
}

// A damaged or vanished chunk is an error, never a short message.
func TestMissingChunk(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		id, err := deliver(t, db, m, mailbox.Delivery{Account: "joe"}, delivery.Bytes(make([]byte, 600<<10)))
		must(t, err)
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM mailbox_chunks WHERE message = ? AND part = ?`, id, 2)
			return err
		}))
		c, _, err := m.Open(t.Context(), id)
		must(t, err)
		rc, err := c.Open()
		must(t, err)
		if got, err := io.ReadAll(rc); !errors.Is(err, mailboxes.ErrNoSuchMessage) || len(got) != 512<<10 {
			t.Errorf("read %d octets, %v", len(got), err)
		}
	})
}
