package posture

import (
	"context"
	"fmt"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/mtasts"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func session(change func(*delivery.Session)) delivery.Visit {
	s := delivery.Session{Connected: true, Greeted: true, TLS: &delivery.TLSFacts{Version: "TLS1.3"}}
	if change != nil {
		change(&s)
	}
	return delivery.Visit{Sessions: []delivery.Session{s}}
}

func notOffered(s *delivery.Session) {
	s.TLS, s.TLSFailure = nil, &delivery.TLSFailure{Word: reason.StartTLSNotOffered}
}

func words(f Facts) string {
	s := ""
	for _, x := range f.fields() {
		s += string(x.Word) + " "
	}
	return s[:len(s)-1]
}

// SES-10: starttls, mta-sts, dnssec, dane, requiretls.
func TestObserve(t *testing.T) {
	t.Parallel()
	d := delivery.RecipientDomain{Name: dns.MustParse("a.test")}
	host := func(s delivery.DANEState) delivery.Host { return delivery.Host{DANE: delivery.DANE{State: s}} }
	for _, tt := range []struct {
		name   string
		change func(*delivery.Result)
		want   string
	}{
		{"plain host, no TLS", func(r *delivery.Result) { r.Visits = []delivery.Visit{session(notOffered)} }, "no no no no "},
		{"TLS", func(r *delivery.Result) { r.Visits = []delivery.Visit{session(nil)} }, "yes no no no no"},
		{"TLS and REQUIRETLS", func(r *delivery.Result) {
			r.Visits = []delivery.Visit{session(func(s *delivery.Session) { s.RequireTLS = true })}
		}, "yes no no no yes"},
		{"handshake failed, then plaintext", func(r *delivery.Result) {
			a := session(func(s *delivery.Session) { s.TLS, s.TLSFailure = nil, &delivery.TLSFailure{Word: "tls-handshake"} })
			b := session(func(s *delivery.Session) { s.TLS, s.Plaintext = nil, true })
			a.Sessions = append(a.Sessions, b.Sessions...)
			r.Visits = []delivery.Visit{a}
		}, "broken no no no "},
		{"two hosts differ", func(r *delivery.Result) {
			r.Visits = []delivery.Visit{session(nil), session(notOffered)}
		}, "partly no no no no"},
		{"nobody answered", func(r *delivery.Result) {
			r.Visits = []delivery.Visit{{Sessions: []delivery.Session{{}}}}
		}, " no no no "},
		{"DANE", func(r *delivery.Result) {
			r.Destination.MXSecure, r.Destination.Hosts = true, []delivery.Host{host(delivery.DANEUsable)}
		}, " no yes yes "},
		{"DANE on one host of two", func(r *delivery.Result) {
			r.Destination.Hosts = []delivery.Host{host(delivery.DANEUsable), host(delivery.DANENone)}
		}, " no no partly "},
		{"DANE unusable", func(r *delivery.Result) {
			r.Destination.Hosts = []delivery.Host{host(delivery.DANEUnusable)}
		}, " no no broken "},
		{"DANE lookup failed", func(r *delivery.Result) {
			r.Destination.Hosts = []delivery.Host{host(delivery.DANEFailed)}
		}, " no no  "},
		{"DANE does not match", func(r *delivery.Result) {
			r.Destination.Hosts = []delivery.Host{host(delivery.DANEUsable)}
			r.Visits = []delivery.Visit{session(func(s *delivery.Session) {
				s.TLS, s.TLSFailure = nil, &delivery.TLSFailure{Word: "dane-no-match"}
				s.DANE = &delivery.Verification{Failure: s.TLSFailure}
			})}
		}, "yes no no broken "},
		{"the certificate is untrusted", func(r *delivery.Result) {
			r.Visits = []delivery.Visit{session(func(s *delivery.Session) {
				s.TLS, s.TLSFailure = nil, &delivery.TLSFailure{Word: "cert-unknown-authority"}
				s.PKIX = &delivery.Verification{Failure: s.TLSFailure}
			})}
		}, "yes no no no "},
		{"the session is weak, and its certificate matches nothing either", func(r *delivery.Result) {
			r.Visits = []delivery.Visit{session(func(s *delivery.Session) {
				s.TLS, s.TLSFailure = nil, &delivery.TLSFailure{Word: "tls-weak"}
				s.DANE = &delivery.Verification{Failure: &delivery.TLSFailure{Word: "dane-no-match"}}
			})}
		}, "broken no no broken "},
		{"the connection was lost at STARTTLS", func(r *delivery.Result) {
			r.Visits = []delivery.Visit{session(func(s *delivery.Session) {
				s.TLS, s.TLSFailure = nil, &delivery.TLSFailure{Word: reason.StartTLSLost}
			})}
		}, " no no no "},
		{"MTA-STS", func(r *delivery.Result) { r.Finding.Policy = &mtasts.Policy{Mode: mtasts.ModeEnforce} }, " enforce no no "},
		{"MTA-STS fails, the old policy holds", func(r *delivery.Result) {
			r.Finding = delivery.Finding{Policy: &mtasts.Policy{Mode: mtasts.ModeTesting}, Failure: &mtasts.Error{}}
		}, " testing no no "},
		{"MTA-STS broken", func(r *delivery.Result) { r.Finding.Failure = &mtasts.Error{Word: reason.STSFetch} }, " broken no no "},
		{"MTA-STS lookup failed", func(r *delivery.Result) { r.Finding.Failure, r.Finding.Defer = &mtasts.Error{}, true }, "  no no "},
		{"bogus", func(r *delivery.Result) {
			r.Destination.Hosts, r.Destination.Fail = nil, &delivery.Failure{Word: "dns-bogus"}
		}, "  broken  "},
		{"lookup failed", func(r *delivery.Result) {
			r.Destination.Hosts, r.Destination.Fail = nil, &delivery.Failure{Word: "dns-timeout"}
		}, "    "},
		{"local", func(r *delivery.Result) { r.Transport = "local" }, "    "},
		{"relayed", func(r *delivery.Result) { r.Transport = "relay"; r.Visits = []delivery.Visit{session(nil)} }, "    "},
	} {
		r := delivery.Result{Transport: "direct", Ended: noon,
			Destination: delivery.Destination{Domain: d, Hosts: []delivery.Host{host(delivery.DANENone)}}}
		tt.change(&r)
		f := Observe(&r)
		if words(f) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, words(f), tt.want)
		}
		for _, x := range f.fields() {
			if (x.Word == Unknown) != x.At.IsZero() {
				t.Errorf("%s: word %q at %v", tt.name, x.Word, x.At)
			}
		}
	}
}

