package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/desk"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/server"
	"waxwing/internal/setup"
)

// AddDomain begins to host a domain, and says what to publish.
func (o *Opened) AddDomain(ctx context.Context, d dns.Name, w io.Writer) error {
	if err := o.Accounts.AddDomain(ctx, d); err != nil {
		return err
	}
	plan, err := server.PlanDNS(ctx, o.Options, o.Store, d)
	if err != nil {
		return fmt.Errorf("%s is hosted now, but what to publish cannot be told: %w", d, err)
	}
	fmt.Fprintf(w, "%s is hosted now. Publish, from the top:\n\n%s\n", d, dnsrecords.Snippet(plan.Records(), d))
	if len(plan.Domains) > 0 && len(plan.Domains[0].DKIM) == 0 {
		fmt.Fprintf(w, "It has no key for DKIM yet, so that its mail goes unsigned: \"waxwing dkim add %s\" makes one.\n\n", d)
	}
	return nil
}

// CheckDomain looks at what DNS has for a domain.
func (o *Opened) CheckDomain(ctx context.Context, d dns.Name) (s dnscheck.Shown, err error) {
	check, err := server.CheckingDNS(o.Options, o.Store)
	if err != nil {
		return s, err
	}
	found, err := check.Domain(ctx, d)
	return dnscheck.NewShown(d, found), err
}

// RemoveDomain hosts it no more.
func (o *Opened) RemoveDomain(ctx context.Context, d dns.Name) error {
	err := o.Accounts.RemoveDomain(ctx, d)
	if errors.Is(err, accounts.ErrInUse) {
		return fmt.Errorf("%w: remove its addresses first; \"waxwing address list\" shows them", err)
	}
	return err
}

// Leaving are the facts of what would break without a domain.
func (o *Opened) Leaving(ctx context.Context, d dns.Name) (setup.Leaving, error) {
	return desk.Leaving(ctx, o.Config, o.Store, d)
}

// Leave says what would break, and does it where nothing does or it is wanted.
func Leave(w io.Writer, breaks []string, yes bool, do func() error) error {
	for _, b := range breaks {
		if _, err := fmt.Fprintf(w, "- %s\n", b); err != nil {
			return err
		}
	}
	if len(breaks) > 0 && !yes {
		return fmt.Errorf("nothing was done, since this would break; with --yes it is done")
	}
	return do()
}
