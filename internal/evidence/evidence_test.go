package evidence

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/classifier"
	"waxwing/internal/config"
	"waxwing/internal/correspondents"
	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/rspamd"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/verify"
)

// JNK-1: a client greets with its name; what cannot be one is told.
func TestBadHELO(t *testing.T) {
	t.Parallel()
	ip, own := netip.MustParseAddr("192.0.2.1"), dns.MustParse("mx.here.test")
	for helo, want := range map[string]bool{"mail.far.test": false, "[192.0.2.1]": false, "[192.0.2.2]": true, "192.0.2.1": true, "localhost": true, "mx.here.test": true, "": true, "a b": true, "[x": true} {
		if got := badHELO(helo, ip, own); got != want {
			t.Errorf("%q: %v", helo, got)
		}
	}
}

// JNK-2: a message that is taught twice counts once, and what it was taught as before no more.
func TestTeach(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, now := t.Context(), func() time.Time { return time.Unix(1.7e9, 0) }
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must((&accounts.Store{DB: db}).AddAccount(ctx, "joe", "correct horse"))
		boxes := &mailboxes.Store{DB: db, Now: now}
		text := []byte("Subject: cheap pills\r\n\r\nbuy now\r\n")
		must(db.Write(ctx, func(tx *store.Tx) error {
			return boxes.Deliver(tx, mailbox.Delivery{Body: store.NewID(), Data: text, Size: int64(len(text))}, []delivery.Copy{{Recipient: 1, Address: "joe@here.test", Account: "joe"}})
		}))
		list, err := boxes.List(ctx, "joe", "", 1)
		must(err)
		var passed []string // to Rspamd (JNK-3)
		web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = append(passed, r.URL.Path) }))
		defer web.Close()
		teacher := &Teacher{DB: db, Boxes: boxes, Now: now, Rspamd: rspamd.New(config.Rspamd{URL: web.URL, Learn: true, Timeout: time.Minute, MaxSize: 1 << 20}, "")}
		is := func(good, junk int64) {
			t.Helper()
			m, err := (&classifier.Store{DB: db, Now: now}).Model(ctx, "joe")
			must(err)
			if m.Good != good || m.Junk != junk {
				t.Errorf("%+v", m)
			}
		}
		for range 2 {
			must(teacher.Teach(ctx, list[0].ID, mailbox.IsJunk))
		}
		is(0, 1)
		must(teacher.Teach(ctx, list[0].ID, mailbox.IsGood))
		is(1, 0)
		must(teacher.Forget(ctx, "joe"))
		is(0, 0)
		if got := strings.Join(passed, " "); got != "/learnspam /learnham" {
			t.Errorf("Rspamd hears %s", got)
		}
	})
}

// What owners move into Junk or out of it is learnt within a second or so; one that cannot be holds up no
// other and does not come again (JNK-2).
func TestMovesTeach(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx := t.Context()
		must((&accounts.Store{DB: db}).AddAccount(ctx, "joe", "correct horse"))
		boxes := &mailboxes.Store{DB: db}
		var all []mailboxes.Appended
		for _, text := range []string{"cheap pills today", "minutes of the meeting"} {
			all = append(all, mailboxes.Appended{Content: delivery.Bytes("Subject: x\r\n\r\n" + text)})
		}
		inbox, _, err := func() (mailbox.Box, []uint32, error) {
			if _, err := boxes.Box(ctx, "joe", ""); err != nil {
				return mailbox.Box{}, nil, err
			}
			return boxes.Append(ctx, "joe", "INBOX", all)
		}()
		must(err)
		_, err = boxes.Move(ctx, inbox.ID, mailbox.All(), "Junk")
		must(err)
		teacher := &Teacher{DB: db, Boxes: boxes, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		model := func() classifier.Model {
			m, err := (&classifier.Store{DB: db, Now: time.Now}).Model(ctx, "joe")
			must(err)
			return m
		}
		run, end := context.WithCancel(ctx)
		defer end()
		go teacher.Run(run)
		wait := func(good, junk int64) {
			t.Helper()
			for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
				m := model()
				left, err := boxes.Lessons(ctx, 10)
				must(err)
				if m.Good == good && m.Junk == junk && len(left) == 0 {
					return
				}
				if time.Now().After(until) {
					t.Fatalf("%+v, %d lessons left, want %d good and %d junk", m, len(left), good, junk)
				}
			}
		}
		wait(0, 2)
		junk, err := boxes.Box(ctx, "joe", "Junk")
		must(err)
		_, err = boxes.Move(ctx, junk.ID, []mailbox.Range{{Low: 2, High: 2}}, "Archive")
		must(err)
		wait(1, 1)
	})
}

