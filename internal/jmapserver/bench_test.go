package jmapserver_test

import (
	"fmt"
	"testing"

	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// fill puts n more mails into the INBOX of "you", by SQL.
func (w *world) fill(n int) {
	w.t.Helper()
	w.mail("INBOX", letter)
	const numbers = `WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?) `
	for _, q := range []string{
		`INSERT INTO mails (id, account, thread, sender, recipient, size, received, body, header, message_id, facts, evidence, structure, created)
			` + numbers + `SELECT i, account, i, sender, recipient, size, received + i * 1000000000, body, header, message_id, facts, evidence, structure, 2 FROM mails, n WHERE id > 100000000`,
		`INSERT INTO mailbox_entries (mailbox, uid, mail, flags, modseq, added, saved) ` + numbers + `SELECT e.mailbox, i, i, i % 2, 2, 2, 0 FROM mailbox_entries e, n WHERE e.uid = 1`,
	} {
		err := w.db.Write(w.t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(q, int64(n))
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// firstView is what a webmail asks for a list of fifty: two method calls in one request.
const firstView = `["Email/query", {"accountId": "ACCOUNT", "filter": {"inMailbox": "BOX"}, "sort": [{"property": "receivedAt", "isAscending": false}], "collapseThreads": true, "position": %d, "limit": 50, "calculateTotal": true}, "0"],
	["Email/get", {"accountId": "ACCOUNT", "#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"}, "properties": ["threadId", "mailboxIds", "keywords", "from", "subject", "receivedAt", "preview", "hasAttachment", "size"]}, "1"]`

// BenchmarkFirstView is a list of fifty of a mailbox of 100,000, by HTTPS on loopback: the first time, when nothing of the account is in
// memory, and then. The bound is 300 ms.
func BenchmarkFirstView(b *testing.B) {
	w := newWorld(b, storetest.Open(b))
	w.fill(100_000)
	box := string(w.box("INBOX"))
	look := func(at int) {
		r := w.calls(boxIn(fmt.Sprintf(firstView, at), box))
		if n := len(r[1].args["list"].([]any)); n != 50 || r[0].args["total"] != 100_000.0 {
			b.Fatalf("%d mails of %v", n, r[0].args["total"])
		}
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			w.forget()
			look(0)
		}
	})
	b.Run("warm", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			look(i % 1000 * 50)
		}
	})
	b.Run("changed", func(b *testing.B) { // a flag has changed since
		for b.Loop() {
			b.StopTimer()
			w.call("Email/set", `"update": {"E2": {"keywords/todo": true}}`)
			w.call("Email/set", `"update": {"E2": {"keywords/todo": null}}`)
			b.StartTimer()
			look(0)
		}
	})
}
