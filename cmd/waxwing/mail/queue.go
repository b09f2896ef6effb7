package mail

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/desk"
	"waxwing/internal/listing"
	"waxwing/internal/spool"
)

// queueNoun shows what waits and what became of it, and changes it (QUE-6).
func (p *program) queueNoun() *cobra.Command {
	var f queueFlags
	act := func(v desk.Verb, use, short, example string) cli.Verb {
		return cli.Verb{Use: use, Short: short, Example: example, JSON: true, Flags: func(fs *pflag.FlagSet) { f.choosing(fs, v) }, Run: f.act(p, v)}
	}
	return p.Noun("queue", "mail that waits, what became of it, and what is to become of it",
		cli.Verb{Use: "list [FILTERS]", Short: "what waits, and why; --all: what is over, too", JSON: true, Flags: f.listing, Run: f.list(p),
			Example: "queue list\nqueue list --rcpt them@example.net --all\nqueue list --state held --json"},
		cli.Verb{Use: "show ID", Short: "a message: every attempt, decision and answer", JSON: true, Run: func(ctx context.Context, args []string) error {
			id, err := cli.ParseID(args[0], "waxwing queue list")
			if err != nil {
				return err
			}
			return p.OnDesk(func(ctx context.Context, d desk.Desk, _ []string) error { return p.showMessage(ctx, d, id) })(ctx, nil)
		}},
		cli.Verb{Use: "count", Short: "how many recipients are in each state", JSON: true, Run: p.OnDesk(p.countQueue)},
		cli.Verb{Use: "closed", Short: "what cannot be reached, and the next try", JSON: true,
			Flags: func(fs *pflag.FlagSet) { fs.IntVar(&f.limit, "limit", 100, "at most `N` destinations, 1000") },
			Run: command.List(p.Call, p.OnDesk, func(ctx context.Context, d desk.Desk, _ []string) ([]listing.Closed, error) {
				all, err := d.Closed(ctx, f.limit)
				return listing.ClosedContacts(all), err
			}, listing.ClosedListing())},
		act(desk.Hold, "hold [ID …]", "keep mail back until it is released", "queue hold --domain example.net --why 'their host loses mail'"),
		act(desk.Unhold, "unhold [ID …]", "release what is held", "queue unhold --everything"),
		act(desk.Retry, "retry [ID …]", "try now", "queue retry --domain example.net"),
		act(desk.Fail, "fail [ID …]", "return to the senders", "queue fail --sender me@example.org --older 24h"),
		act(desk.Drop, "drop [ID …]", "forget, and tell nobody", "queue drop --word dane-no-match"),
		act(desk.SetTLS, "set-tls NEED [ID …]", "change what mail asks of TLS", "queue set-tls tls-optional --rcpt them@example.net"),
		act(desk.SetTransport, "set-transport NAME [ID …]", "which way mail takes; \"\": as the routes say", "queue set-transport isp --domain example.net"))
}

// queueFlags choose recipients; all that are given must match.
type queueFlags struct {
	query      listing.Query
	everything bool
	why        string
	limit      int
}

func (f *queueFlags) listing(fs *pflag.FlagSet) {
	fs.BoolVar(&f.query.All, "all", false, "delivered and failed recipients too")
	fs.TextVar(&f.query.After, "after", f.query.After, "only recipients after this `id`, which list --json shows: the next page")
	fs.IntVar(&f.limit, "limit", 100, "at most `N` recipients, 1000")
	f.filters(fs)
}

func (f *queueFlags) choosing(fs *pflag.FlagSet, v desk.Verb) {
	switch v {
	case desk.Hold:
		fs.StringVar(&f.why, "why", "", "`reason`, for the listing")
	case desk.Fail:
		fs.StringVar(&f.why, "why", "", "`reason`, for the listing and the sender")
	}
	fs.BoolVar(&f.everything, "everything", false, "everything in the queue, where neither an id nor a filter is given")
	f.filters(fs)
}

