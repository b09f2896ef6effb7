package mailboxes_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/body"
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

// deliver puts data into one mailbox of an account.
func deliver(t *testing.T, db *store.Store, m *mailboxes.Store, account, box, sender string, data []byte) (mailbox.Message, error) {
	t.Helper()
	d := mailbox.Delivery{Body: store.NewID(), Data: data, Size: int64(len(data)), Sender: sender, Received: time.Unix(1e9, 5).UTC(), Facts: []byte("{}")}
	if len(data) > body.MaxInline {
		d.Data = nil
		must(t, (&body.Store{DB: db, Now: time.Now}).Put(t.Context(), d.Body, delivery.Bytes(data)))
	}
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		return m.Deliver(tx, d, []delivery.Copy{{Recipient: 1, Address: "Joe+x@example.net", Account: account, Mailbox: box, Create: true}})
	})
	if err != nil {
		return mailbox.Message{}, err
	}
	list, err := m.List(t.Context(), account, box, 1)
	must(t, err)
	return list[0], nil
}

func read(t *testing.T, m *mailboxes.Store, id int64) []byte {
	t.Helper()
	c, msg, err := m.Open(t.Context(), id)
	must(t, err)
	rc, err := c.Open()
	must(t, err)
	defer rc.Close()
	b, err := io.ReadAll(rc)
	must(t, err)
	if c.Size() != int64(len(b)) || msg.Size != c.Size() {
		t.Errorf("message %d has %d octets, content says %d, the list %d", id, len(b), c.Size(), msg.Size)
	}
	return b
}

func TestDeliveredIsReadBack(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		r := rand.NewChaCha8([32]byte{1})
		for n, size := range []int{0, 1, body.MaxInline, body.MaxInline + 1, 256<<10 - 1, 256 << 10, 256<<10 + 1, 3<<20 + 7} {
			data := make([]byte, size)
			r.Read(data)
			msg, err := deliver(t, db, m, "joe", "", "ann@example.org", data)
			must(t, err)
			want := append([]byte("Return-Path: <ann@example.org>\r\nDelivered-To: Joe+x@example.net\r\n"), data...)
			expect := mailbox.Message{Mail: mailbox.Mail{ID: msg.ID, Account: "joe", Thread: msg.ID, Sender: "ann@example.org", Recipient: "Joe+x@example.net",
				Size: int64(len(want)), Received: time.Unix(1e9, 5).UTC(), Facts: []byte("{}")}, Mailbox: "INBOX",
				Entry: mailbox.Entry{UID: uint32(n + 1), ModSeq: uint64(n + 2), Added: uint64(n + 2), Mail: msg.ID, Saved: time.Unix(1e9, 5).UTC()}}
			msg.Structure = nil // empty
			if !reflect.DeepEqual(msg, expect) {
				t.Errorf("message %+v, want %+v", msg, expect)
			}
			for range 2 { // can be read more than once
				if got := read(t, m, msg.ID); !bytes.Equal(got, want) {
					t.Errorf("size %d: read %d octets, or other ones", size, len(got))
				}
			}
		}
	})
}

// One message to many addresses is one copy in each mailbox, and one body in all.
func TestOneCopyPerMailbox(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		must(t, (&accounts.Store{DB: db}).AddAccount(t.Context(), "ann", "correct horse"))
		copies := []delivery.Copy{
			{Recipient: 1, Address: "joe+a@example.net", Account: "joe"},
			{Recipient: 2, Address: "ann@example.net", Account: "ann"},
			{Recipient: 3, Address: "joe+b@example.net", Account: "joe", Mailbox: "inbox"},
			{Recipient: 4, Address: "joe+c@example.net", Account: "joe", Mailbox: "Lists", Create: true},
		}
		d := mailbox.Delivery{Body: store.NewID(), Data: []byte("x"), Size: 1, Sender: "a@b.test"}
		must(t, db.Write(t.Context(), func(tx *store.Tx) error { return m.Deliver(tx, d, copies) }))
		// The queue settles other recipients of the message later: of two domains, say.
		d.Data = nil
		later := []delivery.Copy{{Recipient: 5, Address: "joe@example.org", Account: "joe"}, {Recipient: 6, Address: "ann@example.org", Account: "ann", Mailbox: "New", Create: true}}
		must(t, db.Write(t.Context(), func(tx *store.Tx) error { return m.Deliver(tx, d, later) }))
		for _, c := range []struct{ account, box, want string }{
			{"joe", "INBOX", "Return-Path: <a@b.test>\r\nDelivered-To: joe+a@example.net\r\nDelivered-To: joe+b@example.net\r\nx"},
			{"joe", "Lists", "Return-Path: <a@b.test>\r\nDelivered-To: joe+c@example.net\r\nx"},
			{"ann", "INBOX", "Return-Path: <a@b.test>\r\nDelivered-To: ann@example.net\r\nx"},
			{"ann", "New", "Return-Path: <a@b.test>\r\nDelivered-To: ann@example.org\r\nx"},
		} {
			list, err := m.List(t.Context(), c.account, c.box, 9)
			must(t, err)
			if len(list) != 1 {
				t.Fatalf("%s of %s has %d messages, want 1", c.box, c.account, len(list))
			}
			if got := string(read(t, m, list[0].ID)); got != c.want {
				t.Errorf("%s of %s: %q", c.box, c.account, got)
			}
		}
		must(t, db.Read(t.Context(), func(tx *store.Tx) error {
			var bodies int
			n, err := body.Users(tx, d.Body)
			must(t, err)
			must(t, tx.Row(`SELECT count(*) FROM bodies`).Scan(&bodies))
			if n != 4 || bodies != 1 {
				t.Errorf("the body has %d users, want 4; there are %d bodies", n, bodies)
			}
			return nil
		}))
	})
}

// What a sender wrote cannot make a header field of its own.
func TestAddedFieldsCannotSmuggle(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		msg, err := deliver(t, db, m, "joe", "", "a\r\nX: y@b.test", []byte("x"))
		must(t, err)
		if got := read(t, m, msg.ID); !bytes.HasPrefix(got, []byte("Return-Path: <aX: y@b.test>\r\nDelivered-To")) {
			t.Errorf("%q", got)
		}
	})
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		var ids []int64
		for i, box := range []string{"", "Inbox", "INBOX", "Lists"} {
			msg, err := deliver(t, db, m, "joe", box, fmt.Sprint(i), []byte("x"))
			must(t, err)
			ids = append(ids, msg.ID)
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

// What goes wrong leaves nothing behind, and is told from trouble of the store.
func TestFailures(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		for _, c := range []struct{ name, account, box, want string }{
			{"no account", "ann", "", "no such account"},
		} {
			_, err := deliver(t, db, m, c.account, c.box, "", []byte("x"))
			if err == nil || !strings.Contains(err.Error(), c.want) || !mailboxes.IsRefusal(err) {
				t.Errorf("%s: error %v, want a refusal with %q", c.name, err, c.want)
			}
		}
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			return m.Deliver(tx, mailbox.Delivery{Body: 7, Size: 1}, []delivery.Copy{{Account: "joe", Create: true}})
		})
		if !errors.Is(err, body.ErrGone) || mailboxes.IsRefusal(err) {
			t.Errorf("without a body: %v", err)
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
