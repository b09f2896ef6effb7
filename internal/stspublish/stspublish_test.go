package stspublish

import (
	"errors"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/mtasts"
)

func policy(mode mtasts.Mode, mx ...string) *mtasts.Policy {
	p := &mtasts.Policy{Mode: mode, MaxAge: 24 * time.Hour}
	for _, m := range mx {
		rest, wild := strings.CutPrefix(m, "*.")
		p.MX = append(p.MX, mtasts.Pattern{Wildcard: wild, Name: dns.MustParse(rest)})
	}
	return p
}

// TestCheck (STS-11): what MX records name must be listed, unless mode is none.
func TestCheck(t *testing.T) {
	t.Parallel()
	d := dns.MustParse("example.test")
	mx := func(hosts ...string) (out []dns.MX) {
		for _, h := range hosts {
			out = append(out, dns.MX{Host: dns.MustParse(h)})
		}
		return out
	}
	for name, c := range map[string]struct {
		p    *mtasts.Policy
		mx   []dns.MX
		want string // part of the error; "": none
	}{
		"listed":              {policy(mtasts.ModeEnforce, "mx.example.test"), mx("mx.example.test"), ""},
		"wildcard":            {policy(mtasts.ModeTesting, "*.example.test"), mx("a.example.test", "b.example.test"), ""},
		"one missing":         {policy(mtasts.ModeEnforce, "a.example.test"), mx("a.example.test", "b.example.test"), "b.example.test"},
		"wildcard too deep":   {policy(mtasts.ModeEnforce, "*.example.test"), mx("a.b.example.test"), "a.b.example.test"},
		"none restricts not":  {policy(mtasts.ModeNone), mx("x.example.test"), ""},
		"nothing listed":      {policy(mtasts.ModeEnforce), mx("x.example.test"), "at least one"},
		"no MX, itself":       {policy(mtasts.ModeEnforce, "example.test"), nil, ""},
		"no MX, itself not":   {policy(mtasts.ModeEnforce, "mx.example.test"), nil, "has no MX records"},
		"null MX":             {policy(mtasts.ModeEnforce, "mx.example.test"), []dns.MX{{Null: true}}, ""},
		"more listed than MX": {policy(mtasts.ModeEnforce, "a.example.test", "b.example.test"), mx("a.example.test"), ""},
	} {
		err := Check(d, c.p, c.mx)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestNextID(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id := ""
	for range 5 { // five changes within a second
		next := nextID(id, now)
		if next <= id || len(next) > 32 {
			t.Fatalf("after %q comes %q", id, next)
		}
		if _, err := mtasts.ParseRecord([]string{Published{ID: next}.Record()}); err != nil {
			t.Fatalf("%q: %v", next, err)
		}
		id = next
	}
	if later := nextID(id, now.Add(time.Second)); later <= id {
		t.Errorf("a second after %q comes %q", id, later)
	}
}

// TestService (STS-11): the id changes when and only when the text does; an
// unsafe switch is refused and changes nothing; a failed lookup refuses.
func TestService(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		zones := dnstest.Serve(t, dnstest.Zone{Name: "example.test", Records: []string{"@ MX 10 mx1", "@ MX 20 mx2", "mx1 A 192.0.2.1", "mx2 A 192.0.2.2"}})
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		s := &Service{Store: db, DNS: dnstest.Client(t, zones), Now: func() time.Time { return now }}
		d := dns.MustParse("example.test")
		if _, err := s.Get(t.Context(), d); !errors.Is(err, ErrNone) {
			t.Fatalf("before: %v", err)
		}
		first, err := s.Set(t.Context(), d, policy(mtasts.ModeTesting, "*.example.test"))
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
		if same, err := s.Set(t.Context(), d, policy(mtasts.ModeTesting, "*.example.test")); err != nil || same.ID != first.ID {
			t.Errorf("the same text again: id %q → %q, %v", first.ID, same.ID, err)
		}
		if _, err := s.Set(t.Context(), d, policy(mtasts.ModeEnforce, "mx1.example.test")); err == nil || !strings.Contains(err.Error(), "mx2.example.test") {
			t.Errorf("a policy without mx2: %v", err)
		}
		if still, err := s.Get(t.Context(), d); err != nil || still.ID != first.ID || still.Policy.Mode != mtasts.ModeTesting {
			t.Errorf("after a refusal: %+v, %v", still, err)
		}
		changed, err := s.Set(t.Context(), d, policy(mtasts.ModeEnforce, "mx1.example.test", "mx2.example.test"))
		if err != nil || changed.ID <= first.ID || changed.Policy.Mode != mtasts.ModeEnforce {
			t.Errorf("a change: %+v, %v", changed, err)
		}
		zones.Fail(dnstest.Failure{Name: "fails.test"})
		if _, err := s.Set(t.Context(), dns.MustParse("fails.test"), policy(mtasts.ModeEnforce, "mx.fails.test")); err == nil {
			t.Error("published although the MX records could not be seen")
		}
		if err := s.Remove(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(t.Context(), d); !errors.Is(err, ErrNone) {
			t.Errorf("removed twice: %v", err)
		}
	})
}
