package server

import (
	"context"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/store"
)

// DNS-W: a change for the worse of a hosted domain's DNS is mailed to the postmaster,
// once, with its cure.
func TestDNSWatchMails(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX)
	cfg.TLSRPT.Alerts = true
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s, err := newServer(t.Context(), Options{Config: cfg, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Accounts.AddDomain(t.Context(), dns.MustParse("example.test")); err != nil {
		t.Fatal(err)
	}
	var found []dnsfinding.Finding
	s.DNSWatch.Check = func(context.Context, dns.Name) ([]dnsfinding.Finding, error) { return found, nil }
	told := func(d time.Duration) (n int) {
		t.Helper()
		for end := now.Add(d); now.Before(end); now = now.Add(5 * time.Minute) {
			if err := s.DNSWatch.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		err := s.Store.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM told WHERE what LIKE 'dns %'`).Scan(&n) })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := told(24 * time.Hour); n != 0 {
		t.Errorf("told %d times of nothing", n)
	}
	found = []dnsfinding.Finding{dnsfinding.Explain(dnsfinding.Finding{Level: dnsfinding.Fault, Word: dnsfinding.TLSAMismatch, Subject: "mx.example.test (192.0.2.1)"})}
	if n := told(48 * time.Hour); n != 1 {
		t.Errorf("told %d times of a change for the worse", n)
	}
	var bodies int
	err = s.Store.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*) FROM recipients WHERE address = 'postmaster@example.test'`).Scan(&bodies)
	})
	if err != nil || bodies != 1 {
		t.Errorf("%d mails to the postmaster, %v", bodies, err)
	}
}