// What an attempt did not show stays as it was, with its own time.
func TestMerge(t *testing.T) {
	t.Parallel()
	old := Facts{StartTLS: Fact{Yes, noon}, DANE: Fact{No, noon}}
	f := old.Merge(Facts{DANE: Fact{Yes, noon.Add(time.Minute)}})
	if f.StartTLS != old.StartTLS || f.DANE.Word != Yes || !f.Seen().Equal(noon.Add(time.Minute)) {
		t.Errorf("%+v", f)
	}
	if g := f.Merge(old); g != f {
		t.Errorf("an older fact won: %+v", g)
	}
}

func attempt(at time.Time, change func(*delivery.Session)) *delivery.Result {
	return &delivery.Result{Transport: "direct", Ended: at, Visits: []delivery.Visit{session(change)},
		Destination: delivery.Destination{Hosts: []delivery.Host{{}}}}
}

func job(domain, account string) *delivery.Job {
	d := delivery.RecipientDomain{Name: dns.MustParse(domain)}
	return &delivery.Job{Domain: d, Envelope: delivery.Envelope{Account: account}}
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, now := t.Context(), noon
		r := &Recorder{Store: s, Now: func() time.Time { return now }}
		flush := func() {
			t.Helper()
			if err := r.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		r.Note(job("a.test", "ann"), attempt(noon, nil))
		flush()
		// Nothing new within the hour: nothing is written.
		r.Note(job("a.test", "ann"), attempt(noon.Add(time.Minute), nil))
		if len(r.pending) != 0 {
			t.Errorf("unchanged facts wait to be written: %v", r.pending)
		}
		r.Note(job("a.test", "ann"), attempt(noon.Add(time.Hour), nil))
		if len(r.pending) != 1 {
			t.Error("after an hour the time is written again")
		}
		// A change is written at once; another account's row is its own.
		r.Note(job("a.test", "bob"), attempt(noon.Add(2*time.Hour), notOffered))
		flush()
		a := dns.MustParse("a.test")
		for account, want := range map[string]Word{"ann": Yes, "bob": No} {
			if f, err := r.Account(ctx, a, account); err != nil || f.StartTLS.Word != want {
				t.Errorf("%s: %+v %v", account, f, err)
			}
		}
		f, err := r.Domain(ctx, a)
		if err != nil || f.StartTLS.Word != No || !f.StartTLS.At.Equal(noon.Add(2*time.Hour)) || f.RequireTLS.Word != No || !f.RequireTLS.At.Equal(noon.Add(time.Hour)) {
			t.Errorf("%+v %v", f, err)
		}
		// Another machine's newer facts stay.
		other := &Recorder{Store: s}
		other.Note(job("a.test", "bob"), attempt(noon, nil))
		if err := other.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if f, _ := r.Account(ctx, a, "bob"); f.StartTLS.Word != No {
			t.Errorf("%+v", f)
		}
		now = noon.Add(keep + 90*time.Minute)
		if err := r.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if f, _ := r.Account(ctx, a, "ann"); f.Known() {
			t.Errorf("after half a year: %+v", f)
		}
		if f, _ := r.Account(ctx, a, "bob"); !f.Known() {
			t.Error("bob's is not that old")
		}
	})
}

