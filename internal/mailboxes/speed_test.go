package mailboxes_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/views"
)

// large is an INBOX of n messages, put there as rows: what is measured is what follows.
func large(b *testing.B, db *store.Store, n int) (*mailboxes.Store, mailbox.Box) {
	b.Helper()
	ctx := b.Context()
	m := &mailboxes.Store{DB: db}
	fill := func(q string, args ...any) {
		err := db.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(q, args...)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	fill(`INSERT INTO accounts (name, disabled, password, scram256, scram1, created) VALUES ('joe', 0, '', '', '', 0)`)
	box, err := m.Box(ctx, "joe", "")
	if err != nil {
		b.Fatal(err)
	}
	_, _, err = m.Append(ctx, "joe", "INBOX", []mailboxes.Appended{{Content: delivery.Bytes("Subject: x\r\n\r\nx")}})
	if err != nil {
		b.Fatal(err)
	}
	const numbers = `WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?) `
	fill(`INSERT INTO mails (id, account, thread, sender, recipient, size, received, body, header, message_id, facts, evidence, structure)
		`+numbers+`SELECT i, account, i, sender, recipient, size, received, body, header, message_id, facts, evidence, structure FROM mails, n WHERE id > 100000000`, int64(n))
	fill(`INSERT INTO mailbox_entries (mailbox, uid, mail, flags, modseq, added, saved) `+numbers+`SELECT e.mailbox, i, i, i % 2, i % 50 + 2, 2, 0 FROM mailbox_entries e, n WHERE e.uid = 1`, int64(n))
	fill(`UPDATE mailboxes SET messages = ?, uidnext = ?, unseen = ?, modseq = 60, untold = 60 WHERE id = ?`, int64(n), int64(n+1), int64(n/2), box.ID)
	fill(`UPDATE mail_accounts SET modseq = 60, messages = ?`, int64(n))
	if box, err = m.Box(ctx, "joe", ""); err != nil {
		b.Fatal(err)
	}
	return m, box
}

// everything is how a session reads all lines of a mailbox: some at a time.
func everything(b *testing.B, l *views.Look, n int) {
	var lines []views.Line
	read := 0
	for low := 1; low <= n; low += 2000 {
		var err error
		if lines, err = l.Lines(b.Context(), lines[:0], low, min(n, low+1999)); err != nil {
			b.Fatal(err)
		}
		read += len(lines)
	}
	if read != n {
		b.Fatalf("%d lines", read)
	}
}

// heap is what is in use after a collection, in octets.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkLarge is what sessions do in mailboxes of many messages. Those that look at the mailbox's row alone take as
// long in the largest as in the smallest (MBX-2). WAXWING_TEST_MILLION=1: in one of a million, too.
func BenchmarkLarge(b *testing.B) {
	sizes := []int{1000, 100_000}
	if os.Getenv("WAXWING_TEST_MILLION") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		db := storetest.Open(b)
		m, box := large(b, db, n)
		ctx := b.Context()
		must := func(err error) {
			if err != nil {
				b.Fatal(err)
			}
		}
		run := func(name string, fn func(b *testing.B)) { b.Run(fmt.Sprintf("%s/%d", name, n), fn) }
		run("select", func(b *testing.B) {
			for b.Loop() {
				_, err := m.Box(ctx, "joe", "INBOX")
				must(err)
				l, err := m.Look(ctx, box.ID)
				must(err)
				l.Close()
			}
		})
		run("flags cold", func(b *testing.B) {
			before, most := heap(), 0.0
			for b.Loop() {
				other := &mailboxes.Store{DB: db}
				l, err := other.Look(ctx, box.ID)
				must(err)
				everything(b, l, n)
				b.StopTimer()
				most = max(most, heap()-before)
				b.StartTimer()
				l.Close()
			}
			b.ReportMetric(most/(1<<20), "MiB")
		})
		run("flags warm", func(b *testing.B) {
			for b.Loop() {
				l, err := m.Look(ctx, box.ID)
				must(err)
				everything(b, l, n)
				l.Close()
			}
		})
		some := []mailbox.Range{{Low: uint32(n/2 + 1), High: uint32(n/2 + n/10)}}
		run("store on a tenth", func(b *testing.B) {
			mode := byte('+')
			for b.Loop() {
				_, err := m.SetFlags(ctx, box.ID, some, mailboxes.FlagChange{Mode: mode, Flags: []string{`\Flagged`}})
				must(err)
				mode = '+' + '-' - mode
			}
		})
		run("sync after a tenth", func(b *testing.B) {
			l, err := m.Look(ctx, box.ID)
			must(err)
			defer l.Close()
			_, err = l.Lines(ctx, nil, 1, 1)
			must(err)
			mode := byte('+')
			for b.Loop() {
				b.StopTimer()
				_, err := m.SetFlags(ctx, box.ID, some, mailboxes.FlagChange{Mode: mode, Flags: []string{`\Answered`}})
				must(err)
				mode = '+' + '-' - mode
				b.StartTimer()
				_, err = l.Sync(ctx, true)
				must(err)
			}
		})
		run("the 50 newest", func(b *testing.B) {
			for b.Loop() {
				i := 0
				must(m.Mails(ctx, box.ID, []mailbox.Range{{Low: uint32(n - 49), High: uint32(n)}}, func(*mailbox.Message) error { i++; return nil }))
				if i != 50 {
					b.Fatal(i)
				}
			}
		})
		run("copy one", func(b *testing.B) {
			for b.Loop() {
				_, err := m.Copy(ctx, box.ID, []mailbox.Range{{Low: 5, High: 5}}, "Archive")
				must(err)
			}
		})
	}
}

// BenchmarkDeliver is what a delivery of 10 KiB costs in its transaction; a hundred share a commit.
func BenchmarkDeliver(b *testing.B) {
	db := storetest.Open(b)
	m, _ := large(b, db, 10)
	data := bytes.Repeat([]byte("0123456789abcde\n"), 640)
	for b.Loop() {
		err := db.Write(b.Context(), func(tx *store.Tx) error {
			for range 100 {
				id := store.NewID()
				d := mailbox.Delivery{Body: id, Data: data, Size: int64(len(data)), Sender: "ann@example.org", Received: time.Unix(1e9, 0), MessageID: fmt.Sprintf("%d@example.org", id), Structure: make([]byte, 200)}
				if err := m.Deliver(tx, d, []delivery.Copy{{Address: "joe@example.net", Account: "joe", Mailbox: "INBOX", Create: true}}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkContent finds a message and opens it, as who fetches or indexes it does.
func BenchmarkContent(b *testing.B) {
	db := storetest.Open(b)
	m, _ := large(b, db, 10)
	var id int64
	err := db.Write(b.Context(), func(tx *store.Tx) error {
		id = store.NewID()
		d := mailbox.Delivery{Body: id, Data: make([]byte, 5000), Size: 5000, Sender: "ann@example.org", Received: time.Unix(1e9, 0), Structure: make([]byte, 200)}
		if err := m.Deliver(tx, d, []delivery.Copy{{Address: "joe@example.net", Account: "joe", Mailbox: "INBOX"}}); err != nil {
			return err
		}
		return tx.Row(`SELECT id FROM mails WHERE body = ?`, id).Scan(&id)
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := m.Content(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
}
