package sifting_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/scripts"
	"waxwing/internal/sifting"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a room with the account joe, who has joe@here.test.
type world struct {
	*sifting.Room
	t     *testing.T
	db    *store.Store
	clock time.Time
	job   *delivery.Job
}

func newWorld(t *testing.T, db *store.Store) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time { return w.clock }
	users := &accounts.Store{DB: db, Now: now}
	here, err := dns.ParseName("here.test")
	must(t, err)
	must(t, users.AddDomain(t.Context(), here))
	must(t, users.AddAccount(t.Context(), "joe", "correct horse"))
	must(t, users.AddAddress(t.Context(), "joe@here.test", "joe"))
	w.Room = &sifting.Room{Scripts: &scripts.Store{DB: db, Now: now}, Accounts: users, Allowance: &allowance.Store{DB: db, Now: now},
		Boxes: func(context.Context, string) ([]sifting.Box, error) {
			return []sifting.Box{{Name: "INBOX"}, {Name: "Lists"}, {Name: "Spam", Use: `\Junk`}}, nil
		},
		Keys: &signing.Service{Store: db, Now: now, Log: slog.New(slog.DiscardHandler)}, Hostname: here, Version: "1", Now: now, Log: slog.New(slog.DiscardHandler), Guard: &guardtest.New().Guard}
	return w
}

const plain = "From: Ann <ann@far.test>\r\nTo: joe@here.test\r\nSubject: hello\r\nMessage-ID: <1@far.test>\r\n\r\nbody\r\n"

// lease is one that holds.
type lease struct{}

func (lease) Extend(context.Context, time.Duration) error { return nil }

// run activates a script and runs it on a message.
func (w *world) run(script, mail string, change ...func(*delivery.Job)) *delivery.Sifted {
	w.t.Helper()
	must(w.t, w.Scripts.Put(w.t.Context(), "joe", "main", script))
	must(w.t, w.Scripts.Activate(w.t.Context(), "joe", "main"))
	return w.again(mail, change...)
}

func (w *world) again(mail string, change ...func(*delivery.Job)) *delivery.Sifted {
	w.t.Helper()
	_, d, err := delivery.ParseAddress("joe@here.test")
	must(w.t, err)
	w.job = &delivery.Job{Lease: lease{}, Envelope: delivery.Envelope{ID: 7, Sender: "ann@far.test", Size: int64(len(mail)),
		Recipients: []delivery.Recipient{{ID: 1, Address: "joe@here.test", Domain: d, Local: true}}}}
	for _, fn := range change {
		fn(w.job)
	}
	c := delivery.Copy{Recipient: 1, Address: "joe@here.test", Account: "joe", Mailbox: "INBOX"}
	if w.job.Recipients[0].Junk {
		c.Mailbox = "Junk"
	}
	s, err := w.Sift(w.t.Context(), w.job, c, delivery.Bytes(mail))
	must(w.t, err)
	return s
}

// settle writes what was decided, as the queue does.
func (w *world) settle(s *delivery.Sifted) {
	w.t.Helper()
	res := &delivery.Result{Recipients: []delivery.RecipientResult{{ID: 1, Outcome: delivery.Delivered}}, Memories: s.Memories}
	must(w.t, w.db.Write(w.t.Context(), func(tx *store.Tx) error { return scripts.Record(tx, res) }))
}

func describe(s *delivery.Sifted) string {
	if s == nil {
		return "no script"
	}
	var out []string
	for _, c := range s.Copies {
		text := "copy " + c.Mailbox
		if len(c.Flags) > 0 {
			text += " " + strings.Join(c.Flags, " ")
		}
		if c.Create {
			text += " create"
		}
		if c.Header != nil {
			text += fmt.Sprintf(" header %d/%d", len(c.Header), c.Replaced)
		}
		out = append(out, text)
	}
	for _, f := range s.Forwards {
		what := "forward"
		if f.Text != nil {
			what = "own"
		}
		out = append(out, fmt.Sprintf("%s %s", what, strings.Join(f.To, ",")))
	}
	if s.Refused != "" {
		out = append(out, "refused "+s.Refused)
	}
	return strings.Join(out, "; ")
}

