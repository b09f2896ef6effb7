package publishing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/text"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

func domainField() pages.Field {
	return pages.Field{Name: "domain", Label: "Domain", Required: true, Complete: "off"}
}

func hidden() []pages.Field { return []pages.Field{{Name: "domain", Kind: "hidden"}} }

// onDomain is what a deed on one domain does; words are the rest of its command.
func (r *Room) onDomain(verb, came string, do func(context.Context, dns.Name, deeds.Values, *deeds.Done) error) func(context.Context, deeds.Values) (deeds.Done, error) {
	return func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		d, err := of(v.Text("domain"))
		if err != nil {
			return deeds.Done{}, err
		}
		done := deeds.Done{Command: deeds.Command(verb, d.ASCII()), Outcome: d.Unicode() + ": " + came, Back: r.to(d)}
		return done, do(ctx, d, v, &done)
	}
}

func (r *Room) addDomain() deeds.Deed {
	return deeds.Deed{Path: r.Path + "domains/add", Title: "Add a domain", Says: "Add", Command: "domain add DOMAIN --no-check", Fields: []pages.Field{domainField()},
		Do: r.onDomain("domain add --no-check", "it is hosted now; publish its records", func(ctx context.Context, d dns.Name, _ deeds.Values, _ *deeds.Done) error {
			return r.Accounts.AddDomain(ctx, d)
		})}
}

// setRules says how local parts are compared (ACC-2).
func (r *Room) setRules() deeds.Deed {
	return deeds.Deed{Path: r.Path + "domain/set", Title: "Change how its addresses are compared", Says: "Change", Command: "domain set DOMAIN --separators CHARACTERS --case counts|ignored",
		Fields: append(hidden(), pages.Field{Name: "separators", Label: "Characters behind which a detail begins", Value: "+", Help: "up to 5; empty: none"},
			pages.Field{Name: "case", Label: "Whether Joe and joe are two", Kind: "select", Options: []string{"ignored", "counts"}}),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			d, err := of(v.Text("domain"))
			if err != nil {
				return deeds.Done{}, err
			}
			rules, typed := account.LocalRules{Separators: v.Text("separators"), CaseSensitive: v.Get("case") == "counts"}, v.Text("separators")
			if typed == "" {
				typed = "none"
			}
			done := deeds.Done{Command: deeds.Command("domain set", d.ASCII(), deeds.Flag("separators", typed), deeds.Flag("case", v.Get("case"))), Outcome: "the rules of " + d.Unicode() + " are changed", Back: r.to(d)}
			return done, r.Accounts.SetRules(ctx, d, rules)
		}}
}

// leave does what takes a domain away where nothing would break by it or somebody has agreed to that; else it says
// what would, and asks again (SET-4).
func (r *Room) leave(d deeds.Deed, verb, came string, breaks func(context.Context, dns.Name) ([]string, error), do func(context.Context, dns.Name) error) deeds.Deed {
	d.Do = func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		name, err := of(v.Text("domain"))
		if err != nil {
			return deeds.Done{}, err
		}
		if !v.Yes("sure") {
			all, err := breaks(ctx, name)
			if err != nil {
				return deeds.Done{}, err
			}
			if len(all) > 0 {
				d.Sure = "Do it all the same."
				again := d.Form("domain", name.ASCII())
				again.Title = d.Says + " " + name.Unicode() + "?"
				again.Command += " --yes"
				var out []pages.Block
				for _, b := range all {
					out = append(out, pages.Notice{Tone: pages.Bad, What: "This would break", Cure: b})
				}
				return deeds.Done{Outcome: "Nothing is done yet", Blocks: append(out, again, pages.Prose{Link: r.to(name), Says: "Leave it as it is."})}, nil
			}
		}
		return deeds.Done{Command: deeds.Command(verb, name.ASCII(), map[bool]string{true: "--yes"}[v.Yes("sure")]), Outcome: name.Unicode() + " " + came, Back: r.Path + "domains"}, do(ctx, name)
	}
	return d
}

func (r *Room) disable() deeds.Deed {
	return r.leave(deeds.Deed{Path: r.Path + "domain/disable", Says: "Disable", Command: "domain disable DOMAIN", Fields: hidden()}, "domain disable", "is disabled: its mail is put off",
		func(ctx context.Context, d dns.Name) ([]string, error) {
			l, err := r.Leaving(ctx, d)
			return l.Disabling(), err
		}, func(ctx context.Context, d dns.Name) error { return r.Accounts.DisableDomain(ctx, d, account.PutOff) })
}

func (r *Room) enable() deeds.Deed {
	return deeds.Deed{Path: r.Path + "domain/enable", Says: "Enable", Command: "domain enable DOMAIN", Fields: hidden(),
		Do: r.onDomain("domain enable", "its mail is taken", func(ctx context.Context, d dns.Name, _ deeds.Values, _ *deeds.Done) error {
			return r.Accounts.SetDomainDisabled(ctx, d, false)
		})}
}

func (r *Room) remove() deeds.Deed {
	return r.leave(deeds.Deed{Path: r.Path + "domain/remove", Says: "Remove", Command: "domain remove DOMAIN", Fields: hidden()}, "domain remove", "is hosted no more",
		func(ctx context.Context, d dns.Name) ([]string, error) {
			l, err := r.Leaving(ctx, d)
			return l.Removing(), err
		}, func(ctx context.Context, d dns.Name) error {
			err := r.Accounts.RemoveDomain(ctx, d)
			if errors.Is(err, accounts.ErrInUse) {
				return fmt.Errorf("%w: remove its addresses first", err)
			}
			return err
		})
}

// check looks at what DNS has now, as a stranger would (DNS-C).
func (r *Room) check() deeds.Deed {
	return deeds.Deed{Path: r.Path + "domain/check", Says: "Look at DNS now", Command: "dns check DOMAIN", Fields: hidden(),
		Do: r.onDomain("dns check", "it was looked at", func(ctx context.Context, d dns.Name, _ deeds.Values, done *deeds.Done) error {
			found, err := r.Check(ctx, d)
			if err != nil {
				return err
			}
			shown := dnscheck.NewShown(d, found)
			done.Outcome = fmt.Sprintf("%s: %s, %d advice, %d not seen, %d ok", d.Unicode(), text.Count(shown.Count(dnsfinding.Fault), "fault"), shown.Count(dnsfinding.Advice), shown.Count(dnsfinding.Unknown), shown.Count(dnsfinding.OK))
			for _, f := range found {
				done.Blocks = append(done.Blocks, notices(f)...)
			}
			var well strings.Builder
			for _, f := range found {
				if f.Level == dnsfinding.OK {
					fmt.Fprintln(&well, text.Words(f.Subject+":", f.Seen))
				}
			}
			done.Blocks = append(done.Blocks, pages.Text{Title: "What is well", Body: well.String()}, pages.Prose{Link: r.to(d), Says: "Back to the domain."})
			return nil
		})}
}
