package upkeep

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/apikeys"
	"waxwing/internal/cli"
	"waxwing/internal/config"
	"waxwing/internal/daemon"
	"waxwing/internal/datadir"
	"waxwing/internal/delivery"
	"waxwing/internal/holds"
	"waxwing/internal/listing"
	"waxwing/internal/mailboxes"
	"waxwing/internal/outbox"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/server"
	"waxwing/internal/spool"
	"waxwing/internal/stspolicy"
	"waxwing/internal/webhooks"
)

// completer finds what may stand in a place of the command line.
type completer = func(context.Context, *Opened) ([]string, error)

// stored are the completers of what the store has: of arguments, by their name in the use
// line, and of flags. One with a noun or a command before its name is of that alone.
func stored() map[string]completer {
	domains := names(func(ctx context.Context, o *Opened) ([]account.Domain, error) { return o.Accounts.Domains(ctx) }, func(d *account.Domain) string { return d.Name.ASCII() })
	accounts := names(func(ctx context.Context, o *Opened) ([]account.Account, error) { return o.Accounts.Accounts(ctx) }, func(a *account.Account) string { return a.Name })
	addresses := names(func(ctx context.Context, o *Opened) ([]account.Address, error) { return o.Accounts.Addresses(ctx) }, func(a *account.Address) string { return a.Address })
	aliases := names(func(ctx context.Context, o *Opened) ([]account.Alias, error) { return o.Accounts.Aliases(ctx) }, func(a *account.Alias) string { return a.Address })
	transports := names(func(ctx context.Context, o *Opened) ([]route.Transport, error) { return o.Routes.Transports(ctx) }, func(t *route.Transport) string { return t.Name })
	cached := names(func(ctx context.Context, o *Opened) ([]stspolicy.Row, error) {
		return (&stspolicy.Cache{Store: o.Store}).Rows(ctx)
	}, func(r *stspolicy.Row) string { return r.Domain.ASCII() })
	return map[string]completer{
		"DOMAIN": domains, "HOST|DOMAIN": domains, "HOST[:PORT]|DOMAIN": domains, "ADDRESS|DOMAIN": domains, "--domain": domains, "--sender-domain": domains,
		"forget DOMAIN": cached, "refresh DOMAIN": cached, "ACCOUNT": accounts, "--account": accounts, "ADDRESS": addresses, "ALIAS": aliases, "--sender": addresses, "--from": addresses,
		"TRANSPORT": transports, "transport NAME": transports, "set-transport NAME": transports, "--transport": transports,
		"queue ID": names(func(ctx context.Context, o *Opened) ([]listing.Recipient, error) {
			all, err := spool.List(ctx, o.Store, spool.Filter{States: listing.States(), Limit: cli.MaxOffers})
			return listing.Recipients(all), err
		}, func(r *listing.Recipient) string { return r.Message.String() }),
		"mail ID": names(newestMail, func(m *mailboxes.Row) string { return m.ID.String() }),
		"hold ID": names(func(ctx context.Context, o *Opened) ([]holds.Rule, error) {
			return (&holds.Store{DB: o.Store}).List(ctx)
		}, func(r *holds.Rule) string { return r.ID.String() }),
		"key ID": names(func(ctx context.Context, o *Opened) ([]apikeys.Key, error) {
			return (&apikeys.Store{DB: o.Store}).List(ctx, "")
		}, func(k *apikeys.Key) string { return k.ID.String() }),
		"webhook ID": names(func(ctx context.Context, o *Opened) ([]webhooks.Hook, error) {
			return (&webhooks.Store{DB: o.Store}).List(ctx)
		}, func(h *webhooks.Hook) string { return h.ID.String() }),
		"route ID": names(func(ctx context.Context, o *Opened) ([]routes.Row, error) {
			t, err := o.Routes.Table(ctx)
			if err != nil {
				return nil, err
			}
			return t.Rows(), nil
		}, func(r *routes.Row) string { return r.ID.String() }),
		"tlsrpt ID": names(newestReports, func(id *delivery.ID) string { return id.String() }),
	}
}

// names is a completer of the names of what list finds.
func names[T any](list func(context.Context, *Opened) ([]T, error), name func(*T) string) completer {
	return func(ctx context.Context, o *Opened) (out []string, err error) {
		all, err := list(ctx, o)
		for i := range all {
			out = append(out, name(&all[i]))
		}
		return out, err
	}
}

// newestMail is what lies in the inboxes.
func newestMail(ctx context.Context, o *Opened) (out []mailboxes.Row, err error) {
	all, err := o.Accounts.Accounts(ctx)
	for _, a := range all {
		rows, err := o.Mailboxes.Rows(ctx, a.Name, account.Inbox, 0, cli.MaxOffers)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, err
}

// newestReports are the TLS reports of both ways.
func newestReports(ctx context.Context, o *Opened) (out []delivery.ID, err error) {
	s, err := server.Reports(o.Options, o.Store)
	if err != nil {
		return nil, err
	}
	in, err := s.TLSIntake.Reports(ctx, outbox.Filter{Limit: cli.MaxOffers})
	if err != nil {
		return nil, err
	}
	sent, err := s.TLSReport.Sent(ctx, outbox.Filter{Limit: cli.MaxOffers})
	for _, r := range in {
		out = append(out, r.ID)
	}
	for _, r := range sent {
		out = append(out, r.ID)
	}
	return out, err
}

// fixed are the words of places that have a few and no others.
func fixed() map[string]string {
	return map[string]string{
		"NEED": "follow-policy require-tls tls-optional", "--need": "follow-policy require-tls tls-optional", "SHELL": "bash zsh fish",
		"--state": "waiting leased held delivered failed", "--purpose": "mail dsn tls-report dmarc-report", "--mode": "testing enforce none", "--right": apikeys.Rights(apikeys.All()).String(), "--event": "delivered delayed failed suppressed received",
		"--algorithm": "ed25519 rsa", "--kind": "direct smarthost submission socks5 fail local", "--security": "verified dane tls any",
		"--listener": "mx submission submissions imap imaps", "AREA": "all " + logAreas(), "LEVEL": "debug info warn error default",
	}
}

// logAreas are those whose log has a level of its own.
func logAreas() string {
	var all []string
	for _, a := range config.LogAreas() {
		all = append(all, string(a.Area))
	}
	return strings.Join(all, " ")
}

// offeringFor is how long finding what is offered may take: somebody has pressed a key.
const offeringFor = time.Second

// Offer is what may be typed in a place of the command line. Where there is no store,
// nothing is offered, and nothing said.
func Offer(ctx context.Context, place string, load func() (server.Options, error)) (words []string, known bool) {
	if find := stored()[place]; find != nil {
		return peek(ctx, load, find), true
	}
	words = strings.Fields(fixed()[place])
	return words, len(words) > 0
}

// peek finds things in the store without changing anything there.
func peek(ctx context.Context, load func() (server.Options, error), find completer) []string {
	ctx, cancel := context.WithTimeout(ctx, offeringFor)
	defer cancel()
	o, err := load()
	if err != nil || daemon.BecomeUser(o.Config) != nil {
		return nil
	}
	o.Log = slog.New(slog.DiscardHandler)
	db, err := datadir.PeekStore(ctx, o.Config)
	if err != nil {
		return nil
	}
	defer db.Close()
	found, err := find(ctx, Opening(o, db))
	if err != nil {
		return nil
	}
	return found
}