func (f *queueFlags) filters(fs *pflag.FlagSet) {
	q := &f.query
	fs.StringVar(&q.Sender, "sender", "", "only mail from this `address`")
	fs.StringVar(&q.SenderDomain, "sender-domain", "", "only mail from addresses of this `domain`")
	fs.StringVar(&q.Domain, "domain", "", "only mail to this `domain`")
	fs.StringVar(&q.Address, "rcpt", "", "only mail to this `address`")
	fs.StringVar(&q.Account, "account", "", "only mail that this `account` submitted")
	fs.StringVar(&q.Transport, "transport", "", "only mail whose own transport is `name`")
	fs.StringVar(&q.Word, "word", "", "only what is in its state for this `reason`, such as dane-no-match")
	fs.StringVar(&q.Host, "host", "", "only what this `host` answered last")
	fs.StringVar(&q.State, "state", "", "only these `states`, with commas between: waiting, leased, held, delivered, failed")
	fs.StringVar(&q.Need, "need", "", "only mail with this TLS `need`: follow-policy, require-tls, tls-optional")
	fs.StringVar(&q.Purpose, "purpose", "", "only mail of this `purpose`: mail, dsn, tls-report, dmarc-report")
	fs.DurationVar(&q.Older, "older", 0, "only what was accepted longer ago than this `time`, such as 2h")
	fs.DurationVar(&q.Newer, "newer", 0, "only what was accepted within this `time`")
}

// read makes the filter of the flags.
func (f *queueFlags) read(now time.Time) (spool.Filter, error) {
	q, err := f.query.Read(now)
	if err != nil {
		return q, cli.Usagef("--%v", err)
	}
	return q, nil
}

// act changes the queue, message by message where ids are given.
func (f *queueFlags) act(p *program, v desk.Verb) cli.Action {
	return func(ctx context.Context, args []string) error {
		a := desk.Action{Verb: v, Why: f.why}
		var err error
		switch v {
		case desk.SetTLS:
			if a.Need, err = delivery.ParseTLSNeed(args[0]); err != nil {
				return cli.Usagef("%v", err)
			}
			args = args[1:]
		case desk.SetTransport:
			a.Transport, args = args[0], args[1:]
		}
		ids, err := cli.ParseIDs(args, "waxwing queue list")
		if err != nil {
			return err
		}
		if a.Filter, err = f.read(p.Now()); err != nil {
			return err
		}
		if len(ids) == 0 && !f.everything && reflect.DeepEqual(a.Filter, spool.Filter{}) {
			return cli.Usagef("%s what? Give message ids, filters (such as --domain), or --everything", v)
		}
		return p.OnDesk(func(ctx context.Context, d desk.Desk, _ []string) error { return p.change(ctx, d, a, ids) })(ctx, nil)
	}
}

func (p *program) change(ctx context.Context, d desk.Desk, a desk.Action, ids []delivery.ID) error {
	sum, err := desk.ActOn(ctx, d, a, ids)
	if err != nil {
		return err
	}
	said, ok := a.Came(sum)
	if ok || p.JSON {
		if err := p.Answer(map[string]int{"done": sum.Done, "busy": sum.Busy}, "%s", said); err != nil {
			return err
		}
	}
	if !ok {
		return errors.New(said)
	}
	return nil
}

func (p *program) countQueue(ctx context.Context, d desk.Desk, _ []string) error {
	n, err := d.Count(ctx)
	if err != nil {
		return err
	}
	if p.JSON {
		return p.PrintJSON(listing.Counts(n))
	}
	return cli.Show(p.Program, listing.States(), listing.CountListing(n))
}

func (f *queueFlags) list(p *program) cli.Action {
	return func(ctx context.Context, args []string) error {
		filter, err := f.read(p.Now())
		if err != nil {
			return err
		}
		filter.Limit = f.limit
		return command.List(p.Call, p.OnDesk, func(ctx context.Context, d desk.Desk, _ []string) ([]listing.Recipient, error) {
			items, err := d.List(ctx, filter)
			return listing.Recipients(items), err
		}, listing.RecipientListing())(ctx, args)
	}
}

func (p *program) showMessage(ctx context.Context, d desk.Desk, id delivery.ID) error {
	shown, err := d.Show(ctx, int64(id))
	if err != nil {
		return fmt.Errorf("message %s: %w", id, err)
	}
	m := listing.MessageOf(&shown)
	return p.Prose(m, m.Print)
}
