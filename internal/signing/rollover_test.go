package signing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/keystage"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// TestTurns (CRT-3): the table of what a key in a roll-over does, whether its record belongs
// in DNS, and what it awaits.
func TestTurns(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	shown := Sight{First: ago(day), Found: Shown}
	seen := func(d time.Duration) keystage.Sight {
		return keystage.Sight{Last: now, Since: ago(d), TTL: time.Hour, Some: true, Set: true}
	}
	for _, tt := range []struct {
		about string
		key   Key
		want  string // stage, published, what is awaited, until
	}{
		{"in use", Key{State: Active, Sight: shown}, "signing true  "},
		{"next, not published", Key{State: Active, Turn: Turn{Replaces: "old"}}, "waiting true await-publish "},
		{"next, the resolver shows it", Key{State: Active, Sight: shown, Turn: Turn{Replaces: "old"}}, "waiting true await-publish "},
		{"next, some servers show it", Key{State: Active, Turn: Turn{Replaces: "old", Seen: keystage.Sight{Last: now, Some: true}}}, "waiting true await-servers "},
		{"next, all servers show it", Key{State: Active, Sight: shown, Turn: Turn{Replaces: "old", Seen: seen(time.Hour)}}, "waiting true await-caches 2026-05-01 13:00"},
		{"next, for long enough", Key{State: Active, Sight: shown, Turn: Turn{Replaces: "old", Seen: seen(2 * time.Hour)}}, "waiting true promote "},
		{"next, the last look is old", Key{State: Active, Sight: shown, Turn: Turn{Replaces: "old", Seen: keystage.Sight{Last: ago(2 * time.Hour), Since: ago(day), TTL: time.Hour, Some: true}}}, "waiting true await-look "},
		{"next, told to sign", Key{State: Active, Told: true, Turn: Turn{Replaces: "old"}}, "signing true await-publish "},
		{"took over, and no resolver was asked", Key{State: Active, Turn: Turn{Replaces: "old", Promoted: ago(day)}}, "signing true  "},
		{"took over", Key{State: Active, Sight: shown, Turn: Turn{Replaces: "old", Promoted: ago(day)}}, "signing true  "},
		{"old, its record stays", Key{State: Retired, Turn: Turn{Retired: ago(13 * day), Seen: seen(20 * day)}}, "retired true await-old 2026-05-02 12:00"},
		{"old, its record may go", Key{State: Retired, Turn: Turn{Retired: ago(14 * day), Dropped: now}}, "retired false  "},
		{"retired before there were roll-overs", Key{State: Retired}, "retired false  "},
	} {
		word, until := tt.key.Awaited(nil, now)
		end := ""
		if !until.IsZero() {
			end = until.Format("2006-01-02 15:04")
		}
		if got := fmt.Sprint(tt.key.Stage(), " ", tt.key.Published(), " ", word, " ", end); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.about, got, tt.want)
		}
	}
}

// rolling is a roller over servers and a clock that a test sets.
type rolling struct {
	*Roller
	now    time.Time
	shows  map[string][][]string // by name: what each server has
	broken error
}

func newRolling(db *store.Store) *rolling {
	r := &rolling{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), shows: map[string][][]string{}}
	clock := func() time.Time { return r.now }
	r.Roller = &Roller{Keys: &Service{Store: db, Now: clock}, Now: clock, Log: slog.New(slog.DiscardHandler),
		Managed: func(d dns.Name) bool { return d.ASCII() == "example.org" },
		Servers: func(_ context.Context, name dns.Name) ([][]string, time.Duration, error) {
			return r.shows[name.ASCII()], time.Hour, r.broken
		}}
	return r
}

