package mailboxes_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func names(t *testing.T, m *mailboxes.Store) string {
	t.Helper()
	boxes, err := m.Boxes(t.Context(), "joe")
	must(t, err)
	var out []string
	for _, b := range boxes {
		out = append(out, strings.TrimSpace(b.Name+" "+b.Use))
	}
	return strings.Join(out, ", ")
}

// Every account has the standard mailboxes (MBX-4), whether mail or its owner comes first.
func TestStandardMailboxes(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		const standard = `INBOX, Archive \Archive, Drafts \Drafts, Junk \Junk, Sent \Sent, Trash \Trash`
		if got := names(t, m); got != standard {
			t.Errorf("%s, want %s", got, standard)
		}
		must(t, m.Delete(t.Context(), "joe", "Trash"))
		if got := names(t, m); strings.Contains(got, "Trash") {
			t.Errorf("a deleted mailbox is back: %s", got)
		}
		if _, err := m.Boxes(t.Context(), "ann"); !errors.Is(err, mailboxes.ErrNoSuchAccount) {
			t.Errorf("an account that is not there: %v", err)
		}
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		for name, want := range map[string]string{
			"a": "a", "A": "A", "Lists/Go": "Lists/Go", "Lists/Rust/": "Lists/Rust", "inbox/x": "INBOX/x", "e\u0301te\u0301": "été", "日本": "日本", "~x": "~x",
		} {
			b, err := m.Create(ctx, "joe", name, "")
			if must(t, err); b.Name != want {
				t.Errorf("%q is called %q, want %q", name, b.Name, want)
			}
		}
		for name, want := range map[string]string{"inbox": "already", "a/": "already", "été": "already", "a//b": "a level is empty", "/a": "a level is empty", "a\x00b": "control character",
			"a\u2028": "control character", "a/../b": "a level is empty", "a%b": "or has % or *", "~deleted/1": "names of that form", "\xff": "it is no UTF-8",
			strings.Repeat("x", 256): "more than 255 octets", strings.Repeat("x/", 20) + "x": "more than 20 levels"} {
			if _, err := m.Create(ctx, "joe", name, ""); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", name, err, want)
			}
		}
		if _, err := m.Create(ctx, "joe", "Other trash", mailbox.UseTrash); !errors.Is(err, mailboxes.ErrMailboxExists) {
			t.Errorf("a second mailbox for what is thrown away: %v", err)
		}
	})
}

func TestRename(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		for _, n := range []string{"Work/A/B", "Workers", "Été/x"} {
			_, err := m.Create(ctx, "joe", n, "")
			must(t, err)
		}
		before, err := m.Box(ctx, "joe", "Work/A/B")
		must(t, err)
		must(t, m.Rename(ctx, "joe", "Work", "Play/Old"))
		must(t, m.Rename(ctx, "joe", "Été", "Summer"))
		after, err := m.Box(ctx, "joe", "Play/Old/A/B")
		must(t, err)
		if after.ID != before.ID || after.UIDValidity != before.UIDValidity {
			t.Errorf("%+v, was %+v", after, before)
		}
		if got := names(t, m); !strings.Contains(got, "Play, Play/Old, Play/Old/A, Play/Old/A/B") || !strings.Contains(got, "Summer, Summer/x") || !strings.Contains(got, "Workers") {
			t.Error(got)
		}
		for _, c := range []struct {
			from, to string
			want     error
		}{{"none", "x", mailboxes.ErrNoSuchMailbox}, {"Play", "Workers", mailboxes.ErrMailboxExists}, {"Play", "INBOX", mailboxes.ErrMailboxExists}} {
			if err := m.Rename(ctx, "joe", c.from, c.to); !errors.Is(err, c.want) {
				t.Errorf("%s to %s: %v, want %v", c.from, c.to, err, c.want)
			}
		}
		if err := m.Rename(ctx, "joe", "Play", "Play/In/Itself"); !errors.As(err, new(*mailbox.NameError)) {
			t.Errorf("into itself: %v", err)
		}
		// A name that is no mailbox itself may have some below it.
		for _, n := range []string{"Up/one", "Down/one"} {
			_, err := m.Create(ctx, "joe", n, "")
			must(t, err)
		}
		must(t, m.Delete(ctx, "joe", "Down"))
		if err := m.Rename(ctx, "joe", "Up", "Down"); !errors.Is(err, mailboxes.ErrMailboxExists) {
			t.Errorf("onto one that is there: %v", err)
		}
		must(t, m.Delete(ctx, "joe", "Down/one"))
		must(t, m.Rename(ctx, "joe", "Up", "Down"))
		// INBOX stays, and what was in it moves (RFC 9051 §6.3.6).
		_, err = deliver(t, db, m, "joe", "", "a@b.test", []byte("x"))
		must(t, err)
		must(t, m.Rename(ctx, "joe", "INBOX", "Old mail"))
		for name, want := range map[string]int64{"INBOX": 0, "Old mail": 1} {
			if b, err := m.Box(ctx, "joe", name); err != nil || b.Messages != want {
				t.Errorf("%s has %d messages, want %d, %v", name, b.Messages, want, err)
			}
		}
		if err := m.Delete(ctx, "joe", "inbox"); !errors.Is(err, mailboxes.ErrInbox) {
			t.Errorf("INBOX is deleted: %v", err)
		}
	})
}

