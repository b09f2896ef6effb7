package keystage

import (
	"fmt"
	"testing"
	"time"
)

// TestWants: the host wants a certificate for each key in use, for the next one once a
// roll-over is asked for and its record seen, and other names for the first key in use.
func TestWants(t *testing.T) {
	t.Parallel()
	now := start.Add(1000 * time.Hour)
	roll := func(alg string, next Sight, wanted bool) Roll {
		return Roll{Current: Pair{Key: Key{ID: alg + "1", Promoted: start}}, Next: &Pair{Key{ID: alg + "2", Announced: start}, next}, Wanted: wanted}
	}
	seen, ripe := Sight{Since: now.Add(-time.Hour)}, Sight{Since: now.Add(-100 * time.Hour)}
	for name, tt := range map[string]struct {
		rolls []Roll
		want  string
	}{
		"no keys":      {nil, "[]"},
		"two kinds":    {[]Roll{roll("e", Sight{}, true), roll("r", Sight{}, false)}, "[{mx e1 false} {mx r1 false} {sts e1 false}]"},
		"not asked":    {[]Roll{roll("e", ripe, false)}, "[{mx e1 false} {sts e1 false}]"},
		"seen":         {[]Roll{roll("e", seen, true)}, "[{mx e1 false} {mx e2 true} {sts e1 false}]"},
		"ripe":         {[]Roll{roll("e", ripe, true)}, "[{mx e1 false} {mx e2 true} {sts e1 false}]"},
		"without next": {[]Roll{{Current: Pair{Key: Key{ID: "e1"}}, Wanted: true}}, "[{mx e1 false} {sts e1 false}]"},
	} {
		if got := fmt.Sprint(Wants("mx", []string{"mx", "sts"}, tt.rolls, HostKeys(), now)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// A host with a certificate of files wants none for itself.
func TestWantsForNamesOnly(t *testing.T) {
	t.Parallel()
	rolls := []Roll{{Current: Pair{Key: Key{ID: "e1"}}}, {Current: Pair{Key: Key{ID: "r1"}}}}
	if got := fmt.Sprint(Wants("", []string{"sts"}, rolls, HostKeys(), start)); got != "[{sts e1 false}]" {
		t.Error(got)
	}
}

// TestTakes: without an authority no certificate is waited for.
func TestTakes(t *testing.T) {
	t.Parallel()
	for _, promote := range []bool{false, true} {
		for _, authority := range []bool{false, true} {
			for _, certified := range []bool{false, true} {
				if got, want := Takes(Decision{Promote: promote}, authority, certified), promote && (certified || !authority); got != want {
					t.Errorf("promote %v, authority %v, certified %v: %v", promote, authority, certified, got)
				}
			}
		}
	}
}
