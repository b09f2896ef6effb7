package reparse_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/reparse"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/message"
	"waxwing/structure"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put stores a message as an import does, with what is found out about it now.
func put(t *testing.T, m *mailboxes.Store, account, text string) int64 {
	t.Helper()
	built, err := structure.Parse(strings.NewReader(text))
	must(t, err)
	kept, err := built.AppendBinary(nil)
	must(t, err)
	box, uids, err := m.Append(t.Context(), account, mailbox.Inbox, []mailboxes.Appended{{Content: delivery.Bytes(text), Structure: kept,
		MessageID: message.CleanMessageID(built.Envelope.MessageID), References: built.Answers()}})
	must(t, err)
	var id int64
	must(t, m.Mails(t.Context(), box.ID, mailbox.Ranges(uids), func(x *mailbox.Message) error { id = x.ID; return nil }))
	return id
}

func letter(id, answers, subject string) string {
	if answers != "" {
		answers = "In-Reply-To: <" + answers + ">\r\n"
	}
	return "Message-ID: <" + id + ">\r\n" + answers + "Subject: " + subject + "\r\n\r\nhello\r\n"
}

// kept is what is kept of a mail: its Message-ID, its subject, and its thread.
func kept(t *testing.T, db *store.Store, id int64) string {
	t.Helper()
	var of string
	var thread int64
	var b []byte
	must(t, db.Read(context.Background(), func(tx *store.Tx) error {
		return tx.Row(`SELECT message_id, thread, structure FROM mails WHERE id = ?`, id).Scan(&of, &thread, &b)
	}))
	built, err := structure.Decode(b)
	must(t, err)
	return fmt.Sprintf("%s %q %d", of, built.Envelope.Subject, thread)
}

// TestReparse (MBX-2): what a fault has left with mails is as it should be afterwards; what was right
// stays as it is, and what is done is done once.
func TestReparse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		m := &mailboxes.Store{DB: db}
		for _, name := range []string{"joe", "ann"} {
			must(t, (&accounts.Store{DB: db}).AddAccount(t.Context(), name, "correct horse"))
		}
		first := put(t, m, "joe", letter("1@x", "", "first"))
		second := put(t, m, "joe", letter("2@x", "1@x", "second"))
		third := put(t, m, "joe", letter("3@x", "2@x", "third"))
		other := put(t, m, "ann", letter("1@x", "", "another's"))
		for range 120 {
			put(t, m, "joe", letter("", "", "many"))
		}
		right := []string{kept(t, db, first), kept(t, db, second), kept(t, db, third), kept(t, db, other)}

		// The fault: the Message-ID of the first was not found, the second has a wrong subject and no
		// reference, so that it and the third are a thread of their own; another's structure is none.
		wrong, err := structure.Parse(strings.NewReader("Message-ID: <2@x>\r\nSubject: wrong\r\n\r\nhello\r\n"))
		must(t, err)
		b, err := wrong.AppendBinary(nil)
		must(t, err)
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			for _, q := range []struct {
				q    string
				args []any
			}{
				{`UPDATE mails SET message_id = '' WHERE id = ?`, []any{first}},
				{`UPDATE mails SET structure = ?, thread = id WHERE id = ?`, []any{store.Blob(b), second}},
				{`UPDATE mails SET thread = ? WHERE id = ?`, []any{second, third}},
				{`UPDATE mails SET structure = ? WHERE id = ?`, []any{store.Blob([]byte{99}), other}},
				{`DELETE FROM mails_unindexed`, nil},
			} {
				if _, err := tx.Exec(q.q, q.args...); err != nil {
					return err
				}
			}
			return nil
		}))
		run := func(account string) reparse.Done {
			t.Helper()
			steps := 0
			r := &reparse.Run{Boxes: m, Account: account, Failed: func(id int64, err error) { t.Errorf("%d: %v", id, err) }, Progress: func(reparse.Done) { steps++ }}
			d, err := r.Do(t.Context())
			must(t, err)
			if account == "joe" && steps != 2 {
				t.Errorf("%d steps", steps)
			}
			return d
		}
		if d := run("joe"); d != (reparse.Done{Mails: 123, Changed: 2, Threads: 2}) {
			t.Errorf("joe's: %+v", d)
		}
		if d := run(""); d != (reparse.Done{Mails: 124, Changed: 1}) {
			t.Errorf("everybody's: %+v", d)
		}
		if d := run(""); d != (reparse.Done{Mails: 124}) {
			t.Errorf("once more: %+v", d)
		}
		for i, id := range []int64{first, second, third, other} {
			if got := kept(t, db, id); got != right[i] {
				t.Errorf("%s, want %s", got, right[i])
			}
		}
		var n int
		must(t, db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM mails_unindexed`).Scan(&n) }))
		if n != 3 {
			t.Errorf("%d mails are to be indexed anew, want 3", n)
		}
	})
}