// stages are the keys of a domain with what they do.
func (r *rolling) stages(t *testing.T, domain dns.Name) string {
	t.Helper()
	all, err := r.Keys.Keys(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, k := range all {
		out = append(out, fmt.Sprintf("%s %s %v", k.Selector, k.Stage(), k.Published()))
	}
	return strings.Join(out, ", ")
}

// after lets time pass, with a step every ten minutes.
func (r *rolling) after(t *testing.T, d time.Duration) {
	t.Helper()
	for end := r.now.Add(d); r.now.Before(end); r.now = r.now.Add(10 * time.Minute) {
		if err := r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRollover (CRT-3): the next key signs once every server has shown its record for long
// enough, the old one stops then, its record stays for 14 days; looks that miss a server
// move nothing, and begin no wait.
func TestRollover(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		r := newRolling(db)
		org := dns.MustParse("example.org")
		signer, err := MakeKey("ed25519")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Keys.Rollover(t.Context(), org, ""); !errors.Is(err, ErrNoKeys) {
			t.Errorf("without a key: %v", err)
		}
		if _, err := r.Keys.AddKey(t.Context(), NewKey{Domain: org, Selector: "s1", Signer: signer, Now: true}); err != nil {
			t.Fatal(err)
		}
		made, err := r.Keys.Rollover(t.Context(), org, "")
		if err != nil || len(made) != 1 || made[0].Selector != "2026-05-ed25519" || made[0].Turn.Replaces != "s1" {
			t.Fatalf("made %+v, %v", made, err)
		}
		if _, err := r.Keys.Rollover(t.Context(), org, ""); !errors.Is(err, ErrRolling) {
			t.Errorf("a second one: %v", err)
		}
		name, next := made[0].Selector+"._domainkey.example.org", []string{made[0].Record}
		wait := "2026-05-ed25519 waiting true, s1 signing true"
		r.after(t, 24*time.Hour)
		r.shows[name] = [][]string{next, nil}
		r.after(t, 24*time.Hour)
		if got := r.stages(t, org); got != wait {
			t.Errorf("one server lacks the record: %s", got)
		}
		r.shows[name] = [][]string{next, next}
		r.after(t, 100*time.Minute)
		r.shows[name] = [][]string{next, nil} // a secondary loses it: the wait begins again
		r.after(t, 10*time.Minute)
		r.shows[name] = [][]string{next, next}
		r.after(t, 110*time.Minute)
		r.broken = errors.New("timeout")
		r.after(t, 24*time.Hour)
		if got := r.stages(t, org); got != wait {
			t.Errorf("not for long enough: %s", got)
		}
		r.broken = nil
		r.after(t, 10*time.Minute)
		if got, want := r.stages(t, org), "2026-05-ed25519 signing true, s1 retired true"; got != want {
			t.Errorf("its turn has come: %s, want %s", got, want)
		}
		keys, err := r.Keys.Active(t.Context(), org)
		if err != nil || len(keys) != 1 || keys[0].Selector != "2026-05-ed25519" {
			t.Errorf("signs with %+v, %v", keys, err)
		}
		r.after(t, 13*24*time.Hour)
		if got := r.stages(t, org); !strings.HasSuffix(got, "s1 retired true") {
			t.Errorf("13 days later: %s", got)
		}
		r.after(t, 2*24*time.Hour)
		if got := r.stages(t, org); !strings.HasSuffix(got, "s1 retired false") {
			t.Errorf("15 days later: %s", got)
		}
	})
}

// TestRollByAge: a roll-over begins by itself once a key is old, where this server publishes
// the records, and not again while one is under way.
func TestRollByAge(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		r := newRolling(db)
		r.After = 30 * 24 * time.Hour
		org, net := dns.MustParse("example.org"), dns.MustParse("example.net")
		for _, d := range []dns.Name{org, net} {
			signer, err := MakeKey("ed25519")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Keys.AddKey(t.Context(), NewKey{Domain: d, Selector: "s1", Signer: signer, Now: true}); err != nil {
				t.Fatal(err)
			}
		}
		r.now = r.now.Add(29 * 24 * time.Hour)
		r.after(t, time.Hour)
		if got := r.stages(t, org); got != "s1 signing true" {
			t.Errorf("too early: %s", got)
		}
		r.now = r.now.Add(24 * time.Hour)
		r.after(t, time.Hour)
		if got := r.stages(t, org); got != "2026-05-ed25519 waiting true, s1 signing true" {
			t.Errorf("after 30 days: %s", got)
		}
		if got := r.stages(t, net); got != "s1 signing true" {
			t.Errorf("a domain whose records others publish: %s", got)
		}
		rows, err := r.Keys.Rows(t.Context(), org)
		if err != nil || !slices.ContainsFunc(rows, func(x Row) bool { return x.Replaces == "s1" && x.Awaits == "await-publish" }) {
			t.Errorf("listed as %+v, %v", rows, err)
		}
	})
}