func junk(j *delivery.Job) { j.Recipients[0].Junk = true }

// SIV-1, SIV-3: what comes of scripts, on both engines.
func TestSift(t *testing.T) {
	t.Parallel()
	all := `require ["fileinto","reject","imap4flags","vacation","copy","mailbox","special-use","duplicate","editheader","enotify","include","body"];` + "\n"
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		if got := describe(w.again(plain)); got != "no script" {
			t.Errorf("without a script: %s", got)
		}
		for _, tt := range []struct {
			script, mail, want string
			change             func(*delivery.Job)
		}{
			{``, plain, "copy INBOX", nil},
			{``, plain, "copy Junk", junk},
			{`keep;`, plain, "copy INBOX", junk},
			{`discard;`, plain, "", nil},
			{`fileinto :flags "\\Seen" "Lists";`, plain, `copy Lists \Seen`, nil},
			{`fileinto :create "New"; keep;`, plain, "copy New create; copy INBOX", nil},
			{`fileinto :specialuse "\\Junk" "Other";`, plain, "copy Spam", nil},
			{`redirect "bob@far.test";`, plain, "forward bob@far.test", nil},
			{`redirect :copy "bob@far.test";`, plain, "copy INBOX; forward bob@far.test", nil},
			{`redirect "bob@far.test";`, plain, "copy Junk", junk},
			{`redirect :copy "bob@far.test"; fileinto "Lists";`, plain, "copy Lists", junk},
			{`redirect "bob@far.test"; vacation "gone";`, plain, "copy Junk", junk},
			{`redirect "bob@far.test";`, "Delivered-To: joe@here.test\r\n" + plain, "copy INBOX", nil},
			{`reject "Not  me,` + "\n" + `please";`, plain, "refused Not me, please", nil},
			{`vacation "gone";`, plain, "copy INBOX; own ann@far.test", nil},
			{`vacation "gone";`, plain, "copy INBOX", func(j *delivery.Job) { j.Sender = "" }},
			{`vacation "gone";`, plain, "copy Junk", junk},
			{`vacation "gone";`, strings.Replace(plain, "To: joe@", "To: jim@", 1), "copy INBOX", nil},
			{`vacation :addresses "jim@here.test" "gone";`, strings.Replace(plain, "To: joe@", "To: jim@", 1), "copy INBOX; own ann@far.test", nil},
			{`notify "mailto:pager@far.test";`, plain, "copy INBOX; own pager@far.test", nil},
			{`addheader "X-New" "v"; fileinto "Lists";`, plain, fmt.Sprintf("copy Lists header %d/%d", len(plain)-6+10, len(plain)-6), nil},
			{`if body :contains "bod" { discard; }`, plain, "", nil},
			{`if mailboxexists ["Lists", "inbox"] { discard; }`, plain, "", nil},
			{`if specialuse_exists "Spam" "\\Junk" { discard; }`, plain, "", nil},
			{`include "other";`, plain, "copy INBOX; own joe@here.test", nil}, // it fails
		} {
			s := w.run(all+tt.script, tt.mail, func(j *delivery.Job) {
				if tt.change != nil {
					tt.change(j)
				}
			})
			if got := describe(s); got != tt.want {
				t.Errorf("%s:\n %s\nwant\n %s", tt.script, got, tt.want)
			}
		}
	})
}

