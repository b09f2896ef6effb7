package mailboxes_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// MBX-5: who stores and removes again and again does not fill the disk with what could be brought back.
func TestQuotaAndRemoved(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		now := time.Unix(1.7e9, 0)
		m.Now = func() time.Time { now = now.Add(time.Second); return now }
		m.Quota = mailboxes.Quota{Octets: 10_000}
		box, err := m.Box(ctx, "joe", "")
		must(t, err)
		one := []mailboxes.Appended{{Content: delivery.Bytes(make([]byte, 1000))}}
		stored := 0
		for range 100 {
			if _, _, err = m.Append(ctx, "joe", "INBOX", one); err != nil {
				break
			}
			_, _, err := m.Remove(ctx, box.ID, mailbox.All())
			must(t, err)
			stored++
		}
		if !errors.Is(err, mailboxes.ErrOverQuota) || stored != 20 {
			t.Fatalf("%d messages were stored and removed: %v", stored, err)
		}
		differ(t, db)
		must(t, m.Forget(ctx, time.Unix(0, 0)))
		removed, err := m.Removed(ctx, "joe", 100)
		must(t, err)
		if len(removed) != 10 {
			t.Errorf("%d messages can be brought back, want the 10 latest", len(removed))
		}
		for i, r := range removed {
			if want := uint32(20 - i); r.Entry.UID != want {
				t.Errorf("UID %d can be brought back, want %d", r.Entry.UID, want)
			}
		}
		differ(t, db)
		if _, err := m.Undelete(ctx, removed[0].ID); err != nil {
			t.Error(err)
		}
		differ(t, db)

		// What moves is as much as before, and what is elsewhere is erased with its last place.
		_, err = m.Move(ctx, box.ID, mailbox.All(), "Archive")
		must(t, err)
		differ(t, db)
		archive, err := m.Box(ctx, "joe", "Archive")
		must(t, err)
		_, err = m.Copy(ctx, archive.ID, mailbox.All(), "INBOX")
		must(t, err)
		for _, b := range []int64{archive.ID, box.ID} {
			_, _, err = m.Remove(ctx, b, mailbox.All())
			must(t, err)
			differ(t, db)
		}
		must(t, m.Forget(ctx, now.AddDate(1, 0, 0)))
		differ(t, db)
		left, err := store.List(ctx, db, store.Value[int64], `SELECT gone_octets FROM mail_accounts WHERE account = 'joe'`)
		must(t, err)
		if len(left) != 1 || left[0] != 0 {
			t.Errorf("%d octets are left of what was removed", left)
		}
	})
}

func differ(t *testing.T, db *store.Store) {
	t.Helper()
	d, err := mailboxes.Check(t.Context(), db, false)
	must(t, err)
	if len(d) > 0 {
		t.Error(d)
	}
}

// IMP-4: a STORE of very many ranges is done some at a time, and all of it is done.
func TestFlagsOfManyRanges(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		box, err := m.Box(ctx, "joe", "")
		must(t, err)
		const n = 1300
		_, _, err = m.Append(ctx, "joe", "INBOX", []mailboxes.Appended{{Content: delivery.Bytes("Subject: x\r\n\r\nx")}})
		must(t, err)
		for have := 1; have < n; have *= 2 {
			_, err = m.Copy(ctx, box.ID, []mailbox.Range{{Low: 1, High: uint32(min(have, n-have))}}, "INBOX")
			must(t, err)
		}
		look, err := m.Look(ctx, box.ID)
		must(t, err)
		defer look.Close()
		if _, err := look.Lines(ctx, nil, 1, 1); err != nil {
			t.Fatal(err)
		}
		var odd []mailbox.Range
		for u := uint32(1); u < n; u += 2 {
			odd = append(odd, mailbox.Range{Low: u, High: u})
		}
		since := look.Box().ModSeq
		r, err := m.SetFlags(ctx, box.ID, odd, mailboxes.FlagChange{Mode: '+', Flags: []string{`\Seen`}, UnchangedSince: &since})
		must(t, err)
		news, err := look.Sync(ctx, true)
		must(t, err)
		if len(r.Modified) > 0 || len(news.Changed) != n/2 {
			t.Errorf("%d have changed, and %v have not", len(news.Changed), r.Modified)
		}
		for _, l := range news.Changed {
			if l.UID%2 == 0 || l.Flags != mailbox.Seen {
				t.Errorf("UID %d has flags %b", l.UID, l.Flags)
			}
		}
		r, err = m.SetFlags(ctx, box.ID, mailbox.All(), mailboxes.FlagChange{Mode: '=', Flags: nil, UnchangedSince: &since})
		must(t, err)
		if len(r.Modified) != n/2 {
			t.Errorf("%d were left alone, want %d", len(r.Modified), n/2)
		}
		differ(t, db)
	})
}