// A mailbox of the same name is never taken for one that was there before (RFC 9051 §2.3.1.1).
func TestUIDValidity(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		var last uint32
		for range 5 {
			b, err := m.Create(t.Context(), "joe", "x", "")
			must(t, err)
			if b.UIDValidity <= last {
				t.Fatalf("UIDVALIDITY %d after %d", b.UIDValidity, last)
			}
			last = b.UIDValidity
			must(t, m.Delete(t.Context(), "joe", "x"))
		}
	})
}

func count(t *testing.T, db *store.Store, table string) (n int) {
	t.Helper()
	must(t, db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM ` + table).Scan(&n) }))
	return n
}

// What was removed can be brought back until it is forgotten; a copy writes no octets, and
// the last of those that have them takes them away (MBX-1, MBX-3).
func TestRemovedAndBroughtBack(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		msg, err := deliver(t, db, m, "joe", "", "a@b.test", []byte("Subject: x\r\n\r\nhello"))
		must(t, err)
		inbox, err := m.Box(ctx, "joe", "")
		must(t, err)
		_, err = m.Create(ctx, "joe", "Kept", "")
		must(t, err)
		_, err = m.Copy(ctx, inbox.ID, mailbox.All(), "Kept")
		must(t, err)
		if n := count(t, db, "mails"); n != 1 || count(t, db, "bodies") != 1 {
			t.Errorf("%d mails after a copy, want 1", n)
		}
		_, err = m.SetFlags(ctx, inbox.ID, mailbox.All(), mailboxes.FlagChange{Mode: '+', Flags: []string{`\Deleted`, `\Seen`}})
		must(t, err)
		_, _, err = m.Expunge(ctx, inbox.ID, mailbox.All())
		must(t, err)
		if gone, err := m.Removed(ctx, "joe", 10); err != nil || len(gone) != 0 {
			t.Errorf("%v can be brought back, though it is there: %v", gone, err)
		}
		must(t, m.Delete(ctx, "joe", "Kept"))
		gone, err := m.Removed(ctx, "joe", 10)
		must(t, err)
		if len(gone) != 1 || gone[0].ID != msg.ID || gone[0].Mailbox != "Kept" { // once, with where it went last
			t.Fatalf("%+v can be brought back", gone)
		}
		where, err := m.Undelete(ctx, msg.ID)
		must(t, err)
		list, err := m.List(ctx, "joe", where, 9)
		must(t, err)
		if where != "Kept" || len(list) != 1 || list[0].ID != msg.ID || list[0].Entry.Flags != 0 {
			t.Fatalf("%q has %+v", where, list)
		}
		if differ, err := mailboxes.Check(ctx, db, false); err != nil || len(differ) > 0 {
			t.Error(differ, err)
		}
		must(t, m.Forget(ctx, time.Now().Add(time.Hour)))
		if got := read(t, m, msg.ID); !strings.HasSuffix(string(got), "hello") {
			t.Errorf("%q", got)
		}
		kept, err := m.Box(ctx, "joe", "Kept")
		must(t, err)
		_, _, err = m.Remove(ctx, kept.ID, mailbox.All())
		must(t, err)
		must(t, m.Forget(ctx, time.Now().Add(time.Hour)))
		if _, err := m.Undelete(ctx, msg.ID); !errors.Is(err, mailboxes.ErrNoSuchMessage) {
			t.Errorf("brought back: %v", err)
		}
		if m, b := count(t, db, "mails"), count(t, db, "bodies"); m != 0 || b != 0 {
			t.Errorf("%d mails and %d bodies are left", m, b)
		}
	})
}

// What went long ago is forgotten, and that is said (MBX-9).
func TestForgotten(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		_, err := deliver(t, db, m, "joe", "", "a@b.test", []byte("x"))
		must(t, err)
		inbox, err := m.Box(ctx, "joe", "")
		must(t, err)
		look, err := m.Look(ctx, inbox.ID)
		must(t, err)
		defer look.Close()
		_, err = look.Lines(ctx, nil, 1, 1)
		must(t, err)
		_, modseq, err := m.Remove(ctx, inbox.ID, mailbox.All())
		must(t, err)
		m.Now = func() time.Time { return time.Now().AddDate(0, 6, 0) }
		must(t, m.Forget(ctx, m.Now()))
		for since, want := range map[uint64]bool{inbox.ModSeq: false, modseq - 1: false, modseq: true} {
			if gone, complete, err := m.Gone(ctx, inbox.ID, since); err != nil || complete != want || len(gone) > 0 {
				t.Errorf("since %d: %v, complete %v, want %v, %v", since, gone, complete, want, err)
			}
		}
		// A session that has looked all the while is told all the same.
		if news, err := look.Sync(ctx, true); err != nil || len(news.Gone) != 1 || news.Exists != 0 {
			t.Errorf("%+v, %v", news, err)
		}
	})
}

// An account can keep so much and no more (MBX-5).
func TestQuota(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		m.Quota = mailboxes.Quota{Octets: 10, Messages: 3}
		put := func(octets ...int) error {
			var all []mailboxes.Appended
			for _, n := range octets {
				all = append(all, mailboxes.Appended{Content: delivery.Bytes(make([]byte, n))})
			}
			_, _, err := m.Append(ctx, "joe", "INBOX", all)
			return err
		}
		if _, err := m.Box(ctx, "joe", ""); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			octets []int
			ok     bool
		}{{[]int{11}, false}, {[]int{5, 6}, false}, {[]int{0, 0, 0, 0}, false}, {[]int{5}, true}, {[]int{6}, false}, {[]int{5}, true}, {[]int{1}, false}, {[]int{0}, true}, {[]int{0}, false}} {
			if err := put(c.octets...); (err == nil) != c.ok || err != nil && !errors.Is(err, mailboxes.ErrOverQuota) {
				t.Errorf("%v: %v", c.octets, err)
			}
		}
		u, err := m.Usage(ctx, "joe")
		must(t, err)
		if u.Messages != 3 || u.Octets != 10 || !u.Over() {
			t.Errorf("%+v", u)
		}
		if n := count(t, db, "bodies"); n != 3 {
			t.Errorf("%d bodies: what was refused is left", n)
		}
	})
}

// Flags of messages that have changed since are left alone (RFC 7162 §3.1.3).
func TestUnchangedSince(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		for range 3 {
			_, err := deliver(t, db, m, "joe", "", "a@b.test", []byte("x"))
			must(t, err)
		}
		b, err := m.Box(ctx, "joe", "")
		must(t, err)
		seen := mailboxes.FlagChange{Mode: '+', Flags: []string{`\seen`}}
		r, err := m.SetFlags(ctx, b.ID, []mailbox.Range{{Low: 2, High: 2}}, seen)
		must(t, err)
		if r.ModSeq <= b.ModSeq || r.Modified != nil {
			t.Errorf("%+v after %d", r, b.ModSeq)
		}
		seen.UnchangedSince = &b.ModSeq
		seen.Flags = []string{`\Answered`, "todo"}
		r, err = m.SetFlags(ctx, b.ID, mailbox.All(), seen)
		must(t, err)
		if !slices.Equal(r.Modified, []mailbox.Range{{Low: 2, High: 2}}) {
			t.Errorf("%+v", r)
		}
		list, err := m.List(ctx, "joe", "", 9)
		must(t, err)
		words, err := m.Keywords(ctx, "joe")
		must(t, err)
		for i, want := range []string{`\Answered todo`, `\Seen`, `\Answered todo`} {
			if got := strings.Join(list[i].Entry.Flags.Words(words), " "); got != want {
				t.Errorf("message %d has %s, want %s", list[i].Entry.UID, got, want)
			}
		}
		// One that is not there leaves no keyword behind either.
		for _, bad := range []string{"a b", "", `\x`, "a(b", "ü", strings.Repeat("x", 256)} {
			if _, err := m.SetFlags(ctx, b.ID, mailbox.All(), mailboxes.FlagChange{Mode: '+', Flags: []string{"good", bad}}); err == nil {
				t.Errorf("keyword %q is taken", bad)
			}
		}
		if after, err := m.Keywords(ctx, "joe"); err != nil || !slices.Equal(after, words) {
			t.Errorf("%q, %v", after, err)
		}
		var many []string
		for i := range mailbox.MaxKeywords {
			many = append(many, strings.Repeat("k", i+1))
		}
		if _, err := m.SetFlags(ctx, b.ID, mailbox.All(), mailboxes.FlagChange{Mode: '+', Flags: many}); !errors.Is(err, mailboxes.ErrTooManyKeywords) {
			t.Errorf("%d keywords more: %v", len(many), err)
		}
	})
}

// MBX-6: also what another process or machine has done.
func TestNewsOfOthers(t *testing.T) {
	t.Parallel()
	storetest.EachDatabase(t, func(t *testing.T, open func(func(*store.Options)) *store.Store) {
		one, two := open(nil), open(nil)
		must(t, (&accounts.Store{DB: one}).AddAccount(t.Context(), "joe", "correct horse"))
		there, here := &mailboxes.Store{DB: one}, &mailboxes.Store{DB: two}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- here.Run(ctx) }()
		wake, forget := here.Watch("joe")
		heard := func() bool {
			select {
			case <-wake:
				return true
			case <-time.After(time.Second): // in which it is to be heard
				return false
			}
		}
		for heard() { // also of what it may have missed while it began to listen
		}
		_, err := deliver(t, one, there, "joe", "", "a@b.test", []byte("x"))
		must(t, err)
		written := time.Now()
		news := heard()
		if !news { // for a machine that is busy
			news = heard()
		}
		if !news {
			t.Fatal("nothing was heard of what another has delivered")
		}
		t.Logf("heard after %v", time.Since(written))
		forget()
		stop()
		must(t, <-done)
	})
}

// MBX-6: where PostgreSQL passes no notifications on, those who watch are woken again and again; where it does, they are
// left alone.
func TestMindEars(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		m := mailboxes.WithPoll(&mailboxes.Store{DB: db}, 100*time.Millisecond)
		ctx, stop := context.WithCancel(t.Context())
		done, told := make(chan error, 2), make(chan error, 9)
		go func() { done <- m.MindEars(ctx, func(err error) { told <- err }) }()
		// All tests on one PostgreSQL share the channel: an account that no other has.
		wake, forget := m.Watch("ear")
		defer func() { forget() }()
		quiet := func(d time.Duration) bool {
			select {
			case <-wake:
				return false
			case <-time.After(d):
				return true
			}
		}
		if !db.Postgres() {
			if !quiet(300 * time.Millisecond) {
				t.Error("woken, though a file is looked at")
			}
			stop()
			must(t, <-done)
			return
		}
		for range 2 { // nobody listens yet
			if quiet(20 * time.Second) {
				t.Fatal("nobody was woken")
			}
		}
		if err := <-told; !strings.Contains(err.Error(), "LISTEN") {
			t.Error(err)
		}
		stop()
		must(t, <-done)

		m = &mailboxes.Store{DB: db}
		forget()
		wake, forget = m.Watch("ear")
		ctx, stop = context.WithCancel(t.Context())
		go func() { done <- m.Run(ctx) }()
		if quiet(20 * time.Second) {
			t.Fatal("nobody was told that it listens")
		}
		for !quiet(500 * time.Millisecond) { // that is all
		}
		go func() { done <- m.MindEars(ctx, func(err error) { told <- err }) }()
		if !quiet(2 * time.Second) {
			t.Error("woken, though notifications are heard")
		}
		stop()
		must(t, <-done)
		must(t, <-done)

		must(t, db.Close()) // a database that is away is another matter
		m = mailboxes.WithPoll(&mailboxes.Store{DB: db}, 10*time.Millisecond)
		ctx, stop = context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer stop()
		must(t, m.MindEars(ctx, func(err error) { told <- err }))
		if len(told) > 0 {
			t.Error(<-told)
		}
	})
}

// MBX-6: those who watch an account hear of a change at once.
func TestWatch(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		wake, stop := m.Watch("joe")
		defer stop()
		other, stopOther := m.Watch("ann")
		defer stopOther()
		_, err := deliver(t, db, m, "joe", "", "a@b.test", []byte("x"))
		must(t, err)
		select {
		case <-wake:
		default:
			t.Error("nothing was heard")
		}
		select {
		case <-other:
			t.Error("another account heard of it")
		default:
		}
	})
}

// Large and small messages come in one command, and go out as they were.
func TestAppend(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		date := time.Date(1996, 7, 17, 2, 44, 25, 0, time.UTC)
		contents := []string{"", "small", strings.Repeat("large ", 100_000)}
		var all []mailboxes.Appended
		for _, c := range contents {
			all = append(all, mailboxes.Appended{Flags: []string{`\Seen`}, Date: date, Content: delivery.Bytes([]byte(c))})
		}
		if _, _, err := m.Append(ctx, "joe", "none", all); !errors.Is(err, mailboxes.ErrNoSuchMailbox) {
			t.Errorf("into a mailbox that is not there: %v", err)
		}
		if n := count(t, db, "bodies"); n != 0 {
			t.Errorf("%d bodies are left of what was refused", n)
		}
		_, err := m.Boxes(ctx, "joe")
		must(t, err)
		box, uids, err := m.Append(ctx, "joe", "Sent", all)
		must(t, err)
		if !slices.Equal(uids, []uint32{1, 2, 3}) {
			t.Errorf("UIDs %v", uids)
		}
		i := 0
		must(t, m.Mails(ctx, box.ID, mailbox.All(), func(msg *mailbox.Message) error {
			c, _, err := m.Content(ctx, msg.ID)
			must(t, err)
			r, err := c.Open()
			must(t, err)
			defer r.Close()
			got, err := io.ReadAll(r)
			must(t, err)
			if string(got) != contents[i] || !msg.Received.Equal(date) || msg.Entry.Flags != mailbox.Seen {
				t.Errorf("message %d: %d octets of %d, %v", i, len(got), len(contents[i]), msg.Entry)
			}
			i++
			return nil
		}))
	})
}

// What is put into Junk and taken out of it is to be learnt, once for each message (JNK-2).
func TestLessons(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		var ids []int64
		for range 3 {
			msg, err := deliver(t, db, m, "joe", "", "a@b.test", []byte("x"))
			must(t, err)
			ids = append(ids, msg.ID)
		}
		move := func(from string, uid uint32, to string, want ...mailbox.Lesson) {
			t.Helper()
			b, err := m.Box(ctx, "joe", from)
			must(t, err)
			_, err = m.Move(ctx, b.ID, []mailbox.Range{{Low: uid, High: uid}}, to)
			must(t, err)
			got, err := m.Lessons(ctx, 10)
			must(t, err)
			slices.SortFunc(got, func(a, b mailbox.Lesson) int { return int(a.Mail - b.Mail) })
			if !slices.Equal(got, want) {
				t.Errorf("%d of %s to %s: %v, want %v", uid, from, to, got, want)
			}
		}
		move("INBOX", 1, "Archive")
		move("INBOX", 2, "Junk", mailbox.Lesson{Mail: ids[1], Class: mailbox.IsJunk})
		move("INBOX", 3, "Junk", mailbox.Lesson{Mail: ids[1], Class: mailbox.IsJunk}, mailbox.Lesson{Mail: ids[2], Class: mailbox.IsJunk})
		move("Junk", 1, "INBOX", mailbox.Lesson{Mail: ids[1], Class: mailbox.IsGood}, mailbox.Lesson{Mail: ids[2], Class: mailbox.IsJunk})
		must(t, m.Learnt(ctx, mailbox.Lesson{Mail: ids[1], Class: mailbox.IsJunk})) // of before
		must(t, m.Learnt(ctx, mailbox.Lesson{Mail: ids[2], Class: mailbox.IsJunk}))
		move("Junk", 2, "Trash", mailbox.Lesson{Mail: ids[1], Class: mailbox.IsGood})
		// One that is gone teaches nothing, and is forgotten with it.
		b, err := m.Box(ctx, "joe", "INBOX")
		must(t, err)
		_, _, err = m.Remove(ctx, b.ID, mailbox.All())
		must(t, err)
		if got, err := m.Lessons(ctx, 10); err != nil || len(got) > 0 {
			t.Error(got, err)
		}
		must(t, m.Forget(ctx, time.Now().Add(time.Hour)))
		if n := count(t, db, "mail_lessons"); n != 0 {
			t.Errorf("%d lessons are left", n)
		}
	})
}

// Trash and Junk empty themselves of what has lain there for long (MBX-4).
func TestEmptyTrash(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		now := time.Now()
		_, err := m.Boxes(ctx, "joe")
		must(t, err)
		for _, age := range []int{40, 20} {
			m.Now = func() time.Time { return now.AddDate(0, 0, -age) }
			for _, box := range []string{"Trash", "Junk", "INBOX"} {
				_, _, err := m.Append(ctx, "joe", box, []mailboxes.Appended{{Content: delivery.Bytes([]byte("x"))}})
				must(t, err)
			}
		}
		m.Now = nil
		must(t, m.EmptyTrash(ctx, now.AddDate(0, 0, -30)))
		for box, want := range map[string]int64{"Trash": 1, "Junk": 1, "INBOX": 2} {
			if b, err := m.Box(ctx, "joe", box); err != nil || b.Messages != want {
				t.Errorf("%s has %d messages, want %d, %v", box, b.Messages, want, err)
			}
		}
	})
}

// An account is full for now, and after a while for good, until it has room again (MBX-5).
func TestFull(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		now := time.Now()
		m.Now = func() time.Time { return now }
		m.Quota = mailboxes.Quota{Messages: 1, Grace: time.Hour}
		is := func(want mailbox.Fullness) {
			t.Helper()
			for range 2 {
				if got, err := m.Fullness(ctx, "joe"); err != nil || got != want {
					t.Errorf("%d, want %d, %v", got, want, err)
				}
			}
		}
		is(mailbox.HasRoom)
		_, err := deliver(t, db, m, "joe", "", "a@b.test", []byte("x"))
		must(t, err)
		is(mailbox.FullNow)
		now = now.Add(time.Hour)
		is(mailbox.FullLong)
		b, err := m.Box(ctx, "joe", "")
		must(t, err)
		_, _, err = m.Remove(ctx, b.ID, mailbox.All())
		must(t, err)
		is(mailbox.HasRoom)
		_, err = deliver(t, db, m, "joe", "", "a@b.test", []byte("x"))
		must(t, err)
		is(mailbox.FullNow)
	})
}

// Name, special use, order and subscription change together or not at all (RFC 8621 §2.5).
func TestReshape(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		ctx := t.Context()
		_, err := m.Create(ctx, "joe", "Spam", "")
		must(t, err)
		junk, none, name, order, yes := mailbox.UseJunk, "", "Rubbish", int64(7), true
		for _, c := range []struct {
			box  string
			sh   mailboxes.Shape
			want error
		}{
			{"Spam", mailboxes.Shape{Name: &name, Use: &junk}, mailboxes.ErrMailboxExists}, // Junk has it
			{"Spam", mailboxes.Shape{Name: &junk}, nil},
			{mailbox.Inbox, mailboxes.Shape{Use: &junk}, mailboxes.ErrInbox},
			{mailbox.Inbox, mailboxes.Shape{Name: &name}, mailboxes.ErrInbox},
			{"Nothing", mailboxes.Shape{Order: &order}, mailboxes.ErrNoSuchMailbox},
			{"Junk", mailboxes.Shape{Use: &none}, nil},
			{`\Junk`, mailboxes.Shape{Name: &name, Use: &junk, Order: &order, Subscribed: &yes}, nil},
			{name, mailboxes.Shape{Use: &junk}, nil}, // its own
		} {
			if err := m.Reshape(ctx, "joe", c.box, c.sh); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.box, err, c.want)
			}
		}
		if got, want := names(t, m), `INBOX, Archive \Archive, Drafts \Drafts, Junk, Rubbish \Junk, Sent \Sent, Trash \Trash`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
