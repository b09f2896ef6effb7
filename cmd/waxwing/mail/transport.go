package mail

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/server"
	"waxwing/internal/upkeep"
)

// transportNoun keeps the ways that mail can take. Passwords come from standard
// input or a file, so that they stand in no process list and no shell history.
func (p *program) transportNoun() *cobra.Command {
	var t transportFlags
	name := func(s string) (string, error) { return s, nil }
	put := func(set func(*routes.Store, context.Context, route.Transport) error) cli.Action {
		return func(ctx context.Context, args []string) error {
			tr, err := t.transport(ctx, p.Env, args[0])
			if err != nil {
				return err
			}
			return p.WithStore(ctx, func(o *upkeep.Opened) error { return hintTransport(set(o.Routes, ctx, tr)) })
		}
	}
	return p.Noun("transport", "the ways that mail can take out of here",
		cli.Verb{Use: "add NAME --kind KIND …", Short: "make one; asks for its password", Flags: t.add, Run: put((*routes.Store).AddTransport),
			Example: "transport add isp --kind submission --host smtp.isp.example --user me"},
		cli.Verb{Use: "set NAME --kind KIND …", Short: "change one as a whole, its password too", Flags: t.add, Run: put((*routes.Store).SetTransport)},
		cli.Verb{Use: "list", Short: "all transports", JSON: true, Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]route.Transport, error) {
			if _, err := p.routeTable(ctx, o, "transport"); err != nil {
				return nil, err
			}
			return o.Routes.Transports(ctx)
		}, routes.TransportListing())},
		cli.Verb{Use: "show NAME", Short: "one, with the routes that lead to it", JSON: true, Run: command.OnOne(p.Call, name, p.showTransport)},
		cli.Verb{Use: "test NAME", Short: "go to its host as a mail would, and send nothing", JSON: true, Example: "transport test isp", Run: command.OnOne(p.Call, name, p.testTransport)},
		cli.Verb{Use: "remove NAME", Short: "forget one that no route and no waiting mail names", Run: command.OnOne(p.Call, name, func(ctx context.Context, o *upkeep.Opened, name string) error {
			err := o.Routes.RemoveTransport(ctx, name)
			if errors.Is(err, routes.ErrInUse) {
				return fmt.Errorf("%w: \"waxwing route list\" and \"waxwing queue list\" show by what", err)
			}
			return hintTransport(err)
		})})
}

// hintTransport says where to look for what there is.
func hintTransport(err error) error {
	if errors.Is(err, routes.ErrUnknown) {
		return fmt.Errorf("%w; \"waxwing transport list\" shows all", err)
	}
	return err
}

// transportFlags are a transport as it is typed.
type transportFlags struct {
	routes.Typed
	passwordFile, proxyPasswordFile string
}

func (t *transportFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&t.Kind, "kind", "", "`kind`: direct, smarthost, submission, socks5, fail, local or lmtp")
	fs.StringVar(&t.EHLO, "ehlo", "", "`name` to greet with instead of the server's")
	fs.StringVar(&t.Family, "family", "", "connect over `ipv4` or ipv6 only")
	fs.StringVar(&t.Source, "source", "", "`addresses` of this machine to connect from, one a family, separated by commas")
	fs.StringVar(&t.Host, "host", "", "smarthost, submission, lmtp: the `host` that takes the mail; of lmtp also the path of a unix socket")
	fs.UintVar(&t.Port, "port", 0, "smarthost, submission, lmtp: `port` (default 25; 587 for submission, 24 for lmtp; 465 is TLS from the start)")
	fs.BoolVar(&t.Implicit, "implicit-tls", false, "submission: TLS from the start on a port other than 465")
	fs.StringVar(&t.Security, "security", "", "smarthost, submission, lmtp: `how` far TLS must be secured: verified (the default), dane, tls or any")
	fs.StringVar(&t.User, "user", "", "smarthost, submission: log in as `user`; the password is asked for, or the first line of standard input")
	fs.StringVar(&t.passwordFile, "password-file", "", "read the password from the first line of `file` instead")
	fs.StringVar(&t.Mechanisms, "mechanisms", "", "SASL `mechanisms` allowed, separated by commas (default: the strongest offered)")
	fs.StringVar(&t.Proxy, "proxy", "", "socks5: `host:port` of the proxy")
	fs.StringVar(&t.ProxyUser, "proxy-user", "", "socks5: `user` at the proxy; the password is asked for, or the first line of standard input")
	fs.StringVar(&t.proxyPasswordFile, "proxy-password-file", "", "read the proxy's password from the first line of `file` instead")
	fs.StringVar(&t.Public, "public", "", "socks5: `addresses` that mail then comes from, separated by commas, for the SPF check")
	fs.IntVar(&t.Code, "code", 0, "fail: SMTP `code`, 4xx to let mail wait, 5xx to return it")
	fs.StringVar(&t.Enhanced, "enhanced", "", "fail: enhanced `code` such as 5.7.1")
	fs.StringVar(&t.Text, "text", "", "fail: `text` that tells the sender why")
}

// transport makes a Transport of the flags. Their faults are wrong usage.
func (t *transportFlags) transport(ctx context.Context, e cli.Env, name string) (tr route.Transport, err error) {
	if tr, err = t.Transport(name); err != nil {
		return tr, cli.Faults(err)
	}
	password, err := e.Secret(ctx, t.User, t.passwordFile)
	if err != nil {
		return tr, err
	}
	proxyPassword, err := e.Secret(ctx, t.ProxyUser, t.proxyPasswordFile)
	if err != nil {
		return tr, err
	}
	tr.Password, tr.ProxyPassword = route.Secret(password), route.Secret(proxyPassword)
	return tr, cli.Faults(tr.Check())
}

func (p *program) showTransport(ctx context.Context, o *upkeep.Opened, name string) error {
	t, err := o.Routes.Table(ctx)
	if err != nil {
		return err
	}
	tr, err := t.Transport(name)
	if err != nil {
		return hintTransport(err)
	}
	return p.Answer(tr, "%s", t.Tell(&tr))
}

// testTransport goes to the host of a smarthost or submission transport as a
// mail would, login included, and says how far it came and what to fix.
func (p *program) testTransport(ctx context.Context, o *upkeep.Opened, name string) error {
	t, err := o.Routes.Table(ctx)
	if err != nil {
		return err
	}
	tr, err := t.Transport(name)
	if err != nil {
		return hintTransport(err)
	}
	router, err := server.Ways(o.Options, o.Store)
	if err != nil {
		return err
	}
	told, err := router.Test(ctx, tr)
	if err != nil {
		return err
	}
	err = p.Prose(told, told.Print)
	if err == nil && !told.Good {
		err = errors.New("no address of the host would get mail now")
	}
	return err
}
