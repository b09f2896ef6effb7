package queue

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/mailboxes"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// A database from before bodies were stored once keeps all that it holds: queued mail,
// small and large, and what lies in mailboxes.
func TestUpgradeOfBodies(t *testing.T) {
	t.Parallel()
	storetest.Upgrade(t, "00022", upgradeBodies)
}

// oldStore writes what Waxwing wrote before migration 22.
type oldStore struct {
	t *testing.T
	s *store.Store
}

func (o oldStore) exec(q string, args ...any) {
	o.t.Helper()
	err := o.s.Write(o.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(q, args...)
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// queued is a message that waits.
func (o oldStore) queued(id int64, data []byte) {
	o.t.Helper()
	o.exec(`INSERT INTO messages (id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer,
		first_recipient, last_recipient, unsettled, finished) VALUES (?, 'a@a.test', 0, 0, '', '', 0, 0, '', 0, ?, 5, '', ?, ?, 1, 0)`, id, len(data), id+1, id+1)
	o.exec(`INSERT INTO recipients (id, message, address, domain, local, orcpt, notify, state, due, owner, claim, attempts, last_attempt,
		delay_told, first_fail, first_fail_at, last_addrs, word, text, reply, host, tls, account, attend, dest)
		VALUES (?, ?, ?, 'b.test', 0, '', 0, 0, 5, '', 0, 0, 0, 0, '', 0, '', '', '', '', '', '', '', 9000000000000000000, 'b.test')`,
		id+1, id, fmt.Sprintf("ok.%d@b.test", id))
	if len(data) <= 128<<10 {
		o.exec(`INSERT INTO bodies (message, data) VALUES (?, ?)`, id, data)
		return
	}
	o.chunks(`INSERT INTO chunks (message, part, written, data) VALUES (?, ?, 5, ?)`, id, data)
}

func (o oldStore) chunks(q string, id int64, data []byte) {
	o.t.Helper()
	for part := 0; len(data) > 0; part++ {
		n := min(len(data), 256<<10)
		o.exec(q, id, part, data[:n])
		data = data[n:]
	}
}

func (o oldStore) delivered(id int64, data []byte) {
	o.t.Helper()
	o.exec(`INSERT INTO mailbox_messages (id, mailbox, sender, recipient, size, received) VALUES (?, 1, 'a@a.test', 'joe@b.test', ?, 5)`, id, len(data))
	o.chunks(`INSERT INTO mailbox_chunks (message, part, data) VALUES (?, ?, ?)`, id, data)
}

func upgradeBodies(t *testing.T, s *store.Store, upgrade func() *store.Store) {
	old := oldStore{t, s}
	r := rand.NewChaCha8([32]byte{3})
	mails := map[int64][]byte{}
	for i, size := range []int{0, 1000, 128 << 10, 128<<10 + 1, 700 << 10} {
		id := int64(100 * (i + 1))
		mails[id] = make([]byte, size)
		r.Read(mails[id])
	}
	old.exec(`INSERT INTO accounts (name, disabled, password, scram256, scram1, created) VALUES ('joe', 0, '', '', '', 0)`)
	old.exec(`INSERT INTO mailboxes (id, account, name, created) VALUES (1, 'joe', 'INBOX', 0)`)
	for id, data := range mails {
		old.queued(id, data)
		old.delivered(id+50, data)
	}
	old.exec(`INSERT INTO lanes (dest, local, account, next) VALUES ('b.test', 0, '', 5)`)
	old.chunks(`INSERT INTO chunks (message, part, written, data) VALUES (?, ?, 5, ?)`, 7, make([]byte, 600<<10)) // whose envelope never came
	checkUpgraded(t, upgrade(), mails)
}

func checkUpgraded(t *testing.T, s *store.Store, mails map[int64][]byte) {
	ctx := context.Background()
	w := newWorld(t, s, "one")
	boxes := &mailboxes.Store{DB: s}
	for id, data := range mails {
		if got := read(t, boxes, id+50); !bytes.Equal(got, data) {
			t.Errorf("mailbox message %d has %d octets, want its %d", id+50, len(got), len(data))
		}
	}
	w.sweep(ctx)
	if n, c := w.rows("bodies"), w.rows("body_chunks"); n != 2*len(mails) || c != 10 {
		t.Errorf("%d bodies and %d chunks, want %d and 10: the one without an envelope is swept", n, c, 2*len(mails))
	}
	w.step()
	for id, data := range mails {
		if it := w.item(fmt.Sprintf("ok.%d@b.test", id)); it.State != spool.Delivered {
			t.Errorf("%+v", it)
		}
		if !slices.Contains(w.tr.bodies, string(data)) {
			t.Errorf("queued message %d did not go out as it was", id)
		}
	}
	// What the queue had goes, what mailboxes have stays; new mail goes beside the old.
	if n := w.rows("bodies"); n != len(mails) {
		t.Errorf("%d bodies, want those of the mailboxes: %d", n, len(mails))
	}
	w.Local, w.Mailboxes = copying{w.tr}, boxes
	env := mail(t, "ok.x@here.test")
	env.Recipients[0].Local = true
	w.exec(`INSERT INTO accounts (name, disabled, password, scram256, scram1, created) VALUES ('ok.x', 0, '', '', '', 0)`)
	if err := w.Enqueue(ctx, env, delivery.Bytes(make([]byte, 700<<10))); err != nil {
		t.Fatal(err)
	}
	if list, err := boxes.List(ctx, "ok.x", "", 9); err != nil || len(list) != 1 {
		t.Errorf("%d messages, %v", len(list), err)
	}
	if s.Postgres() {
		return
	}
	err := s.Read(ctx, func(tx *store.Tx) error {
		var ok string
		var left int
		if err := tx.Row(`SELECT count(*) FROM pragma_foreign_key_list('body_chunks')`).Scan(&left); err != nil || left != 0 {
			t.Errorf("chunks still belong to mailboxes: %d, %v", left, err)
		}
		if err := tx.Row(`SELECT count(*) FROM pragma_foreign_key_check`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d rows break a foreign key, %v", left, err)
		}
		if err := tx.Row(`PRAGMA integrity_check`).Scan(&ok); err != nil || ok != "ok" {
			t.Errorf("integrity check: %s, %v", ok, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
