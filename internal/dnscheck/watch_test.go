package dnscheck_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// watching is a watch over a clock and findings that a test sets.
type watching struct {
	*dnscheck.Watch
	now     time.Time
	domains []dns.Name
	found   []dnsfinding.Finding
	looks   int
	told    []dnscheck.Notice
	deaf    error
	counted map[dnsfinding.Level]int
}

func newWatching(db *store.Store) *watching {
	w := &watching{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), domains: []dns.Name{org}, counted: map[dnsfinding.Level]int{}}
	w.Watch = &dnscheck.Watch{DB: db, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
		Domains: func(context.Context) ([]dns.Name, error) { return w.domains, nil },
		Check: func(context.Context, dns.Name) ([]dnsfinding.Finding, error) {
			w.looks++
			return w.found, nil
		},
		Tell: func(_ context.Context, n dnscheck.Notice) error {
			if w.deaf != nil {
				return w.deaf
			}
			w.told = append(w.told, n)
			return nil
		},
		Count: func(l dnsfinding.Level, n int) { w.counted[l] = n }}
	return w
}

// after lets time pass, in steps as Run makes them, and returns how often was looked.
func (w *watching) after(t *testing.T, d time.Duration) int {
	t.Helper()
	before := w.looks
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(5 * time.Minute) {
		if err := w.Step(t.Context()); err != nil && !errors.Is(err, w.deaf) {
			t.Fatal(err)
		}
	}
	return w.looks - before
}

func finding(word dnsfinding.Word, level dnsfinding.Level, subject string) dnsfinding.Finding {
	return dnsfinding.Explain(dnsfinding.Finding{Word: word, Level: level, Subject: subject, Seen: "that", Wanted: "this"})
}

// TestWatch (DNS-W): each domain is checked twice a day; a change for the worse is told
// once, with its cure, after a second look; what was there from the start is not one.
func TestWatch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWatching(db)
		old := finding(dnsfinding.PTRMissing, dnsfinding.Fault, "192.0.2.1 PTR")
		w.found = []dnsfinding.Finding{old, {Level: dnsfinding.OK, Word: dnsfinding.Well, Subject: "example.org MX"}}
		if n := w.after(t, 10*24*time.Hour); n < 18 || n > 21 {
			t.Errorf("%d looks in ten days, want two a day", n)
		}
		if len(w.told) != 0 || w.counted[dnsfinding.Fault] != 1 {
			t.Errorf("told %v of what was there from the start, counted %v", w.told, w.counted)
		}

		bad := finding(dnsfinding.TLSAMismatch, dnsfinding.Fault, "mx.example.org (192.0.2.1)")
		w.found = append(w.found, bad)
		w.after(t, 14*time.Hour)
		if len(w.told) != 1 {
			t.Fatalf("told %d times of a change for the worse", len(w.told))
		}
		n := w.told[0]
		for _, want := range []string{"tlsa-mismatch", bad.Subject, "seen: that", "wanted: this", "cure: " + bad.Cure, "waxwing dns check example.org"} {
			if !strings.Contains(n.Text, want) {
				t.Errorf("%q is missing in %s", want, n.Text)
			}
		}
		if strings.Contains(n.Text, "PTR") || n.Domain != org || n.Subject != "DNS of example.org: tlsa-mismatch" {
			t.Errorf("told %+v", n)
		}
		w.after(t, 5*24*time.Hour)
		if len(w.told) != 1 || w.counted[dnsfinding.Fault] != 2 {
			t.Errorf("told %d times, counted %v", len(w.told), w.counted)
		}
		kept, err := dnscheck.Findings(t.Context(), db, "example.org")
		if err != nil || len(kept) != 2 || !slices.ContainsFunc(kept, func(k dnsfinding.Kept) bool {
			return k.Word == bad.Word && k.Told && k.Cure == bad.Cure && k.Looks > 5 && k.Seen == "that"
		}) {
			t.Errorf("kept %+v, %v", kept, err)
		}

		w.found = w.found[:1] // mended, and broken again
		w.after(t, 2*24*time.Hour)
		w.found = append(w.found, bad)
		w.after(t, 2*24*time.Hour)
		if len(w.told) != 2 || w.told[0].What == w.told[1].What {
			t.Errorf("told %d times of what came back", len(w.told))
		}

		w.domains = nil
		w.after(t, 10*time.Minute)
		kept, err = dnscheck.Findings(t.Context(), db, "example.org")
		if err != nil || len(kept) != 0 || w.counted[dnsfinding.Fault] != 0 {
			t.Errorf("of a domain that is not hosted any more: %v, %v, %v", kept, w.counted, err)
		}
	})
}

// What passes before the second look is not told of, and one who could not be told is
// told later, with the same name, so that nobody is told twice.
func TestWatchPatience(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWatching(db)
		w.after(t, 24*time.Hour)
		bad := finding(dnsfinding.Unreachable, dnsfinding.Fault, "mx.example.org (192.0.2.1)")
		w.found = []dnsfinding.Finding{bad}
		for before := w.looks; w.looks == before; {
			w.after(t, 5*time.Minute)
		}
		w.found = nil
		w.after(t, 24*time.Hour)
		if len(w.told) != 0 {
			t.Errorf("told of what was seen once: %v", w.told)
		}
		w.found, w.deaf = []dnsfinding.Finding{bad}, errors.New("the queue is away")
		w.after(t, 14*time.Hour)
		w.deaf = nil
		w.after(t, time.Hour)
		if len(w.told) != 1 {
			t.Errorf("told %d times after the queue was back", len(w.told))
		}
	})
}

// Two machines share the work: each check is made by one of them.
func TestWatchShared(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		a, b := newWatching(db), newWatching(db)
		for range 2 * 24 * 12 {
			for _, w := range []*watching{a, b} {
				if err := w.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.now = w.now.Add(5 * time.Minute)
			}
		}
		if n := a.looks + b.looks; n < 3 || n > 5 {
			t.Errorf("%d and %d looks in two days", a.looks, b.looks)
		}
	})
}
