package security

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"waxwing/dns"
	"waxwing/internal/cli"
	"waxwing/internal/dnspublish"
	"waxwing/internal/publication"
	"waxwing/internal/server"
	"waxwing/internal/upkeep"
)

// applyFlags are how "dns apply" is to go.
type applyFlags struct {
	dry      bool
	takeOver []string
	wait     time.Duration
}

func (a *applyFlags) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&a.dry, "dry-run", false, "say what would be done, and do nothing")
	fs.StringArrayVar(&a.takeOver, "take-over", nil, "a record set, `NAME/TYPE`, that others made or changed and that is to be Waxwing's; may be repeated")
	fs.DurationVar(&a.wait, "wait", 20*time.Second, "how long to wait until every server shows what was written, a `time` such as 1m")
}

// busyTime is how long a command waits while the server publishes.
const busyTime = 30 * time.Second

// dnsApply publishes the records of a domain and this host, or of all domains (CRT-5).
func (p *program) dnsApply(ctx context.Context, o *upkeep.Opened, args []string, f applyFlags) error {
	order := dnspublish.Order{DryRun: f.dry}
	var err error
	if order.Domain, err = oneDomain(args); err != nil {
		return err
	}
	for _, t := range f.takeOver {
		k, err := parseSet(t)
		if err != nil {
			return err
		}
		order.TakeOver = append(order.TakeOver, k)
	}
	if err := hostedOrNone(ctx, o, order.Domain); err != nil {
		return err
	}
	s, err := server.Publishing(o.Options, o.Store)
	if err != nil {
		return err
	}
	items, err := applied(ctx, s, order)
	if err != nil {
		return err
	}
	after, err := s.Await(ctx, items, f.wait)
	if err == nil && !f.dry {
		err = s.Changed(ctx)
	}
	if err != nil {
		return err
	}
	r := dnspublish.NewReport(items, after, f.dry)
	if err := p.Prose(r, r.Print); err != nil {
		return err
	}
	if r.Error != "" {
		return fmt.Errorf("not everything was written: %s", r.Error)
	}
	return nil
}

// hostedOrNone is nil for a hosted domain, and for the zero Name.
func hostedOrNone(ctx context.Context, o *upkeep.Opened, domain dns.Name) error {
	if domain.IsZero() {
		return nil
	}
	hosted, err := o.Accounts.IsHosted(ctx, domain)
	if err == nil && !hosted {
		err = fmt.Errorf("%s is not hosted here: \"waxwing domain list\" shows the domains that are", domain)
	}
	return err
}

// applied carries an order out, after the server where that is at it.
func applied(ctx context.Context, s *dnspublish.Service, order dnspublish.Order) ([]*dnspublish.Item, error) {
	for end := time.Now().Add(busyTime); ; {
		items, err := s.Do(ctx, order)
		if !errors.Is(err, dnspublish.ErrBusy) || time.Now().After(end) {
			return items, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// parseSet reads a record set as it is typed: a name, a slash and a type.
func parseSet(s string) (k publication.Key, err error) {
	name, kind, ok := strings.Cut(s, "/")
	if k.Name, err = dns.ParseLax(strings.TrimSuffix(name, ".")); err != nil || !ok || kind == "" {
		return k, cli.Usagef("%q is no record set like \"example.org/TXT\"", s)
	}
	k.Type = strings.ToUpper(kind)
	return k, nil
}

func publishedRecords(ctx context.Context, o *upkeep.Opened, _ []string) ([]dnspublish.Published, error) {
	return (&dnspublish.Service{DB: o.Store}).Published(ctx)
}

func releaseSet(ctx context.Context, o *upkeep.Opened, k publication.Key) error {
	s, err := server.Publishing(o.Options, o.Store)
	if err != nil {
		return err
	}
	if err := s.Release(ctx, k); err != nil {
		return err
	}
	return s.Changed(ctx)
}
