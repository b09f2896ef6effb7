package handshakes

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// TestAfter holds the decision over its space: what was before, how many failures over how long,
// and whether it was told.
func TestAfter(t *testing.T) {
	t.Parallel()
	tells := 0
	for _, succeeded := range []time.Duration{0, time.Minute, remembered, remembered + 1} {
		for _, failing := range []time.Duration{0, 1, tellAfter - 1, tellAfter, 48 * time.Hour} {
			for failures := range tellFailures + 2 {
				for _, told := range []bool{false, true} {
					s := Standing{Failures: failures}
					if succeeded > 0 {
						s.Succeeded = noon.Add(-succeeded)
					}
					if failing > 0 {
						s.Failing = noon.Add(-failing)
					}
					if told {
						s.Told = noon.Add(-time.Minute)
					}
					if next, tell := s.after("", noon); tell || next != (Standing{Succeeded: noon}) {
						t.Fatalf("%+v: after a success %+v, told %v", s, next, tell)
					}
					next, tell := s.after("bad_certificate", noon)
					want := !told && succeeded > 0 && succeeded <= remembered && failures+1 >= tellFailures && failing >= tellAfter
					if tell != want || next.Succeeded != s.Succeeded || next.Failures != failures+1 || next.Alert != "bad_certificate" || next.Told.IsZero() != (!told && !want) {
						t.Fatalf("%+v: after a failure %+v, told %v, want %v", s, next, tell, want)
					}
					if again, twice := next.after("bad_certificate", noon.Add(time.Hour)); tell && (twice || again.Failing != next.Failing) {
						t.Fatalf("%+v: told twice", s)
					}
					if tell {
						tells++
					}
				}
			}
		}
	}
	if tells == 0 {
		t.Error("nobody is ever told")
	}
}

// TestAlert: what crypto/tls says becomes one of few words, of real handshakes too.
func TestAlert(t *testing.T) {
	t.Parallel()
	remote := func(n int) error { return &net.OpError{Op: "remote error", Err: tls.AlertError(n)} }
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{remote(42), "bad_certificate"},
		{remote(70), "protocol_version"},
		{remote(200), "unregistered"},
		{fmt.Errorf("read: %w", io.EOF), "closed"},
		{context.DeadlineExceeded, "timeout"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout"},
		{errors.New("tls: no cipher suite supported by both client and server"), "refused"},
		{&net.OpError{Op: "local error", Err: tls.AlertError(40)}, "refused"},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, "closed"},
	} {
		if got := Alert(tt.err); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
	server := func(say func(net.Conn)) error {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			say(theirs)
		}()
		defer ours.Close()
		return tls.Server(ours, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{}}}).HandshakeContext(t.Context())
	}
	if got := Alert(server(func(nc net.Conn) { io.WriteString(nc, "EHLO mail.far.test\r\n"); io.Copy(io.Discard, nc) })); got != "plaintext" {
		t.Errorf("SMTP in place of TLS: %q", got)
	}
	if got := Alert(server(func(nc net.Conn) {
		tls.Client(nc, &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true}).HandshakeContext(t.Context())
	})); got != "refused" {
		t.Errorf("too old a version: %q", got)
	}
	if got := Alert(server(func(net.Conn) {})); got != "closed" {
		t.Errorf("gone: %q", got)
	}
}

// INB-9: the operator is told once of a network that used to succeed, also by a server that was
// started anew meanwhile; of one that never has, nothing is remembered.
func TestWatch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := noon
		var told []Notice
		var failing error // of telling
		var log bytes.Buffer
		start := func() *Watch {
			return &Watch{DB: db, Machine: "mx.test", Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil)), Tell: func(_ context.Context, n Notice) error {
				told = append(told, n)
				return failing
			}}
		}
		step := func(w *Watch) {
			t.Helper()
			if err := w.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		known, stranger := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("198.51.100.7")
		w := start()
		w.Saw(known, "") // before the store is read
		w.Saw(stranger, "bad_certificate")
		step(w)
		if all, err := rows(t.Context(), db, ""); err != nil || len(all) != 1 || all[0].Network != "192.0.2.0/24" || all[0].Machine != "mx.test" || !all[0].Succeeded.Equal(noon) {
			t.Fatalf("%+v, %v", all, err)
		}
		now = now.Add(time.Hour)
		w.Saw(netip.MustParseAddr("192.0.2.8"), "bad_certificate")
		step(w)
		w = start()
		step(w)
		now = now.Add(tellAfter)
		for range 2 * tellFailures {
			w.Saw(known, "bad_certificate")
			w.Saw(stranger, "bad_certificate")
		}
		failing = errors.New("no time")
		step(w)
		if len(told) != 1 {
			t.Errorf("told %d times, want 1", len(told))
		}
		told, failing = nil, nil
		step(w)
		step(w)
		if len(told) != 1 || !strings.Contains(told[0].Subject, "of a network cannot begin TLS with mx.test") || !strings.Contains(told[0].Text, `"bad_certificate"`) || !strings.Contains(told[0].Text, "192.0.2.0/24: since 2026-05-04 13:00 (UTC) all have failed, 11 of them") {
			t.Errorf("told %+v", told)
		}
		if !strings.Contains(log.String(), "network=192.0.2.0/24") {
			t.Errorf("the log: %s", log.String())
		}
		bad, err := Failing(t.Context(), db)
		if err != nil || len(bad) != 1 || bad[0].Failures != 2*tellFailures+1 || bad[0].Told.IsZero() {
			t.Errorf("%+v, %v", bad, err)
		}
		now = now.Add(time.Minute)
		w.Saw(known, "")
		step(w)
		if bad, err := Failing(t.Context(), db); err != nil || len(bad) != 0 {
			t.Errorf("after a success %+v, %v", bad, err)
		}
		// What succeeds before the operator is told was no fault.
		now = now.Add(time.Hour)
		w.Saw(known, "bad_certificate")
		now = now.Add(tellAfter)
		for range tellFailures {
			w.Saw(known, "bad_certificate")
		}
		w.Saw(known, "")
		step(w)
		if len(told) != 1 {
			t.Errorf("told of what is over: %+v", told[1:])
		}
		now = now.Add(remembered + time.Hour)
		if err := w.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if all, err := rows(t.Context(), db, ""); err != nil || len(all) != 0 || len(w.known) != 0 {
			t.Errorf("after long %+v, %v", all, err)
		}
	})
}

