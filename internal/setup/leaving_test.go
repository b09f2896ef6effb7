package setup_test

import (
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/setup"
	"waxwing/mtasts"
)

// TestLeaving (SET-4): over all that may hang on a domain, each thing is told exactly where
// it is so, and a domain on which nothing hangs breaks nothing.
func TestLeaving(t *testing.T) {
	t.Parallel()
	for n := range 1 << 7 {
		bit := func(i int) bool { return n>>i&1 == 1 }
		l := setup.Leaving{Domain: dns.MustParse("example.org"), Reporter: bit(3), MX: bit(4)}
		if bit(0) {
			l.Addresses = []string{"a@example.org", "b@example.org", "c@example.org", "d@example.org", "e@example.org", "f@example.org"}
		}
		if bit(1) {
			l.Homeless = []string{"joe"}
		}
		if bit(2) {
			l.Keys, l.Policy = 2, mtasts.ModeEnforce
		}
		l.Going = bit(6)
		if bit(5) && !l.MX {
			l.MXUnseen = "dns-timeout"
		}
		removing, disabling := strings.Join(l.Removing(), "\n"), strings.Join(l.Disabling(), "\n")
		for word, want := range map[string]bool{"6 addresses (a@example.org, b@example.org, c@example.org, d@example.org, e@example.org, …)": bit(0), "joe": bit(1), "2 keys": bit(2),
			"mode enforce": bit(2), "tls-reports@example.org": bit(3), "lead here still": bit(4), "must be taken away first": bit(0) && !l.Going, "refused for good (550)": bit(0) && l.Going, "could not be seen (dns-timeout)": l.MXUnseen != ""} {
			if strings.Contains(removing, word) != want {
				t.Errorf("%+v: %q in %s", l, word, removing)
			}
		}
		if strings.Contains(disabling, "joe") != bit(1) || strings.Contains(disabling, "6 addresses") != bit(0) || (n&^(1<<6) == 0) != (removing == "") {
			t.Errorf("%+v: %s", l, disabling)
		}
	}
	one := setup.Leaving{Domain: dns.MustParse("example.org"), Addresses: []string{"a@example.org"}, Policy: mtasts.ModeNone}
	if got := one.Removing(); len(got) != 1 || !strings.HasPrefix(got[0], "1 address (a@example.org)") {
		t.Error(got)
	}
}