// SIV-1: a sender is answered once in a period, with a message as RFC 3834 has it.
func TestVacation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		s := w.run(`require "vacation"; vacation :days 3 :subject "Fort" "Grüße";`, plain)
		if describe(s) != "copy INBOX; own ann@far.test" {
			t.Fatal(describe(s))
		}
		text := string(s.Forwards[0].Text)
		for _, want := range []string{"From: joe@here.test\r\n", "To: ann@far.test\r\n", "Subject: Fort\r\n", "Auto-Submitted: auto-replied\r\n", "In-Reply-To: <1@far.test>\r\n", "References: <1@far.test>\r\n", "Gr=C3=BC=C3=9Fe"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if f := s.Forwards[0]; f.Sender != "" || f.Notify != delivery.NotifyNever {
			t.Errorf("%+v", f)
		}
		if again := describe(w.again(plain)); again != "copy INBOX; own ann@far.test" {
			t.Errorf("nothing was settled, and it is remembered: %s", again)
		}
		w.settle(s)
		if again := describe(w.again(plain)); again != "copy INBOX" {
			t.Errorf("a second time: %s", again)
		}
		if other := describe(w.again(plain, func(j *delivery.Job) { j.Sender = "eve@far.test" })); other != "copy INBOX; own eve@far.test" {
			t.Errorf("another sender: %s", other)
		}
		w.clock = w.clock.Add(3*24*time.Hour + time.Second)
		if later := describe(w.again(plain)); later != "copy INBOX; own ann@far.test" {
			t.Errorf("after the period: %s", later)
		}
	})
}

// SIV-1: of two messages of one sender at the same moment, one is answered, by whichever is settled first.
func TestVacationAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		first := w.run(`require "vacation"; vacation "gone";`, plain)
		second := w.again(plain)
		results := []*delivery.Result{}
		for _, s := range []*delivery.Sifted{first, second} {
			results = append(results, &delivery.Result{Recipients: []delivery.RecipientResult{{ID: 1, Outcome: delivery.Delivered}},
				Memories: append(s.Memories, delivery.Memory{Recipient: 1, Account: "joe", Key: "other", Until: w.clock.Add(time.Hour)}), Forwards: append(s.Forwards, delivery.Forward{Recipient: 1, To: []string{"x@y.test"}})})
		}
		record := func(res *delivery.Result) error {
			return w.db.Write(t.Context(), func(tx *store.Tx) error { return scripts.Record(tx, res) })
		}
		errs := make(chan error, 2)
		for _, res := range results {
			go func() { errs <- record(res) }()
		}
		a, b := <-errs, <-errs
		var done *delivery.DoneError
		if (a == nil) == (b == nil) || !errors.As(errors.Join(a, b), &done) {
			t.Fatalf("%v, %v", a, b)
		}
		for _, res := range results {
			if res.Without(done); len(res.Forwards) != 1 || res.Forwards[0].Once != "" || len(res.Memories) != 1 {
				t.Errorf("what is left: %+v, %+v", res.Forwards, res.Memories)
			}
			must(t, record(res))
		}
		// One message that reaches the account by two addresses is answered for both.
		w.clock = w.clock.Add(30 * 24 * time.Hour)
		twice := w.again(plain)
		res := &delivery.Result{Recipients: []delivery.RecipientResult{{ID: 1, Outcome: delivery.Delivered}}, Memories: append(twice.Memories, twice.Memories...)}
		must(t, record(res))
	})
}

// SIV-1: a script runs once for a message, also where what it says is done by the queue later.
func TestOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	asked := 0
	w.Boxes = func(context.Context, string) ([]sifting.Box, error) {
		asked++
		return []sifting.Box{{Name: "INBOX"}}, nil
	}
	arriving := func(j *delivery.Job) { j.Lease = nil }
	for script, want := range map[string]struct {
		says string
		runs int
	}{
		`discard;`:                      {"", 1},
		`redirect "bob@far.test";`:      {"forward bob@far.test", 1},
		`vacation "gone";`:              {"copy INBOX; own ann@far.test", 1},
		`notify "mailto:bob@far.test";`: {"copy INBOX; own bob@far.test", 1},
		`include "none";`:               {"copy INBOX; own joe@here.test", 1},
		`fileinto "INBOX";`:             {"copy INBOX", 2}, // settled on arrival: nothing is kept
	} {
		asked = 0
		script = `require ["mailbox","vacation","enotify","include","fileinto"]; if mailboxexists "INBOX" {` + script + `}`
		if got := describe(w.run(script, plain, arriving)); got != want.says {
			t.Errorf("%s on arrival: %s", script, got)
		}
		if got := describe(w.again(plain)); got != want.says || asked != want.runs {
			t.Errorf("%s: %s, %d runs", script, got, asked)
		}
		if w.again(plain); asked != want.runs+1 {
			t.Errorf("%s: in a second attempt of the queue, it has run %d times", script, asked)
		}
	}
}

