package reportbox

import (
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// RPT-21, DMR-6: an address that is configured no more is taken for 30 days after its last hour,
// of its own sort alone, and never one that was not.
func TestAddresses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		of := func(noun, local string) *Addresses {
			return &Addresses{Noun: noun, Local: local, Store: s, Now: func() time.Time { return now }}
		}
		at := dns.MustParse("a.test")
		check := func(a *Addresses, local string, want bool) {
			t.Helper()
			if got, err := a.Takes(t.Context(), local, at); err != nil || got != want {
				t.Errorf("%s of %s: %v, %v", local, a.Noun, got, err)
			}
		}
		old := of("tlsrpt", "Old")
		for range 2 {
			if err := old.Note(t.Context()); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Hour)
		}
		next := of("tlsrpt", "new")
		check(next, "NEW", true)
		check(next, "old", true)
		check(next, "older", false)
		check(of("dmarc", "new"), "old", false)
		now = now.Add(30*24*time.Hour - time.Hour - time.Second)
		check(next, "old", true)
		now = now.Add(time.Second)
		check(next, "old", false)
		now = now.Add(time.Second)
		if err := next.Note(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(of("tlsrpt", "third"), "old", false)
		check(of("tlsrpt", "third"), "new", true)

		// One that a domain has for itself is that domain's alone, while it is configured and afterwards.
		own := of("tlsrpt", "third")
		own.Own = map[dns.Name]string{at: "Mine"}
		if err := own.Note(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := of("tlsrpt", "third")
		for _, a := range []*Addresses{own, after} {
			at = dns.MustParse("a.test")
			check(a, "mine", true)
			check(a, "third", true)
			at = dns.MustParse("b.test")
			check(a, "mine", false)
			check(a, "third", true)
		}
		at = dns.MustParse("a.test")
		now = now.Add(30 * 24 * time.Hour)
		check(after, "mine", false)
		check(own, "mine", true)
		if err := own.Note(t.Context()); err != nil { // what is configured is noted again once it was not for a while
			t.Fatal(err)
		}
		check(of("tlsrpt", "fourth"), "mine", true)
	})
}
