package mail

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/server"
	"waxwing/internal/upkeep"
	"waxwing/internal/webhooks"
)

// webhookFlags are those of "webhook add".
type webhookFlags struct {
	account, domain, note string
	events                []string
}

func (f *webhookFlags) flags(fs *pflag.FlagSet) {
	fs.StringVar(&f.account, "account", "", "events of this `account`: of what it sends, and of what it receives")
	fs.StringVar(&f.domain, "domain", "", "events of senders and of received mail's recipients at this `domain`")
	fs.StringSliceVar(&f.events, "event", nil, "an `event`: delivered, delayed, failed, suppressed, received; may be repeated; without, all of them")
	fs.StringVar(&f.note, "note", "", "`what` it is for")
}

const listedHooks = "waxwing webhook list"

// webhookNoun keeps the addresses that events are posted to (OPS-8).
func (p *program) webhookNoun() *cobra.Command {
	var f webhookFlags
	var limit int
	deliveries := func(ctx context.Context, o *upkeep.Opened, args []string) ([]webhooks.Post, error) {
		id, err := cli.ParseID(args[0], listedHooks)
		if err != nil {
			return nil, err
		}
		if _, err := hooksOf(o).Get(ctx, id); err != nil {
			return nil, err
		}
		return hooksOf(o).Posts(ctx, id, limit)
	}
	return p.Noun("webhook", "addresses of programs that are told what happens to mail",
		cli.Verb{Use: "add URL", Short: "post events to an address; its secret is shown this once", JSON: true, Flags: f.flags,
			Long:    "What is posted is signed with the secret, as Standard Webhooks have it. It is https, or http to this machine. What happens to mail is posted from now on.",
			Example: "webhook add https://shop.example.org/mail-events --account shop --event failed --event delivered",
			Run:     func(ctx context.Context, args []string) error { return p.addWebhook(ctx, args[0], f) }},
		cli.Verb{Use: "list", Short: "the addresses, and how they do", JSON: true, Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]webhooks.Hook, error) {
			return hooksOf(o).List(ctx)
		}, webhooks.Listing())},
		cli.Verb{Use: "remove ID", Short: "post no more to one", Run: p.onHook((*webhooks.Store).Remove)},
		cli.Verb{Use: "enable ID", Short: "post again to one that was disabled", Run: p.onHook((*webhooks.Store).Enable)},
		cli.Verb{Use: "test ID", Short: "post an event of the type test now, and say what came of it", Run: command.OnOne(p.Call, cli.IDOf(listedHooks), p.testWebhook)},
		cli.Verb{Use: "deliveries ID", Short: "the newest events of one, and what came of them", JSON: true,
			Flags: func(fs *pflag.FlagSet) { fs.IntVar(&limit, "limit", 100, "at most `N` events") }, Run: command.List(p.Call, p.OnStore, deliveries, webhooks.PostListing())})
}

func hooksOf(o *upkeep.Opened) *webhooks.Store {
	return &webhooks.Store{DB: o.Store, Now: o.Options.Now}
}

// onHook is what a command does with one webhook.
func (p *program) onHook(do func(*webhooks.Store, context.Context, delivery.ID) error) cli.Action {
	return command.OnOne(p.Call, cli.IDOf(listedHooks), func(ctx context.Context, o *upkeep.Opened, id delivery.ID) error { return do(hooksOf(o), ctx, id) })
}

// addedHook is a new webhook with what is shown of it once.
type addedHook struct {
	webhooks.Hook
	Secret string `json:"secret"`
}

func (p *program) addWebhook(ctx context.Context, url string, f webhookFlags) error {
	if err := webhooks.CheckURL(url); err != nil {
		return cli.Usagef("%s", err)
	}
	if f.account == "" && f.domain == "" {
		return cli.Usagef("it needs --account or --domain: whose mail it is told of")
	}
	types, err := webhooks.ParseTypes(f.events)
	if err != nil {
		return cli.FlagError("event", err)
	}
	if f.domain != "" {
		if _, err := cli.ParseDomain(f.domain); err != nil {
			return cli.FlagError("domain", err)
		}
	}
	return p.WithStore(ctx, func(o *upkeep.Opened) error {
		h, secret, err := hooksOf(o).Add(ctx, webhooks.Hook{URL: url, Account: f.account, Domain: f.domain, Events: types, Note: f.note})
		if err != nil {
			return err
		}
		return p.Answer(addedHook{h, secret.Text()}, "%s: events are signed with the secret %s", h.ID, secret.Text())
	})
}

func (p *program) testWebhook(ctx context.Context, o *upkeep.Opened, id delivery.ID) error {
	s, err := server.Webhooks(o.Options, o.Store)
	if err != nil {
		return err
	}
	note, err := s.Try(ctx, id)
	if err != nil {
		return err
	}
	return p.Answer(note, "taken: %s", note)
}