// SIV-1: scripts of the operator are included as :global, and are no account's.
func TestGlobal(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		ctx := t.Context()
		must(t, w.Scripts.PutGlobal(ctx, "lists", `require "fileinto"; fileinto "Lists";`))
		failed := "copy INBOX; own joe@here.test"
		for script, want := range map[string]string{
			`include :global "lists";`:             "copy Lists",
			`include "lists";`:                     failed,
			`include :global "none";`:              failed,
			`include :global :optional "none";`:    "copy INBOX",
			`include :global :once "lists"; keep;`: "copy Lists; copy INBOX",
		} {
			if got := describe(w.run(`require "include"; `+script, plain)); got != want {
				t.Errorf("%s: %s, want %s", script, got, want)
			}
		}
		must(t, w.Scripts.PutGlobal(ctx, "lists", `discard;`))
		if got := describe(w.run(`require "include"; include :global "lists";`, plain)); got != "" {
			t.Errorf("changed: %s", got)
		}
		if text, err := w.Scripts.GetGlobal(ctx, "lists"); err != nil || text != "discard;" {
			t.Errorf("%q, %v", text, err)
		}
		must(t, w.Scripts.DeleteGlobal(ctx, "lists"))
		if got := describe(w.again(plain)); got != failed {
			t.Errorf("removed: %s", got)
		}
		for i := range scripts.MaxGlobals {
			must(t, w.Scripts.PutGlobal(ctx, fmt.Sprint(i), "keep;"))
		}
		if err := w.Scripts.PutGlobal(ctx, "more", "keep;"); !errors.Is(err, scripts.ErrTooManyGlobals) {
			t.Errorf("one more: %v", err)
		}
		var bad *scripts.NameError
		if err := w.Scripts.PutGlobal(ctx, "a\nb", "keep;"); !errors.As(err, &bad) {
			t.Errorf("a bad name: %v", err)
		}
		if err := w.Scripts.PutGlobal(ctx, "1", "kep;"); err == nil {
			t.Error("a script that is wrong was stored")
		}
	})
}

// SIV-1: duplicate remembers what was settled.
func TestDuplicate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		s := w.run(`require "duplicate"; if duplicate { discard; }`, plain)
		if describe(s) != "copy INBOX" || len(s.Memories) != 1 {
			t.Fatal(describe(s), s.Memories)
		}
		w.settle(s)
		if got := describe(w.again(plain)); got != "" {
			t.Errorf("again: %s", got)
		}
		must(t, w.Scripts.Tidy(t.Context()))
		w.clock = w.clock.Add(8 * 24 * time.Hour)
		if got := describe(w.again(plain)); got != "copy INBOX" {
			t.Errorf("after a week: %s", got)
		}
		must(t, w.Scripts.Tidy(t.Context()))
	})
}