// MBX-3: a mailbox of more messages than one transaction removes is deleted all the same, and comes back whole; so
// many move, and go by EXPUNGE.
func TestVeryMany(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	must(t, (&accounts.Store{DB: db}).AddAccount(t.Context(), "joe", "correct horse"))
	m := &mailboxes.Store{DB: db}
	ctx := t.Context()
	_, err := m.Create(ctx, "joe", "Old", "")
	must(t, err)
	box, err := m.Box(ctx, "joe", "")
	must(t, err)
	_, _, err = m.Append(ctx, "joe", "INBOX", []mailboxes.Appended{{Content: delivery.Bytes("Subject: x\r\n\r\nx")}})
	must(t, err)
	const n = 1 << 15
	for have := 1; have < n; have *= 2 {
		_, err = m.Copy(ctx, box.ID, []mailbox.Range{{Low: 1, High: uint32(have)}}, "INBOX")
		must(t, err)
	}
	moved, err := m.Move(ctx, box.ID, mailbox.All(), "Old")
	must(t, err)
	if len(moved.From) != 2 || len(moved.To) != 2 || moved.From[1].High != n || moved.To[1].High != n {
		t.Errorf("moved %+v", moved)
	}
	_, err = m.Move(ctx, box.ID, mailbox.All(), "INBOX")
	must(t, err)
	differ(t, db)
	must(t, m.Delete(ctx, "joe", "Old"))
	differ(t, db)
	now, err := m.Usage(ctx, "joe")
	must(t, err)
	if _, err := m.Box(ctx, "joe", "Old"); !errors.Is(err, mailboxes.ErrNoSuchMailbox) || now.Messages != 0 {
		t.Errorf("%d messages are left: %v", now.Messages, err)
	}
}

// IMP-6, RFC 9051 §6.4.7 and §6.3.6: very many messages are copied, and moved by RENAME of INBOX, some at a time; of a COPY
// that fails nothing is left.
func TestCopyOfVeryMany(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	must(t, (&accounts.Store{DB: db}).AddAccount(t.Context(), "joe", "correct horse"))
	m := &mailboxes.Store{DB: db}
	ctx := t.Context()
	messages := func(name string) (box mailbox.Box) {
		t.Helper()
		box, err := m.Box(ctx, "joe", name)
		must(t, err)
		return box
	}
	inbox := messages("INBOX")
	_, _, err := m.Append(ctx, "joe", "INBOX", []mailboxes.Appended{{Content: delivery.Bytes("Subject: x\r\n\r\nx")}})
	must(t, err)
	const n = 1 << 15
	for have := 1; have < n; have *= 2 {
		_, err = m.Copy(ctx, inbox.ID, []mailbox.Range{{Low: 1, High: uint32(have)}}, "INBOX")
		must(t, err)
	}
	m.Quota = mailboxes.Quota{Messages: n + n - 1}
	if _, err := m.Copy(ctx, inbox.ID, mailbox.All(), "Archive"); !errors.Is(err, mailboxes.ErrOverQuota) {
		t.Fatal(err)
	}
	if b := messages("Archive"); b.Messages != 0 || b.UIDNext == 1 { // some were there for a moment
		t.Errorf("%d messages are left of a COPY that failed: %+v", b.Messages, b)
	}
	differ(t, db)
	m.Quota = mailboxes.Quota{}
	before := messages("Archive")
	copied, err := m.Copy(ctx, inbox.ID, mailbox.All(), "Archive")
	must(t, err)
	if len(copied.From) != 2 || copied.From[0].Low != 1 || copied.From[1].High != n || copied.To[0].Low != before.UIDNext || copied.To[1].High != before.UIDNext+n-1 {
		t.Errorf("copied %+v", copied)
	}
	must(t, m.Rename(ctx, "joe", "INBOX", "Before"))
	if a, b, c := messages("Archive").Messages, messages("Before").Messages, messages("INBOX").Messages; a != n || b != n || c != 0 {
		t.Errorf("%d messages in Archive, %d in Before, %d in INBOX", a, b, c)
	}
	differ(t, db)
}

// between calls fn whenever somebody looks whether it has ended.
type between struct {
	context.Context
	fn func()
}

func (b between) Err() error {
	b.fn()
	return b.Context.Err()
}

