package trends

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/tlsrpt"
)

func TestVerified(t *testing.T) {
	t.Parallel()
	ok, no, tls := &delivery.Verification{}, &delivery.Verification{Failure: &delivery.TLSFailure{}}, &delivery.TLSFacts{}
	for _, tt := range []struct {
		s    delivery.Session
		want string
	}{
		{delivery.Session{}, none}, {delivery.Session{TLS: tls}, unverified}, {delivery.Session{TLS: tls, PKIX: ok}, byPKIX}, {delivery.Session{TLS: tls, DANE: ok, PKIX: no}, byDANE},
		{delivery.Session{TLS: tls, DANE: ok, PKIX: ok}, both}, {delivery.Session{TLS: tls, DANE: no}, unverified}, {delivery.Session{TLS: tls, TLSFailure: &delivery.TLSFailure{}}, failed},
	} {
		if got := Verified(&tt.s); got != tt.want || !slices.Contains(Verifications(), got) {
			t.Errorf("%+v: %s, want %s", tt.s, got, tt.want)
		}
	}
	for d, want := range map[time.Duration]string{0: "10 seconds", 10 * time.Second: "10 seconds", 11 * time.Second: "a minute", time.Hour: "an hour", 25 * time.Hour: longer} {
		if got := Within(d); got != want || !slices.Contains(Spans(), got) {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// ADM-3: an hour's sums add up over flushes, gauges are as they were last, and what could not be written is not lost.
func TestRecorder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, now, waiting, trouble := t.Context(), time.Unix(1.7e9, 0).UTC().Truncate(time.Hour), int64(3), error(nil)
		r := &Recorder{DB: db, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler), Look: func(context.Context) ([]Measure, error) {
			return []Measure{{Queue, "waiting", waiting}}, trouble
		}}
		job := &delivery.Job{Envelope: delivery.Envelope{Accepted: now}}
		res := &delivery.Result{Ended: now.Add(time.Second), Recipients: []delivery.RecipientResult{{Outcome: delivery.Delivered}, {Outcome: delivery.Deferred}},
			Visits: []delivery.Visit{{Sessions: []delivery.Session{{}, {Greeted: true, TLSFailure: &delivery.TLSFailure{Type: tlsrpt.CertificateExpired}}, {Greeted: true}, {Greeted: true, Repeat: true}}}}}
		r.Attempted(job, res)
		trouble = errors.New("away")
		if err := r.Flush(ctx); !errors.Is(err, trouble) {
			t.Error(err)
		}
		trouble = nil
		if err := r.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		r.Attempted(job, res)
		waiting, now = 5, now.Add(flushEvery)
		if all, err := r.Points(ctx, now); err != nil || len(all) != 5 || all[2].Kind != Queue || all[2].N != 3 || all[0].N != 2 {
			t.Errorf("before the next flush: %+v, %v", all, err)
		}
		if err := r.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		all, err := r.Points(ctx, now)
		if err != nil {
			t.Fatal(err)
		}
		now = now.Truncate(time.Hour)
		want := []Point{{now, Measure{Failures, string(tlsrpt.CertificateExpired), 2}}, {now, Measure{Latency, "10 seconds", 2}}, {now, Measure{Queue, "waiting", 5}}, {now, Measure{Sessions, failed, 2}}, {now, Measure{Sessions, none, 2}}}
		if len(all) != len(want) {
			t.Fatalf("%+v", all)
		}
		for i, w := range want {
			if g := all[i]; g.Measure != w.Measure || !g.Hour.Equal(w.Hour) {
				t.Errorf("%+v, want %+v", g, w)
			}
		}
		now = now.Add(32 * 24 * time.Hour)
		if err := r.Tidy(ctx); err != nil {
			t.Fatal(err)
		}
		if all, err := r.Points(ctx, now.Add(-keepFor*2)); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
	})
}
