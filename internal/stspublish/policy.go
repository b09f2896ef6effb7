package stspublish

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/mtasts"
)

// NewPolicy makes a policy of what an operator typed: hosts with commas between; without
// any, the mail goes to host. Its errors begin with what is wrong: mode, max-age or mx.
func NewPolicy(mode string, maxAge time.Duration, hosts string, host dns.Name) (*mtasts.Policy, error) {
	p := &mtasts.Policy{Mode: mtasts.Mode(mode), MaxAge: maxAge}
	if !slices.Contains([]mtasts.Mode{mtasts.ModeTesting, mtasts.ModeEnforce, mtasts.ModeNone}, p.Mode) {
		return nil, fmt.Errorf("mode is testing, enforce or none, not %q", mode)
	}
	if maxAge < 24*time.Hour || maxAge > mtasts.MaxAge {
		return nil, fmt.Errorf("max-age is between a day and %d days: shorter ones protect hardly anybody (RFC 8461 §3.2)", int(mtasts.MaxAge/(24*time.Hour)))
	}
	if hosts == "" {
		p.MX = []mtasts.Pattern{{Name: host}}
		return p, nil
	}
	for h := range strings.SplitSeq(hosts, ",") {
		rest, wildcard := strings.CutPrefix(strings.TrimSpace(h), "*.")
		name, err := dns.ParseName(rest)
		if err != nil {
			return nil, fmt.Errorf("mx: %w", err)
		}
		p.MX = append(p.MX, mtasts.Pattern{Wildcard: wildcard, Name: name})
	}
	return p, nil
}

// Announce says whether the record of a policy may be published (RFC 8461 §3.1, CRT-3):
// only once strangers are served just that policy. Whoever fetched an old one under a new
// id would keep it until max_age is over. served is what they get. It is pure.
func Announce(p Published, served string) error {
	if served == p.Text {
		return nil
	}
	return fmt.Errorf("https://mta-sts.%s/.well-known/mta-sts.txt has another policy than the one published here", p.Domain)
}
