// Package spooltest fills a queue for tests.
package spooltest

import (
	"context"
	"testing"
	"time"

	"waxwing/internal/store"
)

// Filling is a backlog that is written by SQL, a million rows in seconds where
// Enqueue would take an hour. Every second recipient has been tried once.
type Filling struct {
	Recipients int
	Dests      int // domains, in turn
	Accounts   int
	Now        time.Time
}

const (
	// PerMessage is how many recipients each message has.
	PerMessage = 10
	// Span is how long before Now the first message was accepted.
	Span = time.Hour

	text  = "From: alice@sender.test\r\nSubject: hello\r\n\r\nbody\r\n" // of each message
	perTx = 5000                                                        // messages
)

// The rows as package queue writes them; its TestFillIsWhatTheQueueWrites compares.
const (
	numbers     = `WITH RECURSIVE n(i) AS (SELECT CAST(? AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) `
	putMessages = `INSERT INTO messages (id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer,
		first_recipient, last_recipient, unsettled, finished, transport, not_before) ` + numbers + `
		SELECT ? + i * 11, 'alice@sender.test', 0, 0, '', 'account' || (i % ?), 0, 0, '', 0, ?, ? + i * ?, '',
			? + i * 11 + 1, ? + i * 11 + 10, 10, 0, '', 0 FROM n`
	putBodies     = `INSERT INTO bodies (id, data, users, idle) ` + numbers + `SELECT ? + i * 11, CAST(? AS BLOB), 1, 0 FROM n`
	putRecipients = `INSERT INTO recipients (id, message, address, domain, local, orcpt, notify, state, due, owner, claim, attempts,
		last_attempt, delay_told, first_fail, first_fail_at, last_addrs, word, text, reply, host, tls, account, attend, dest) ` + numbers + `
		SELECT ? + i + i / 10 + 1, ? + i / 10 * 11, CASE i % 2 WHEN 0 THEN 'ok.' ELSE 'later.' END || i || '@d' || (i % ?) || '.test',
			'd' || (i % ?) || '.test', 0, '', 0, 0, ? + i / 10 * ? + i % 2 * 60000000000, '', 0, i % 2,
			CASE i % 2 WHEN 0 THEN 0 ELSE ? + i / 10 * ? END, 0, '', 0, '',
			'', '', CASE i % 2 WHEN 0 THEN '' ELSE '451 4.7.1 greylisted' END, '', '',
			'account' || (i / 10 % ?), ? + i / 10 * ? + 14400000000000, 'd' || (i % ?) || '.test' FROM n`
	putLanes = `INSERT INTO lanes (dest, local, account, next)
		SELECT dest, local, account, min(due) FROM recipients WHERE state = 0 GROUP BY dest, local, account`
)

// Write fills an empty queue.
func (f Filling) Write(t testing.TB, s *store.Store) {
	t.Helper()
	// Below all that the program gives from now on.
	base := store.NewID()>>22<<22 - 3*int64(Span/time.Millisecond)<<22
	messages := int64(f.Recipients) / PerMessage
	first, step := store.Time(f.Now.Add(-Span)), int64(Span)/max(messages, 1)
	accounts, dests := int64(f.Accounts), int64(f.Dests)
	exec := func(stmt string, args ...any) {
		t.Helper()
		err := s.Write(context.Background(), func(tx *store.Tx) error { _, err := tx.Exec(stmt, args...); return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	body := putBodies
	if s.Postgres() {
		body = `INSERT INTO bodies (id, data, users, idle) ` + numbers + `SELECT ? + i * 11, CAST(? AS BYTEA), 1, 0 FROM n`
	}
	for from := int64(0); from < messages; from += perTx {
		to := min(from+perTx, messages)
		exec(putMessages, from, to, base, accounts, int64(len(text)), first, step, base, base)
		exec(body, from, to, base, []byte(text))
		exec(putRecipients, from*PerMessage, to*PerMessage, base, base, dests, dests, first, step, first, step, accounts, first, step, dests)
	}
	exec(putLanes)
}