// Memory is bounded, what goes beyond is counted, and a store that fails is
// nobody's trouble.
func TestRecorderBounds(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	lost := 0
	r := &Recorder{Store: s, Dropped: func(n int) { lost += n }}
	for i := range maxPending + 10 {
		r.Note(job(fmt.Sprintf("d%d.test", i), ""), attempt(noon, nil))
	}
	r.Note(job("d1.test", ""), attempt(noon.Add(time.Minute), notOffered)) // waits already: merged
	if len(r.pending) != maxPending || r.dropped != 10 || r.pending[key{"d1.test", ""}].StartTLS.Word != No {
		t.Errorf("%d pending, %d dropped", len(r.pending), r.dropped)
	}
	s.Close()
	for i := range patience {
		if err := r.Flush(t.Context()); err == nil {
			t.Error("a closed store took facts")
		}
		want := maxPending
		if i == patience-1 {
			want -= maxBatch
		}
		if len(r.pending) != want {
			t.Errorf("%d pending after %d failures, want %d", len(r.pending), i+1, want)
		}
	}
	if lost != 10+maxBatch {
		t.Errorf("told of %d lost", lost)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Error(err)
	}
}

// A burst of new domains is written whole: nothing is dropped (the recorder once
// kept a thousand), and no row is lost between the statements of a batch.
func TestBurst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const n = 2*maxBatch + rows + 3
		lost := 0
		// The pause would be an hour: a whole batch does not wait for it, and what is
		// left is written at the end.
		r := &Recorder{Store: s, Pause: time.Hour, Dropped: func(n int) { lost += n }}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		for i := range n {
			r.Note(job(fmt.Sprintf("d%d.test", i), "ann"), attempt(noon, nil))
		}
		count := func() (n int) {
			t.Helper()
			if err := s.Read(t.Context(), func(tx *store.Tx) error {
				return tx.Row(`SELECT count(*) FROM posture WHERE starttls = 'yes'`).Scan(&n)
			}); err != nil {
				t.Fatal(err)
			}
			return n
		}
		for end := time.Now().Add(2 * time.Minute); count() < maxBatch; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("a whole batch was not written")
			}
		}
		cancel()
		if err := <-ended; err != nil || count() != n || lost != 0 {
			t.Errorf("%d of %d rows, %d lost, %v", count(), n, lost, err)
		}
	})
}

// Facts of two machines merge word by word, by their times, whoever writes last,
// and whether they go in a statement for many rows or for one.
func TestMergeInStore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		early, late := &Recorder{Store: s}, &Recorder{Store: s}
		for i := range rows + 1 { // one statement for many, one for one
			d := fmt.Sprintf("d%02d.test", i)
			late.Note(job(d, "ann"), attempt(noon.Add(time.Hour), notOffered)) // STARTTLS no; nothing about REQUIRETLS
			early.Note(job(d, "ann"), attempt(noon, nil))                      // STARTTLS yes, REQUIRETLS no
		}
		for _, r := range []*Recorder{late, early} {
			if err := r.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i := range rows + 1 {
			f, err := early.Account(t.Context(), dns.MustParse(fmt.Sprintf("d%02d.test", i)), "ann")
			if err != nil || f.StartTLS != (Fact{No, noon.Add(time.Hour)}) || f.RequireTLS != (Fact{No, noon}) {
				t.Fatalf("d%02d: %+v %v", i, f, err)
			}
		}
		n := 0
		if err := s.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`SELECT count(*) FROM posture WHERE seen = ?`, store.Time(noon.Add(time.Hour))).Scan(&n)
		}); err != nil || n != rows+1 {
			t.Errorf("%d rows seen last when they were, %v", n, err)
		}
	})
}

// Run writes by itself, and what is left when it is told to stop.
func TestRun(t *testing.T) {
	t.Parallel()
	r := &Recorder{Store: storetest.Open(t), Pause: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	a := dns.MustParse("a.test")
	r.Note(job("a.test", ""), attempt(noon, nil))
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		if f, err := r.Domain(t.Context(), a); err != nil || f.Known() {
			break
		}
		if time.Now().After(end) {
			t.Fatal("not written")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if f, err := r.Domain(t.Context(), a); err != nil || f.StartTLS.Word != Yes {
		t.Errorf("%+v %v", f, err)
	}
}
