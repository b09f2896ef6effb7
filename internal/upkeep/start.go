// Package upkeep is what is done to a server that need not run: what quickstart fills it with,
// what backup takes and restore puts back, what of it doctor looks at, the rooms that a
// command opens, and what a shell is offered of them.
package upkeep

import (
	"context"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/certs"
	"waxwing/internal/cli"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/hostkeys"
	"waxwing/internal/machine"
	"waxwing/internal/server"
	"waxwing/internal/setup"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/stspublish"
	"waxwing/internal/text"
	"waxwing/mtasts"
)

// stsMaxAge is how long senders keep the first MTA-STS policy (RFC 8461 §3.2).
const stsMaxAge = 7 * 24 * time.Hour

// Start is a server that is set up as planned, on its way.
type Start struct {
	Plan     setup.Plan
	Ports    map[string]int // of a local machine
	Password string         // of the first account
	Now      time.Time

	records []dnsrecords.Record // to publish, once it is filled
}

// Plan looks at the machine, and plans what is wished.
func Plan(ctx context.Context, w setup.Wish) (*Start, error) {
	facts := setup.Facts{}
	if w.Local {
		facts.Ports = machine.FreePorts(map[string]int{"mx": 2525, "submission": 2587, "submissions": 2465, "imap": 2143, "imaps": 2993, "admin": 2580, "metrics": 2592})
	} else {
		facts = machine.SetupFacts(ctx, w)
	}
	plan, err := setup.Decide(w, facts)
	if err != nil {
		return nil, err
	}
	return &Start{Plan: plan, Ports: facts.Ports, Password: cli.NewPassword(), Now: time.Now()}, nil
}

// Fill makes what the data directory holds, in dir.
func (q *Start) Fill(ctx context.Context, dir string) error {
	cfg, err := config.Parse(q.Plan.Config.Path, []byte(q.Plan.Config.Text))
	if err != nil {
		return err
	}
	cfg.DataDir = dir
	if err := q.makeCertificate(cfg); err != nil {
		return err
	}
	if _, err := datadir.InitStore(ctx, cfg, nil); err != nil {
		return err
	}
	db, err := datadir.OpenStore(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := q.fillStore(ctx, db); err != nil || q.Plan.Wish.Local {
		return err
	}
	dnsPlan, err := server.PlanDNS(ctx, server.Options{Config: cfg}, db, q.Plan.Wish.Domain)
	q.records = dnsPlan.Records()
	return err
}

// makeCertificate makes a certificate of an authority of its own, for trying out, else
// the host's keys, current and next (SET-6): certificates for them come by [acme].
func (q *Start) makeCertificate(cfg *config.Config) error {
	host := q.Plan.Wish.Hostname.ASCII()
	if q.Plan.Wish.Local {
		var files certs.LocalFiles
		files.Cert, files.Key, files.CA = cfg.TLSFiles()
		return certs.MakeLocal(files, q.Now, host, "localhost")
	}
	_, err := hostkeys.Make(cfg.HostKeysDir())
	return err
}

// fillStore makes domain, account, addresses and keys. Mail to postmaster and TLS reports
// are taken anyway; abuse is an address that every domain should have (RFC 2142 §4), and
// reports of DMARC get one of their own.
func (q *Start) fillStore(ctx context.Context, db *store.Store) error {
	w := q.Plan.Wish
	acc := &accounts.Store{DB: db}
	if err := acc.AddDomain(ctx, w.Domain); err != nil {
		return err
	}
	if err := acc.AddAccount(ctx, w.Account, q.Password); err != nil {
		return fmt.Errorf("%w; choose another name before the @, and add the address afterwards", err)
	}
	if err := acc.ChangeAccess(ctx, w.Account, func(a account.Access) account.Access {
		a.Admin = true
		return a
	}); err != nil {
		return err
	}
	addresses := []string{w.Address}
	if !w.Local {
		addresses = append(addresses, "abuse@"+w.Domain.ASCII(), "dmarc-reports@"+w.Domain.ASCII())
	}
	for i, a := range addresses {
		if i > 0 && strings.EqualFold(a, w.Address) {
			continue
		}
		if err := acc.AddAddress(ctx, a, w.Account); err != nil {
			return err
		}
	}
	sign := &signing.Service{Store: db}
	for _, algorithm := range []string{"ed25519", "rsa"} {
		key, err := signing.MakeKey(algorithm)
		if err != nil {
			return err
		}
		// In DNS nothing is there yet: on the Internet a key waits until it is (SET-6).
		if _, err := sign.AddKey(ctx, signing.NewKey{Domain: w.Domain, Selector: algorithm, Signer: key, Now: w.Local}); err != nil {
			return err
		}
	}
	if w.Local {
		return nil
	}
	_, err := (&stspublish.Service{Store: db}).Prepare(ctx, w.Domain, &mtasts.Policy{Mode: mtasts.ModeTesting, MX: []mtasts.Pattern{{Name: w.Hostname}}, MaxAge: stsMaxAge})
	return err
}

// Tell says what was made, what to publish, and what to do next; call is how a verb of the
// program is typed.
func (q *Start) Tell(call func(verb string) string) string {
	w := q.Plan.Wish
	if w.Local {
		return q.tellLocal(call)
	}
	return fmt.Sprintf(`%s takes mail for %s.

  configuration  %s
  data, keys     %s
  account        %s   address %s (abuse@, dmarc-reports@ and postmaster@ too)
  password       %s   (shown this once)

What to publish in DNS, for the zone of %s:

%s
What to do next:

%s`, w.Hostname, w.Domain, q.Plan.Config.Path, q.Plan.DataDir, w.Account, w.Address, q.Password, w.Domain,
		dnsrecords.Snippet(q.records, w.Domain), setup.Numbered(q.Plan.Steps(call)))
}

func (q *Start) tellLocal(call func(verb string) string) string {
	w := q.Plan.Wish
	cfg, err := config.Load(q.Plan.Config.Path)
	if err != nil {
		return "" // it was parsed before it was written
	}
	_, _, ca := cfg.TLSFiles()
	return fmt.Sprintf(`Waxwing is set up for trying out in %s.

  account   %s   address %s
  password  %s   (shown this once)

Start it:            %s
Send a first mail:   swaks --server 127.0.0.1:%d --tls --auth-user %s --auth-password %s \
                       --from %s --to %s
Read it:             %s %s   (and "mail show" with an id of that list)
See how it does:     http://127.0.0.1:%d/   (the admin pages; log in as %s)
Its certificate is signed by an authority made for this set-up: %s
`, w.Dir, w.Account, w.Address, q.Password, call("serve"), q.Ports["submission"], w.Account, q.Password, text.ShellWord(w.Address), text.ShellWord(w.Address), call("mail list"), w.Account, q.Ports["admin"], w.Account, ca)
}