// SIV-3: a redirect is of a rewritten sender and counts; what is beyond the limit is kept. A script
// that fails leaves the message, and its account is told once a day.
func TestRedirectAndFailure(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		w.Allowance.Limit = allowance.Count{Messages: 1, Recipients: 1}
		s := w.run(`redirect "bob@far.test";`, plain, func(j *delivery.Job) { j.Lease = nil })
		if f := s.Forwards[0]; !strings.HasPrefix(f.Sender, "SRS0=") || !strings.HasSuffix(f.Sender, "@here.test") || f.DeliveredTo != "joe@here.test" {
			t.Errorf("%+v", f)
		}
		for i, want := range []string{"forward bob@far.test", "copy INBOX"} { // the one on its way in was not counted
			if got := describe(w.again(plain)); got != want {
				t.Errorf("%d: %s, want %s", i, got, want)
			}
		}
		w.Allowance.Limit = allowance.Count{}
		s = w.run(`redirect "a@x.test"; redirect "b@x.test"; redirect "c@x.test"; redirect "d@x.test"; redirect "e@x.test";`, plain)
		if got := describe(s); got != "copy INBOX; own joe@here.test" || !strings.Contains(string(s.Forwards[0].Text), "more redirects than 4") {
			t.Errorf("%s", got)
		}
		w.settle(s)
		if got := describe(w.again(plain)); got != "copy INBOX" {
			t.Errorf("told twice: %s", got)
		}
		w.clock = w.clock.Add(25 * time.Hour)
		if got := describe(w.again(plain)); got != "copy INBOX; own joe@here.test" {
			t.Errorf("the next day: %s", got)
		}
	})
}

// A panic in a script is contained: the message is where it would be without one.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	watch := guardtest.New()
	w.Guard = &watch.Guard
	w.Boxes = func(context.Context, string) ([]sifting.Box, error) { panic("boom") }
	s := w.run(`require ["mailbox","fileinto"]; if mailboxexists "x" { discard; }`, plain)
	if got := describe(s); got != "copy INBOX; own joe@here.test" || !watch.Saw(guard.Sieve, 1) {
		t.Errorf("%s, %v", got, watch.Seen())
	}
}

// SIV-1: the detail of an address is what stands behind the separator of its domain.
func TestSeparator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	here, err := dns.ParseName("here.test")
	must(t, err)
	must(t, w.Accounts.SetRules(t.Context(), here, account.LocalRules{Separators: "-"}))
	script := `require ["envelope","subaddress","fileinto","variables"]; if envelope :detail :matches "to" "*" { fileinto "d-${1}"; }`
	must(t, w.Scripts.Put(t.Context(), "joe", "main", script))
	must(t, w.Scripts.Activate(t.Context(), "joe", "main"))
	for to, want := range map[string]string{"joe-lists@here.test": "copy d-lists", "joe@here.test": "copy INBOX"} {
		job := &delivery.Job{Envelope: delivery.Envelope{Sender: "a@b.test"}}
		s, err := w.Sift(t.Context(), job, delivery.Copy{Address: to, Account: "joe", Mailbox: "INBOX"}, delivery.Bytes(plain))
		must(t, err)
		if got := describe(s); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}

// SIV-2: what a script would do, rule by rule.
func TestTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	report, err := w.Try(t.Context(), sifting.Trial{Account: "joe", From: "ann@far.test", To: "joe@here.test", Content: delivery.Bytes(plain),
		Script: "require [\"fileinto\",\"vacation\"];\nif header :contains \"subject\" \"hell\" {\n  fileinto \"Nowhere\";\n}\nvacation \"gone\";\nredirect \"bob@far.test\";"})
	must(t, err)
	want := `line 2   header: true, of "hello"
line 3     fileinto
line 5   vacation
line 6   redirect
It would
  file it into Nowhere; there is no such mailbox now: then it goes to INBOX
  send it on to bob@far.test, with the sender <SRS0=`
	if got := report.String(); !strings.HasPrefix(got, want) || !strings.Contains(got, "answer it: ann@far.test") {
		t.Errorf("%s", got)
	}
	report, err = w.Try(t.Context(), sifting.Trial{Account: "joe", From: "ann@far.test", To: "joe@here.test", Content: delivery.Bytes(plain), Junk: true, Script: `redirect "bob@far.test";`})
	must(t, err)
	if got := strings.Join(report.Does, "; "); !strings.HasPrefix(got, "not send it on: it is junk; file it into Junk") { // SIV-3
		t.Errorf("junk: %s", got)
	}
}