// JNK-1: taken out of Junk, a sender for whom a domain vouches is a contact; put into it, no more.
func TestMovesMark(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		was   junk.Mark
		moved mailbox.Class
		want  junk.Mark
	}{
		{junk.Unmarked, mailbox.IsGood, junk.MarkedGood}, {junk.MarkedJunk, mailbox.IsGood, junk.MarkedGood}, {junk.MarkedGood, mailbox.IsGood, junk.MarkedGood},
		{junk.Unmarked, mailbox.IsJunk, junk.Unmarked}, {junk.MarkedJunk, mailbox.IsJunk, junk.MarkedJunk}, {junk.MarkedGood, mailbox.IsJunk, junk.Unmarked},
		{junk.MarkedJunk, mailbox.Unknown, junk.MarkedJunk},
	} {
		if got := marked(tt.was, tt.moved); got != tt.want {
			t.Errorf("%v, moved as %v: %v, want %v", tt.was, tt.moved, got, tt.want)
		}
	}
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx := t.Context()
		must((&accounts.Store{DB: db}).AddAccount(ctx, "joe", "correct horse"))
		boxes, known := &mailboxes.Store{DB: db}, &correspondents.Store{DB: db, Now: time.Now}
		far := dns.MustParse("far.test")
		facts, err := json.Marshal(verify.Facts{DMARC: []verify.DMARC{{From: far, AlignedSPF: true}}})
		must(err)
		for i, from := range []string{"kim@far.test", "forged@far.test"} {
			d := mailbox.Delivery{Body: store.NewID(), Data: []byte("From: " + from + "\r\n\r\nhi\r\n"), Size: 30, Facts: [][]byte{facts, nil}[i]}
			d.Size = int64(len(d.Data))
			must(db.Write(ctx, func(tx *store.Tx) error {
				return boxes.Deliver(tx, d, []delivery.Copy{{Recipient: 1, Address: "joe@here.test", Account: "joe", Mailbox: "Junk", Create: true}})
			}))
		}
		teacher := &Teacher{DB: db, Boxes: boxes, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		for _, tt := range []struct {
			from, to string
			contacts int
		}{{"Junk", "INBOX", 1}, {"INBOX", "Junk", 0}} {
			box, err := boxes.Box(ctx, "joe", tt.from)
			must(err)
			_, err = boxes.Move(ctx, box.ID, mailbox.All(), tt.to)
			must(err)
			for teacher.some(ctx) {
			}
			if all, err := known.Contacts(ctx, "joe", 10); err != nil || len(all) != tt.contacts || tt.contacts > 0 && all[0].Who != "kim@far.test" {
				t.Errorf("moved to %s: %+v, %v", tt.to, all, err)
			}
		}
	})
}

// BenchmarkLearnMove is how long one move takes to be learnt: under 5 ms is asked.
func BenchmarkLearnMove(b *testing.B) {
	db := storetest.Open(b)
	ctx := b.Context()
	boxes := &mailboxes.Store{DB: db}
	if err := (&accounts.Store{DB: db}).AddAccount(ctx, "joe", "correct horse"); err != nil {
		b.Fatal(err)
	}
	if _, err := boxes.Box(ctx, "joe", ""); err != nil {
		b.Fatal(err)
	}
	text := strings.Builder{}
	for i := range 1500 {
		fmt.Fprintf(&text, "word%d ", i%400)
	}
	box, _, err := boxes.Append(ctx, "joe", "INBOX", []mailboxes.Appended{{Content: delivery.Bytes("Subject: x\r\n\r\n" + text.String())}})
	if err != nil {
		b.Fatal(err)
	}
	list, err := boxes.List(ctx, "joe", box.Name, 1)
	if err != nil {
		b.Fatal(err)
	}
	teacher := &Teacher{DB: db, Boxes: boxes, Now: time.Now}
	class := mailbox.IsGood
	for b.Loop() {
		class = mailbox.IsGood + mailbox.IsJunk - class
		if err := teacher.Teach(ctx, list[0].ID, class); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRemembered is what a message costs that asks for what its account remembers of the sender.
func BenchmarkRemembered(b *testing.B) {
	db := storetest.Open(b)
	ctx := b.Context()
	if err := (&accounts.Store{DB: db}).AddAccount(ctx, "joe", "correct horse"); err != nil {
		b.Fatal(err)
	}
	r := &Room{DB: db}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.remembered(ctx, []string{"joe"}, "kim@far.test"); err != nil {
			b.Fatal(err)
		}
	}
}
