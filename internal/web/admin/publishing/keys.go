package publishing

import (
	"context"
	"fmt"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/hostkeys"
	"waxwing/internal/signing"
	"waxwing/internal/stspublish"
	"waxwing/internal/text"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

// lookFor bounds a look for keys in DNS.
const lookFor = time.Minute

// toPublish are the records of keys, to be published.
func toPublish(made ...signing.Key) pages.Block {
	s := ""
	for _, k := range made {
		s += dnsrecords.Lines(dnsrecords.ForKey(k.Domain, dnsrecords.DKIMKey{Selector: k.Selector, Text: k.Record}))
	}
	return pages.Text{Title: "To be published", Body: s}
}

func (r *Room) addKey() deeds.Deed {
	return deeds.Deed{Path: r.Path + "dkim/add", Title: "Make a DKIM key", Says: "Make it", Command: "dkim add DOMAIN --algorithm ed25519|rsa",
		Fields: append(hidden(), pages.Field{Name: "algorithm", Label: "Algorithm", Kind: "select", Options: []string{"ed25519", "rsa"}}, pages.Field{Name: "selector", Label: "Name", Help: "empty: made from date and algorithm"}),
		Do: r.onDomain("dkim add", "it has a new key, which signs once DNS shows its record", func(ctx context.Context, d dns.Name, v deeds.Values, done *deeds.Done) error {
			algorithm, selector := v.Get("algorithm"), v.Text("selector")
			done.Command = deeds.Command("dkim add", d.ASCII(), deeds.Flag("algorithm", algorithm), deeds.Flag("selector", selector))
			key, err := signing.MakeKey(algorithm)
			if err != nil {
				return err
			}
			if selector == "" {
				selector = signing.DefaultSelector(r.Now(), algorithm)
			}
			k, err := r.Signing.AddKey(ctx, signing.NewKey{Domain: d, Selector: selector, Signer: key})
			if err == nil {
				done.Blocks = []pages.Block{toPublish(k), pages.Prose{Link: r.to(d), Says: "Back to the domain."}}
			}
			return err
		})}
}

func (r *Room) rollKey() deeds.Deed {
	return deeds.Deed{Path: r.Path + "dkim/rollover", Says: "Roll over", Command: "dkim rollover DOMAIN", Fields: hidden(),
		Do: r.onDomain("dkim rollover", "the next key takes over once DNS has shown its record for long enough", func(ctx context.Context, d dns.Name, _ deeds.Values, done *deeds.Done) error {
			made, err := r.Signing.Rollover(ctx, d, "")
			if err == nil {
				done.Blocks = []pages.Block{toPublish(made...), pages.Prose{Link: r.to(d), Says: "Back to the domain."}}
			}
			return err
		})}
}

func (r *Room) checkKeys() deeds.Deed {
	return deeds.Deed{Path: r.Path + "dkim/check", Says: "Look for their records now", Command: "dkim check DOMAIN", Fields: hidden(),
		Do: r.onDomain("dkim check", "its keys were looked for", func(ctx context.Context, d dns.Name, _ deeds.Values, _ *deeds.Done) error {
			ctx, cancel := context.WithTimeout(ctx, lookFor)
			defer cancel()
			_, err := (&signing.Watcher{Keys: r.Signing, DNS: r.DNS, Now: r.Now}).Look(ctx, d, "")
			return err
		})}
}

// onKey is what a deed on one of a domain's keys does.
func (r *Room) onKey(verb, came string, do func(context.Context, dns.Name, string) error) func(context.Context, deeds.Values) (deeds.Done, error) {
	return r.onDomain(verb, came, func(ctx context.Context, d dns.Name, v deeds.Values, done *deeds.Done) error {
		selector, err := v.Need("selector")
		if err != nil {
			return err
		}
		done.Command = deeds.Command(verb, d.ASCII(), deeds.Flag("selector", selector))
		return do(ctx, d, selector)
	})
}

func (r *Room) signNow() deeds.Deed {
	return deeds.Deed{Path: r.Path + "dkim/sign", Says: "Sign", Command: "dkim sign DOMAIN --selector S", Fields: hidden(), Do: r.onKey("dkim sign", "the key signs", r.Signing.Tell)}
}

func (r *Room) retire() deeds.Deed {
	return deeds.Deed{Path: r.Path + "dkim/retire", Says: "Retire", Command: "dkim retire DOMAIN --selector S", Fields: hidden(), Sure: "It signs no more; its record stays for a while.",
		Do: r.onKey("dkim retire", "the key signs no more", func(ctx context.Context, d dns.Name, selector string) error {
			return r.Signing.SetState(ctx, d, selector, signing.Retired)
		})}
}

func (r *Room) removeKey() deeds.Deed {
	return deeds.Deed{Path: r.Path + "dkim/remove", Says: "Remove", Command: "dkim remove DOMAIN --selector S", Fields: hidden(), Sure: "It is gone for good, and mail that it signed lately may fail.", Do: r.onKey("dkim remove", "the key is gone", r.Signing.RemoveKey)}
}

// publish serves an MTA-STS policy. One that would keep mail from hosts which the MX records name is refused, with
// why (STS-11).
func (r *Room) publish() deeds.Deed {
	return deeds.Deed{Path: r.Path + "mtasts/publish", Says: "Serve it", Command: "mtasts publish DOMAIN --mode testing|enforce|none --max-age TIME --mx HOSTS",
		Fields: append(hidden(), pages.Field{Name: "mode", Label: "Mode", Kind: "select", Options: []string{"testing", "enforce", "none"}},
			pages.Field{Name: "max_age", Label: "How long senders may keep it", Value: "168h", Help: "a time such as 168h"},
			pages.Field{Name: "mx", Label: "Hosts that take mail", Help: "with commas between; *.example.org is any one label; empty: this server"}),
		Do: r.onDomain("mtasts publish", "the policy is served; publish its records", func(ctx context.Context, d dns.Name, v deeds.Values, done *deeds.Done) error {
			mode, mx := v.Get("mode"), v.Text("mx")
			age, err := time.ParseDuration(v.Text("max_age"))
			if err != nil {
				return fmt.Errorf("how long senders may keep it: %w", err)
			}
			done.Command = deeds.Command("mtasts publish", d.ASCII(), deeds.Flag("mode", mode), deeds.Flag("max-age", v.Text("max_age")), deeds.Flag("mx", mx))
			hosted, err := r.Accounts.IsHosted(ctx, d)
			if err == nil && !hosted {
				err = fmt.Errorf("%s is not hosted here: add it first", d)
			}
			if err != nil {
				return err
			}
			p, err := stspublish.NewPolicy(mode, age, mx, r.Host)
			if err != nil {
				return err
			}
			got, err := r.STS.Set(ctx, d, p)
			if err == nil {
				done.Blocks = []pages.Block{pages.Text{Title: "What is served, and what is to be published", Body: got.Instruction(r.Host)}, pages.Prose{Link: r.to(d), Says: "Back to the domain."}}
			}
			return err
		})}
}

func (r *Room) unpublish() deeds.Deed {
	return deeds.Deed{Path: r.Path + "mtasts/unpublish", Says: "Serve it no more", Command: "mtasts unpublish DOMAIN", Fields: hidden(),
		Sure: "Senders may hold the policy until its time is over: serve mode none first, for as long, and take the record _mta-sts away last.",
		Do: r.onDomain("mtasts unpublish", "the policy is not served any more", func(ctx context.Context, d dns.Name, _ deeds.Values, _ *deeds.Done) error {
			return r.STS.Remove(ctx, d)
		})}
}

func (r *Room) issue() deeds.Deed {
	return deeds.Deed{Path: r.Path + "certificates/issue", Title: "Ask the authority now", Says: "Ask", Command: "cert issue NAME",
		Fields: []pages.Field{{Name: "name", Label: "Name", Value: r.Host.ASCII(), Required: true}},
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name, err := of(v.Text("name"))
			if err != nil {
				return deeds.Done{}, err
			}
			n, err := r.Certificates.Ask(ctx, name.ASCII())
			return deeds.Done{Command: deeds.Command("cert issue", name.ASCII()), Outcome: "asked for " + text.Count(n, "certificate") + " of " + name.ASCII() + ": it is done within seconds", Back: r.Path + "certificates"}, err
		}}
}

