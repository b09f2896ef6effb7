package signing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// TestStage (SET-6) over the whole input space: a key signs if it is active and was
// told to, or DNS has shown its record once; what the last lookup showed is no matter.
func TestStage(t *testing.T) {
	t.Parallel()
	for _, state := range []State{Active, Retired} {
		for _, told := range []bool{false, true} {
			for _, first := range []time.Time{{}, at} {
				for _, found := range []Found{NotLooked, Shown, Missing, Other, Unknown} {
					want := Waiting
					switch {
					case state == Retired:
						want = Ended
					case told || !first.IsZero():
						want = Signing
					}
					for _, tries := range []int{0, 1, 1000} {
						if got := stage(state, told, Sight{First: first, Found: found, Looked: at, Tries: tries}); got != want {
							t.Errorf("%s, told %v, first %v, found %s: %s, want %s", state, told, first, found, got, want)
						}
					}
				}
			}
		}
	}
}

// TestAfter: sequences of lookups. First is set once and never unset; pauses grow up
// to their bound, an hour for a record that is awaited and a day for one that was seen.
func TestAfter(t *testing.T) {
	t.Parallel()
	every := []Found{Shown, Missing, Other, Unknown}
	var walk func(s Sight, seen bool, depth int)
	walk = func(s Sight, seen bool, depth int) {
		for _, f := range every {
			now := at.Add(time.Duration(depth) * time.Hour)
			n := s.after(f, "why", now)
			shown := seen || f == Shown
			pause := n.Next.Sub(now)
			switch {
			case n.First.IsZero() == shown, seen && !n.First.Equal(s.First):
				t.Errorf("%+v then %s: first %v", s, f, n.First)
			case n.Found != f, !n.Looked.Equal(now), (n.Tries == 0) != (f == Shown):
				t.Errorf("%+v then %s: %+v", s, f, n)
			case pause < time.Minute, pause > longestWait && !shown, pause > dayPause:
				t.Errorf("%+v then %s: next after %s", s, f, pause)
			}
			if depth < 5 {
				walk(n, shown, depth+1)
			}
		}
	}
	walk(Sight{}, false, 0)
	s := Sight{}
	var pauses []time.Duration
	for range 2000 {
		s = s.after(Missing, "", at)
		pauses = append(pauses, s.Next.Sub(at))
	}
	if !slices.IsSorted(pauses) || pauses[0] != time.Minute || pauses[1] != 2*time.Minute || pauses[1999] != time.Hour {
		t.Errorf("pauses %v…", pauses[:10])
	}
}

// zone is a resolver whose answer for every name can be set.
type zone struct {
	dns.Resolver
	records []string
	err     error
	asked   []string
}

func (z *zone) LookupTXT(_ context.Context, name dns.Name) (dns.Answer[string], error) {
	z.asked = append(z.asked, name.ASCII())
	return dns.Answer[string]{Name: name, Records: z.records}, z.err
}

// TestWatcher (SET-6): a key waits for its record, signs from when it is there, and
// goes on whatever becomes of DNS.
func TestWatcher(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		now := at
		clock := func() time.Time { return now }
		s, z := &Service{Store: st, Now: clock}, &zone{}
		w := &Watcher{Keys: s, DNS: z, Now: clock}
		signer, err := dkim.GenerateEd25519()
		if err != nil {
			t.Fatal(err)
		}
		k, err := s.AddKey(t.Context(), NewKey{Domain: org, Selector: "a", Signer: signer})
		if err != nil || k.Stage() != Waiting {
			t.Fatalf("%+v %v", k, err)
		}
		signs := func(when string, want bool, found Found) {
			t.Helper()
			if err := w.round(t.Context()); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			_, err := s.Sign(t.Context(), org, msg, nil)
			if err == nil != want || err != nil && !errors.Is(err, ErrNoKeys) {
				t.Errorf("%s: signing says %v, want %v", when, err, want)
			}
			keys, err := s.Keys(t.Context(), org)
			if err != nil || keys[0].Sight.Found != found || (keys[0].Stage() == Signing) != want {
				t.Errorf("%s: %+v %v", when, keys, err)
			}
		}
		signs("no record", false, Missing)
		asked := len(z.asked)
		signs("at once again: not yet due", false, Missing)
		if len(z.asked) != asked || z.asked[0] != "a._domainkey.example.org" {
			t.Errorf("asked for %v", z.asked)
		}
		now, z.records = now.Add(time.Hour), []string{"v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
		signs("another key's record", false, Other)
		now, z.records, z.err = now.Add(time.Hour), nil, &dns.Error{}
		signs("DNS fails", false, Unknown)
		now, z.records, z.err = now.Add(time.Hour), []string{k.Record}, nil
		signs("the record is there", true, Shown)
		for _, fault := range []struct {
			records []string
			err     error
			found   Found
		}{{nil, &dns.Error{}, Unknown}, {nil, nil, Missing}, {[]string{"v=DKIM1; p="}, nil, Other}, {nil, errors.New("\xff\x00" + strings.Repeat("x", 1000)), Unknown}} {
			now, z.records, z.err = now.Add(25*time.Hour), fault.records, fault.err
			signs("once shown, DNS fails", true, fault.found)
		}
		if err := s.SetState(t.Context(), org, "a", Retired); err != nil {
			t.Fatal(err)
		}
		asked, now = len(z.asked), now.Add(100*time.Hour)
		if err := w.round(t.Context()); err != nil || len(z.asked) != asked {
			t.Errorf("a retired key is looked for: %v %v", z.asked[asked:], err)
		}
	})
}

// TestToldAndClaimed: a key that was told to signs at once, and two machines make
// one lookup.
func TestToldAndClaimed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := &Service{Store: st, Now: clock}
		add(t, s, org, "told") // Now
		signer, _ := dkim.GenerateEd25519()
		if _, err := s.AddKey(t.Context(), NewKey{Domain: net, Selector: "later", Signer: signer}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign(t.Context(), net, msg, nil); !errors.Is(err, ErrNoKeys) {
			t.Errorf("before it was told: %v", err)
		}
		if err := s.Tell(t.Context(), net, "later"); err != nil {
			t.Fatal(err)
		}
		for _, d := range []dns.Name{org, net} {
			if _, err := s.Sign(t.Context(), d, msg, nil); err != nil {
				t.Errorf("%s: %v", d, err)
			}
		}
		if err := s.Tell(t.Context(), net, "none"); !errors.Is(err, ErrUnknown) {
			t.Errorf("a key that is not there: %v", err)
		}
		one, two := &Watcher{Keys: s, Now: clock}, &Watcher{Keys: s, Now: clock}
		d := due{domain: net.ASCII(), selector: "later"}
		first, err := one.claim(t.Context(), d)
		second, err2 := two.claim(t.Context(), d)
		if !first || second || err != nil || err2 != nil {
			t.Errorf("claimed %v %v, %v %v", first, second, err, err2)
		}
		// What another machine saw meanwhile is not unseen.
		keys, _ := s.Keys(t.Context(), net)
		shown, err := one.note(t.Context(), keys[0], Shown, "")
		if err != nil || shown.Sight.First.IsZero() {
			t.Fatal(err)
		}
		if _, err := two.note(t.Context(), keys[0], Missing, ""); err != nil {
			t.Fatal(err)
		}
		if keys, _ = s.Keys(t.Context(), net); keys[0].Sight.First.IsZero() {
			t.Error("a lookup that was slower made the key forget that DNS has shown it")
		}
	})
}