// IMP-6: a COPY that goes some at a time puts nothing into another mailbox, which has been given the name of its own meanwhile, and takes
// nothing out of that one.
func TestCopyKeepsItsMailbox(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	must(t, (&accounts.Store{DB: db}).AddAccount(t.Context(), "joe", "correct horse"))
	m := &mailboxes.Store{DB: db}
	count := func(name string) int64 {
		t.Helper()
		box, err := m.Box(t.Context(), "joe", name)
		must(t, err)
		return int64(box.Messages)
	}
	_, _, err := m.Append(t.Context(), "joe", "INBOX", []mailboxes.Appended{{Content: delivery.Bytes("Subject: x\r\n\r\nx")}})
	must(t, err)
	inbox, err := m.Box(t.Context(), "joe", "INBOX")
	must(t, err)
	for have := uint32(1); have < 2048; have *= 2 {
		_, err = m.Copy(t.Context(), inbox.ID, []mailbox.Range{{Low: 1, High: have}}, "INBOX")
		must(t, err)
	}
	for _, name := range []string{"To", "Other"} {
		_, err := m.Create(t.Context(), "joe", name, "")
		must(t, err)
	}
	_, err = m.Copy(t.Context(), inbox.ID, []mailbox.Range{{Low: 1, High: 700}}, "Other")
	must(t, err)
	var odd []mailbox.Range // more than go at once
	for u := uint32(1); u < 2048; u += 2 {
		odd = append(odd, mailbox.Range{Low: u, High: u})
	}
	changed := false
	ctx := between{t.Context(), func() {
		if changed || count("To") == 0 {
			return
		}
		changed = true
		must(t, m.Delete(t.Context(), "joe", "To"))
		must(t, m.Rename(t.Context(), "joe", "Other", "To"))
	}}
	if _, err := m.Copy(ctx, inbox.ID, odd, "To"); !errors.Is(err, mailboxes.ErrNoSuchMailbox) {
		t.Error(err)
	}
	if n := count("To"); !changed || n != 700 {
		t.Errorf("%d messages are in the other mailbox; it was given the name: %v", n, changed)
	}
	differ(t, db)
}

// MBX-5: counters that are wrong are found and set right, of one account and of all.
func TestCheck(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		must(t, (&accounts.Store{DB: db}).AddAccount(ctx, "ann", "correct horse"))
		for _, who := range []string{"ann", "joe"} {
			_, err := deliver(t, db, m, who, "", "a@b.test", []byte("x"))
			must(t, err)
		}
		must(t, db.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE mailboxes SET messages = 7 WHERE account = 'ann' AND name = 'INBOX'`)
			return err
		}))
		if d, err := mailboxes.CheckAccount(ctx, db, "joe", true); err != nil || len(d) > 0 {
			t.Error(d, err)
		}
		if d, err := mailboxes.Check(ctx, db, false); err != nil || len(d) != 2 { // the mailbox, and its account beside it
			t.Error(d, err)
		}
		if d, err := mailboxes.Check(ctx, db, true); err != nil || len(d) != 2 {
			t.Error(d, err)
		}
		differ(t, db)
	})
}

// A mailbox that was packed and has changed since is seen as it is (MBX-9), also by a machine that starts.
func TestPacked(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		m = mailboxes.WithSheets(m, 10)
		box, err := m.Box(ctx, "joe", "")
		must(t, err)
		for i := range 57 {
			_, _, err := m.Append(ctx, "joe", "INBOX", []mailboxes.Appended{{Flags: []string{fmt.Sprintf("k%d", i%3)}, Content: delivery.Bytes("Subject: x\r\n\r\nx")}})
			must(t, err)
		}
		must(t, mailboxes.PackAll(m, ctx))
		sheets := func() (n int64) {
			all, err := store.List(ctx, db, store.Value[int64], `SELECT count(*) FROM mailbox_sheets WHERE mailbox = ?`, box.ID)
			must(t, err)
			return all[0]
		}
		if n := sheets(); n != 5 {
			t.Errorf("%d sheets", n)
		}
		_, err = m.SetFlags(ctx, box.ID, []mailbox.Range{{Low: 8, High: 12}, {Low: 55, High: 57}}, mailboxes.FlagChange{Mode: '+', Flags: []string{`\Seen`}})
		must(t, err)
		_, _, err = m.Remove(ctx, box.ID, []mailbox.Range{{Low: 3, High: 4}, {Low: 30, High: 31}})
		must(t, err)
		see := func(size uint32) string {
			other := mailboxes.WithSheets(&mailboxes.Store{DB: db}, size)
			l, err := other.Look(ctx, box.ID)
			must(t, err)
			defer l.Close()
			lines, err := l.Lines(ctx, nil, 1, l.Count())
			must(t, err)
			return fmt.Sprint(lines)
		}
		want := see(1000) // none of its sheets is there
		if got := see(10); got != want {
			t.Errorf("packed: %s\nby rows: %s", got, want)
		}
		// One that cannot be used is not: what has gone since was forgotten.
		must(t, m.Forget(ctx, time.Now().AddDate(1, 0, 0)))
		m.Now = func() time.Time { return time.Now().AddDate(1, 0, 0) }
		must(t, m.Forget(ctx, time.Now().AddDate(2, 0, 0)))
		if got := see(10); got != want {
			t.Errorf("after what has gone was forgotten: %s\nby rows: %s", got, want)
		}
		must(t, m.Delete(ctx, "joe", "Archive"))
	})
}