// rolling asks for a roll-over of the host's keys, or takes that back (CRT-6).
func (r *Room) rolling(wanted bool, came string, flags ...string) func(context.Context, deeds.Values) (deeds.Done, error) {
	return func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		a := v.Get("algorithm")
		if a == "both" {
			a = ""
		}
		done := deeds.Done{Command: deeds.Command("cert roll", append(flags, deeds.Flag("algorithm", a))...), Outcome: came, Back: r.Path + "keys"}
		return done, r.Certificates.Want(ctx, hostkeys.Algorithm(a), wanted)
	}
}

func (r *Room) rollHost() deeds.Deed {
	return deeds.Deed{Path: r.Path + "keys/roll", Title: "Roll over", Says: "Have the next key take over", Command: "cert roll --algorithm ecdsa|rsa",
		Fields: []pages.Field{{Name: "algorithm", Label: "Keys", Kind: "select", Options: []string{"both", "ecdsa", "rsa"}}}, Do: r.rolling(true, "the next key takes over once DNS has shown its record for long enough")}
}

func (r *Room) cancelRoll() deeds.Deed {
	return deeds.Deed{Path: r.Path + "keys/cancel", Says: "Take it back", Command: "cert roll --cancel", Do: r.rolling(false, "the key in use stays", "--cancel")}
}

func (r *Room) look() deeds.Deed {
	return deeds.Deed{Path: r.Path + "keys/look", Says: "Look for the records now", Command: "cert look",
		Do: func(ctx context.Context, _ deeds.Values) (deeds.Done, error) {
			_, err := r.Certificates.LookNow(ctx)
			return deeds.Done{Command: "waxwing cert look", Outcome: "the zone's own servers were asked", Back: r.Path + "keys"}, err
		}}
}