// The result has one word; of clients that are no mail servers nothing is remembered.
func TestResult(t *testing.T) {
	t.Parallel()
	w := &Watch{Now: func() time.Time { return noon }}
	from := netip.MustParseAddr("192.0.2.7")
	if got := w.Result(from, nil, false); got != "ok" || len(w.known) != 0 {
		t.Errorf("a mail program: %q, %d remembered", got, len(w.known))
	}
	if got := w.Result(from, nil, true); got != "ok" || len(w.known) != 1 {
		t.Errorf("a mail server: %q, %d remembered", got, len(w.known))
	}
	if got := w.Result(from, io.EOF, true); got != "closed" || w.known[netip.MustParsePrefix("192.0.2.0/24")].Failures != 0 {
		t.Errorf("it goes away: %q, %+v", got, w.known)
	}
	if got := w.Result(from, errors.New("tls: no cipher suite supported by both client and server"), true); got != "refused" || w.known[netip.MustParsePrefix("192.0.2.0/24")].Failures != 1 {
		t.Errorf("it offers too little: %q, %+v", got, w.known)
	}
}

// One notice tells of several networks, and names some.
func TestNotice(t *testing.T) {
	t.Parallel()
	var failing []Row
	for i := range mostNamed + 2 {
		failing = append(failing, row(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(i), 0}), 24), "mx.test", Standing{Succeeded: noon, Failing: noon, Failures: 5, Alert: "unknown_ca"}))
	}
	n := notice(failing, noon)
	if !strings.Contains(n.Subject, "of 22 networks cannot") || strings.Count(n.Text, "unknown_ca\"") != mostNamed || !strings.Contains(n.Text, "  and 2 more\n") {
		t.Errorf("%+v", n)
	}
	if again := notice(failing[:1], noon.Add(6*time.Hour-1)); again.What != n.What {
		t.Errorf("%q and %q within six hours", n.What, again.What)
	}
	if later := notice(failing[:1], noon.Add(6*time.Hour)); later.What == n.What {
		t.Errorf("%q after six hours", later.What)
	}
}

// What cannot be written is written the next time; and no more networks are remembered than there is room for.
func TestBounds(t *testing.T) {
	t.Parallel()
	w := &Watch{DB: storetest.Open(t), Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)}
	for i := range maxNetworks + 10 {
		w.Saw(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), "")
	}
	if len(w.known) != maxNetworks {
		t.Errorf("%d networks are remembered, want %d", len(w.known), maxNetworks)
	}
	gone, cancel := context.WithCancel(t.Context())
	w.read = true
	cancel()
	if err := w.Step(gone); err == nil {
		t.Error("a step with no time succeeded")
	}
	if len(w.changed) != maxNetworks {
		t.Errorf("%d are yet to be written, want %d", len(w.changed), maxNetworks)
	}
	for range 2 {
		if err := errors.Join(w.Step(t.Context()), w.Tidy(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := rows(t.Context(), w.DB, ""); err != nil || len(all) != maxNetworks {
		t.Errorf("%d rows, want %d: %v", len(all), maxNetworks, err)
	}
	for n, s := range w.known { // all fail: they give way too
		s.Failing = noon
		w.known[n] = s
	}
	w.Saw(netip.MustParseAddr("192.0.2.1"), "")
	if len(w.known) != 1 {
		t.Errorf("%d networks are remembered, want 1", len(w.known))
	}
}
