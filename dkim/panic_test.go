package dkim

import (
	"context"
	"testing"

	"waxwing/dns"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

type brokenResolver struct{ dns.Resolver }

func (brokenResolver) LookupTXT(context.Context, dns.Name) (dns.Answer[string], error) { panic("TXT") }

// OPS-9: keys are fetched on goroutines of their own; a panic reaches who verifies.
func TestPanicInFetchReachesCaller(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	sigs := []*signature{{}, {}}
	for _, s := range sigs {
		s.Domain, s.Selector = dns.MustParse("a.test"), "s"
	}
	watch.Do(guard.SMTP, func() { fetch(t.Context(), brokenResolver{}, nil, sigs) })
	if !watch.Saw(guard.SMTP, 1) {
		t.Errorf("counted: %v", watch.Seen())
	}
}
