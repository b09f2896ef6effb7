package tlsresult

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/tlsrpt"
)

func save(t *testing.T, s *store.Store, at time.Time, obs ...delivery.Observation) {
	t.Helper()
	if err := s.Write(context.Background(), func(tx *store.Tx) error { return Save(tx, at, obs) }); err != nil {
		t.Fatal(err)
	}
}

func rows(t *testing.T, s *store.Store, day int64, f Filter) []Row {
	t.Helper()
	var out []Row
	err := s.Read(context.Background(), func(tx *store.Tx) error {
		var err error
		out, err = Rows(tx, day, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range out {
		if err := (&tlsrpt.Report{Policies: []tlsrpt.PolicyResult{r.Policy()}}).Check(); err != nil {
			t.Errorf("row does not add up: %v", err)
		}
	}
	return out
}

func failed(reasons ...string) delivery.Observation {
	o := delivery.Observation{RecipientDomain: example, Type: tlsrpt.PolicySTS, PolicyDomain: example, Strings: []string{"a"}, Failed: 1}
	for _, r := range reasons {
		o.Details = append(o.Details, delivery.Detail{Type: tlsrpt.ValidationFailure, Reason: r, Count: 1})
	}
	return o
}

func success() delivery.Observation {
	o := failed()
	o.OK, o.Failed = 1, 0
	return o
}

// RPT-23: the extended DNS error behind a failure is kept as a value, all of its range.
func TestSaveExtendedErrors(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for _, ede := range []uint16{0, 6, 65535} {
			o := failed("dns-bogus")
			o.RecipientDomain = dns.MustParse(fmt.Sprintf("d%d.test", ede))
			o.Details[0].EDE, o.Details[0].Info = ede, "ede-7: not ours"
			save(t, s, at, o)
			got := rows(t, s, Day(at), Filter{Domain: o.RecipientDomain.ASCII()})
			if len(got) != 1 || len(got[0].Details) != 1 || got[0].Details[0] != o.Details[0] {
				t.Errorf("%d: %+v", ede, got)
			}
		}
	})
}

func TestSave(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC)
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		report := success()
		report.ReportOnly = true
		other := success()
		other.Strings = []string{"b"}
		save(t, s, at, success(), failed("x", "y"), report, other)
		save(t, s, at, failed("x"), success())
		save(t, s, at.Add(time.Second), success()) // the next UTC day
		got := rows(t, s, Day(at), Filter{Domain: "example.org"})
		if len(got) != 2 || got[0].OK+got[1].OK != 4 || got[0].OKMail+got[1].OKMail != 3 || got[0].Failed+got[1].Failed != 2 {
			t.Fatalf("got %+v", got)
		}
		for _, r := range got {
			if r.Failed == 2 && (len(r.Details) != 2 || r.Details[0].Reason != "x" || r.Details[0].Count != 2) {
				t.Errorf("details %+v", r.Details)
			}
		}
		if next := rows(t, s, Day(at)+1, Filter{}); len(next) != 1 || next[0].OK != 1 {
			t.Errorf("next day: %+v", next)
		}
	})
}

// RPT-1: at most 100 distinct details, the rest folded, strings cut; what a peer
// says is stored whatever it is.
func TestSaveBounds(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for i := range 130 {
			o := failed(fmt.Sprintf("r%d", i), fmt.Sprintf("s%d", i))
			o.Details[0].HELO = "bad\x00\xff" + strings.Repeat("é", 300)
			save(t, s, at, o)
		}
		got := rows(t, s, Day(at), Filter{})
		if len(got) != 1 || got[0].Failed != 130 || len(got[0].Details) != maxDetails+1 {
			t.Fatalf("%d rows: %+v", len(got), got)
		}
		last := got[0].Details[maxDetails]
		if last.Reason != "too-many-details" || last.Count < 1 || last.Count > 130 {
			t.Errorf("folded: %+v", last)
		}
		if !s.Postgres() && last.Count != 80 { // 50 sessions found room for both of their details
			t.Errorf("%d sessions folded, want 80", last.Count)
		}
		for _, d := range got[0].Details {
			if len(d.HELO) > maxText || strings.ContainsRune(d.HELO, 0) {
				t.Errorf("HELO of %d octets", len(d.HELO))
			}
		}
	})
}

func TestSaveConcurrently(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				o := success()
				o.Strings = []string{"b"}
				obs := []delivery.Observation{failed("x"), o}
				if i%2 == 0 {
					obs[0], obs[1] = obs[1], obs[0]
				}
				if err := s.Write(context.Background(), func(tx *store.Tx) error { return Save(tx, at, obs) }); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := rows(t, s, Day(at), Filter{})
		if len(got) != 2 || got[0].OK+got[1].OK != 20 || got[0].Failed+got[1].Failed != 20 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	res := &delivery.Result{Transport: "direct", Visits: []delivery.Visit{{
		Plan: delivery.Plan{Host: host(mx1), Reports: []delivery.Policy{none()}}, Sessions: []delivery.Session{session(nil)}}}}
	send := false
	r := Recorder{Now: func() time.Time { return at }, Send: func(string) bool { return send }}
	for _, want := range []int{0, 1} { // RPT-3: tlsrpt.send = false records nothing
		if err := s.Write(context.Background(), func(tx *store.Tx) error { return r.Record(tx, job(), res) }); err != nil {
			t.Fatal(err)
		}
		if got := rows(t, s, Day(at), Filter{}); len(got) != want {
			t.Errorf("send %v: %d rows", send, len(got))
		}
		send = true
	}
}

func TestDay(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	zone := time.FixedZone("", 5*3600)
	if Day(midnight.In(zone)) != Day(midnight.Add(-1))+1 || !Start(Day(midnight.Add(23*time.Hour))).Equal(midnight) {
		t.Error("a day is a UTC day")
	}
}
