package signing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

var (
	org = dns.MustParse("example.org")
	net = dns.MustParse("example.net")
	at  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	msg = []byte("From: a@example.org\r\nTLS-Report-Domain: example.net\r\n\r\nbody\r\n")
)

func clock() time.Time { return at }

// published is a resolver that knows the records of the keys given.
type published struct {
	dns.Resolver
	keys []Key
}

func (p published) LookupTXT(_ context.Context, name dns.Name) (dns.Answer[string], error) {
	a := dns.Answer[string]{Name: name, Security: dns.Secure}
	for _, k := range p.keys {
		if name.ASCII() == k.Selector+"._domainkey."+k.Domain.ASCII() {
			a.Records = append(a.Records, k.Record)
		}
	}
	return a, nil
}

func add(t *testing.T, s *Service, domain dns.Name, selector string, services ...string) Key {
	t.Helper()
	signer, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	k, err := s.AddKey(t.Context(), NewKey{Domain: domain, Selector: selector, Signer: signer, Services: services, Now: true})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signatures signs and verifies, and returns the selectors that passed.
func signatures(t *testing.T, s *Service, keys []Key) []string {
	t.Helper()
	field, err := s.Sign(t.Context(), org, msg, []string{"TLS-Report-Domain"})
	if err != nil {
		t.Fatal(err)
	}
	vs, err := dkim.Verify(t.Context(), published{keys: keys}, append(field, msg...), dkim.Limits{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	var passed []string
	for _, v := range vs {
		if v.Result != dkim.Pass || !v.Signed.Equal(at) {
			t.Errorf("%+v", v)
		}
		if !strings.Contains(strings.Join(v.SignedHeaders, " "), "tls-report-domain") {
			t.Errorf("signed headers %v (RPT-9)", v.SignedHeaders)
		}
		passed = append(passed, v.Selector)
	}
	return passed
}

// AUT-7: a domain without a key signs with that of the nearest domain above; RSA comes first.
func TestNearestKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := &Service{Store: st, Now: clock}
		add(t, s, org, "a")
		signer, err := MakeKey("rsa")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddKey(t.Context(), NewKey{Domain: org, Selector: "z", Signer: signer, Now: true}); err != nil {
			t.Fatal(err)
		}
		own := dns.MustParse("own.sub." + org.ASCII())
		add(t, s, own, "mine")
		for from, want := range map[string]string{org.ASCII(): "z a", "sub." + org.ASCII(): "z a", own.ASCII(): "mine", "x." + own.ASCII(): "mine"} {
			fields, err := s.Sign(t.Context(), dns.MustParse(from), msg, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, part := range strings.Split(string(fields), "; s=")[1:] {
				selector, _, _ := strings.Cut(part, ";")
				got = append(got, selector)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s is signed with %q, want %s", from, got, want)
			}
		}
		if _, err := s.Sign(t.Context(), net, msg, nil); !errors.Is(err, ErrNoKeys) {
			t.Errorf("no key anywhere: %v", err)
		}
	})
}

func TestLifeOfAKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := &Service{Store: st, Now: clock}
		other := &Service{Store: st, Now: clock} // another process on the same store
		if _, err := other.Sign(t.Context(), org, msg, nil); !errors.Is(err, ErrNoKeys) {
			t.Fatalf("without keys: %v", err)
		}
		keys := []Key{add(t, s, org, "A1"), add(t, s, org, "b", "tlsrpt"), add(t, s, net, "c")}
		if keys[0].Selector != "a1" || keys[0].State != Active || keys[0].Algorithm != dkim.Ed25519SHA256 || !strings.Contains(keys[1].Record, "s=tlsrpt") {
			t.Errorf("keys %+v", keys)
		}
		if got := fmt.Sprint(signatures(t, other, keys)); got != "[a1 b]" {
			t.Errorf("signed with %s", got)
		}
		// What one process changes the other sees at once.
		if err := s.SetState(t.Context(), org, "A1", Retired); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(signatures(t, other, keys)); got != "[b]" {
			t.Errorf("after retiring a1: signed with %s", got)
		}
		if err := s.RemoveKey(t.Context(), org, "b"); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Sign(t.Context(), org, msg, nil); !errors.Is(err, ErrNoKeys) {
			t.Errorf("after removing b: %v", err)
		}
		list, err := other.Keys(t.Context(), org)
		if err != nil || len(list) != 1 || list[0].Selector != "a1" || list[0].State != Retired || !list[0].Created.Equal(at) || list[0].Record != keys[0].Record {
			t.Errorf("list %+v, %v", list, err)
		}
		if all, err := other.Keys(t.Context(), dns.Name{}); err != nil || len(all) != 2 {
			t.Errorf("all %+v, %v", all, err)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := &Service{Store: st}
		add(t, s, org, "a")
		signer, err := dkim.GenerateEd25519()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddKey(t.Context(), NewKey{Domain: org, Selector: "A", Signer: signer}); !errors.Is(err, ErrExists) {
			t.Errorf("the same selector: %v", err)
		}
		for name, call := range map[string]func() error{
			"selector": func() error {
				_, err := s.AddKey(t.Context(), NewKey{Domain: org, Selector: "a b", Signer: signer})
				return err
			},
			"domain": func() error { _, err := s.AddKey(t.Context(), NewKey{Selector: "b", Signer: signer}); return err },
			"service": func() error {
				_, err := s.AddKey(t.Context(), NewKey{Domain: org, Selector: "b", Signer: signer, Services: []string{"mail"}})
				return err
			},
			"state": func() error { return s.SetState(t.Context(), org, "a", "asleep") },
		} {
			if call() == nil {
				t.Errorf("a wrong %s is taken", name)
			}
		}
		if err := s.SetState(t.Context(), org, "none", Retired); !errors.Is(err, ErrUnknown) {
			t.Errorf("unknown key: %v", err)
		}
		if err := s.RemoveKey(t.Context(), net, "a"); !errors.Is(err, ErrUnknown) {
			t.Errorf("unknown key: %v", err)
		}
	})
}

// A damaged row stops neither the other keys nor hides itself.
func TestDamagedKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		var log bytes.Buffer
		s := &Service{Store: st, Now: clock, Log: slog.New(slog.NewTextHandler(&log, nil))}
		keys := []Key{add(t, s, org, "a"), add(t, s, org, "b")}
		err := st.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec(`UPDATE dkim_key SET private_key = ? WHERE selector = ?`, "secret rubbish", "a"); err != nil {
				return err
			}
			return tx.Raise(Area)
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(signatures(t, s, keys)); got != "[b]" {
			t.Errorf("signed with %s", got)
		}
		if out := log.String(); !strings.Contains(out, "DKIM key a of example.org") || strings.Contains(out, "rubbish") {
			t.Errorf("log %s", out)
		}
		if _, err := s.Keys(t.Context(), org); err == nil || strings.Contains(err.Error(), "rubbish") {
			t.Errorf("listing: %v", err)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	s := &Service{Store: storetest.Open(b)}
	signer, err := dkim.GenerateEd25519()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.AddKey(b.Context(), NewKey{Domain: org, Selector: "a", Signer: signer, Now: true}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(b.Context(), org, msg, nil); err != nil {
			b.Fatal(err)
		}
	}
}
