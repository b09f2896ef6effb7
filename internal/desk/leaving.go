package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/resolver"
	"waxwing/internal/setup"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/stspublish"
)

// mxPatience is how long the MX records of a domain that is to go are looked for.
const mxPatience = 10 * time.Second

// Leaving finds out what hangs on a domain (SET-4).
func Leaving(ctx context.Context, cfg *config.Config, db *store.Store, d dns.Name) (l setup.Leaving, err error) {
	if l, err = Hanging(ctx, cfg, db, d); err != nil {
		return l, err
	}
	l.MX, l.MXUnseen = LeadsHere(ctx, cfg, d)
	return l, nil
}

// Hanging is Leaving without a look at DNS.
func Hanging(ctx context.Context, cfg *config.Config, db *store.Store, d dns.Name) (l setup.Leaving, err error) {
	l.Domain = d
	acc := &accounts.Store{DB: db}
	hosted, err := acc.IsHosted(ctx, d)
	if err == nil && !hosted {
		err = fmt.Errorf("domain %s: %w", d.Unicode(), accounts.ErrNotHosted)
	}
	if err != nil {
		return l, err
	}
	all, err := acc.Addresses(ctx)
	if err != nil {
		return l, err
	}
	in, elsewhere := map[string]bool{}, map[string]bool{}
	for _, a := range all {
		if strings.HasSuffix(a.Address, "@"+d.ASCII()) {
			l.Addresses, in[a.Account] = append(l.Addresses, a.Address), true
		} else {
			elsewhere[a.Account] = true
		}
	}
	for name := range in {
		if !elsewhere[name] {
			l.Homeless = append(l.Homeless, name)
		}
	}
	slices.Sort(l.Homeless)
	keys, err := (&signing.Service{Store: db}).Keys(ctx, d)
	if err != nil {
		return l, err
	}
	for _, k := range keys {
		if k.State == signing.Active {
			l.Keys++
		}
	}
	l.Reporter = l.Keys > 0 && cfg.TLSRPT.Send && cfg.Hostname.Under(d)
	policy, err := (&stspublish.Service{Store: db}).Get(ctx, d)
	switch {
	case err == nil:
		l.Policy = policy.Policy.Mode
	case !errors.Is(err, stspublish.ErrNone):
		return l, err
	}
	return l, nil
}

// LeadsHere reports that the MX records of a domain name this server.
func LeadsHere(ctx context.Context, cfg *config.Config, d dns.Name) (here bool, unseen string) {
	resolver, err := resolver.New(cfg, datadir.Anchors(cfg))
	if err != nil {
		return false, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, mxPatience)
	defer cancel()
	mx, err := resolver.LookupMX(ctx, d)
	if err != nil {
		var e *dns.Error
		if errors.As(err, &e) {
			return false, string(e.Word())
		}
		return false, err.Error()
	}
	return slices.ContainsFunc(mx.Records, func(m dns.MX) bool { return m.Host == cfg.Hostname }), ""
}
