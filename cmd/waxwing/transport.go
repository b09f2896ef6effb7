package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/dns"
	"waxwing/internal/cli"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/server"
	"waxwing/internal/transport"
	"waxwing/smtp"
)

// transportNoun keeps the ways that mail can take. Passwords come from standard
// input or a file, so that they stand in no process list and no shell history.
func (p *program) transportNoun() *cobra.Command {
	var t transportFlags
	name := func(s string) (string, error) { return s, nil }
	put := func(set func(*routes.Store, context.Context, route.Transport) error) action {
		return func(ctx context.Context, args []string) error {
			tr, err := t.transport(ctx, p.env, args[0])
			if err != nil {
				return err
			}
			return p.withStore(ctx, func(o *opened) error { return hintTransport(set(o.routes, ctx, tr)) })
		}
	}
	return p.noun("transport", "the ways that mail can take out of here",
		verb{use: "add NAME --kind KIND …", short: "make one; asks for its password", flags: t.add, run: put((*routes.Store).AddTransport),
			example: "transport add isp --kind submission --host smtp.isp.example --user me"},
		verb{use: "set NAME --kind KIND …", short: "change one as a whole, its password too", flags: t.add, run: put((*routes.Store).SetTransport)},
		verb{use: "list", short: "all transports", json: true, run: list(p, p.onStore, func(ctx context.Context, o *opened, _ []string) ([]route.Transport, error) {
			if _, err := p.routeTable(ctx, o, "transport"); err != nil {
				return nil, err
			}
			return o.routes.Transports(ctx)
		}, cli.List[route.Transport]{Columns: columns("NAME|KIND|SETTINGS"), Cells: func(t *route.Transport) []any { return []any{t.Name, t.Kind, settings(t)} }})},
		verb{use: "show NAME", short: "one, with the routes that lead to it", json: true, run: onOne(p, name, p.showTransport)},
		verb{use: "test NAME", short: "go to its host as a mail would, and send nothing", json: true, example: "transport test isp", run: onOne(p, name, p.testTransport)},
		verb{use: "remove NAME", short: "forget one that no route and no waiting mail names", run: onOne(p, name, func(ctx context.Context, o *opened, name string) error {
			err := o.routes.RemoveTransport(ctx, name)
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
	kind, ehlo, family, source       string
	host, security, user, mechanisms string
	port                             uint
	implicit                         bool
	proxy, proxyUser, public         string
	code                             int
	enhanced, text                   string
	passwordFile, proxyPasswordFile  string
}

func (t *transportFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&t.kind, "kind", "", "`kind`: direct, smarthost, submission, socks5, fail or local")
	fs.StringVar(&t.ehlo, "ehlo", "", "`name` to greet with instead of the server's")
	fs.StringVar(&t.family, "family", "", "connect over `ipv4` or ipv6 only")
	fs.StringVar(&t.source, "source", "", "`addresses` of this machine to connect from, one a family, separated by commas")
	fs.StringVar(&t.host, "host", "", "smarthost, submission: the `host` that takes the mail")
	fs.UintVar(&t.port, "port", 0, "smarthost, submission: `port` (default 25; 587 for submission; 465 is TLS from the start)")
	fs.BoolVar(&t.implicit, "implicit-tls", false, "submission: TLS from the start on a port other than 465")
	fs.StringVar(&t.security, "security", "", "smarthost, submission: `how` far TLS must be secured: verified (the default), dane, tls or any")
	fs.StringVar(&t.user, "user", "", "smarthost, submission: log in as `user`; the password is asked for, or the first line of standard input")
	fs.StringVar(&t.passwordFile, "password-file", "", "read the password from the first line of `file` instead")
	fs.StringVar(&t.mechanisms, "mechanisms", "", "SASL `mechanisms` allowed, separated by commas (default: the strongest offered)")
	fs.StringVar(&t.proxy, "proxy", "", "socks5: `host:port` of the proxy")
	fs.StringVar(&t.proxyUser, "proxy-user", "", "socks5: `user` at the proxy; the password is asked for, or the first line of standard input")
	fs.StringVar(&t.proxyPasswordFile, "proxy-password-file", "", "read the proxy's password from the first line of `file` instead")
	fs.StringVar(&t.public, "public", "", "socks5: `addresses` that mail then comes from, separated by commas, for the SPF check")
	fs.IntVar(&t.code, "code", 0, "fail: SMTP `code`, 4xx to let mail wait, 5xx to return it")
	fs.StringVar(&t.enhanced, "enhanced", "", "fail: enhanced `code` such as 5.7.1")
	fs.StringVar(&t.text, "text", "", "fail: `text` that tells the sender why")
}

// transport makes a Transport of the flags. Their faults are wrong usage.
func (t *transportFlags) transport(ctx context.Context, e env, name string) (route.Transport, error) {
	tr := route.Transport{Name: name, Kind: route.Kind(t.kind), Family: route.Family(t.family), Port: uint16(t.port), Implicit: t.implicit,
		Security: route.Security(t.security), User: t.user, Proxy: t.proxy, ProxyUser: t.proxyUser, Code: t.code, Text: t.text}
	var errs []error
	fail := func(flag string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	var err error
	if t.port > 65535 {
		fail("port", fmt.Errorf("%d is no port", t.port))
	}
	if t.ehlo != "" {
		tr.EHLO, err = dns.ParseName(t.ehlo)
		fail("ehlo", err)
	}
	if t.host != "" {
		tr.Host, err = route.ParseHost(t.host)
		fail("host", err)
	}
	if t.enhanced != "" {
		tr.Enhanced, err = smtp.ParseEnhanced(t.enhanced)
		fail("enhanced", err)
	}
	tr.Sources, err = addressList(t.source)
	fail("source", err)
	tr.Public, err = addressList(t.public)
	fail("public", err)
	if t.mechanisms != "" {
		tr.Mechanisms = strings.Split(strings.ToUpper(t.mechanisms), ",")
	}
	if len(errs) == 0 {
		if tr.Password, err = secret(ctx, e, t.user, t.passwordFile); err != nil {
			return tr, err
		}
		if tr.ProxyPassword, err = secret(ctx, e, t.proxyUser, t.proxyPasswordFile); err != nil {
			return tr, err
		}
		if err := tr.Check(); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return tr, usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return tr, nil
}

func addressList(s string) ([]netip.Addr, error) {
	if s == "" {
		return nil, nil
	}
	var out []netip.Addr
	for part := range strings.SplitSeq(s, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, a.Unmap())
	}
	return out, nil
}

// secret reads the password of a user; none without one.
func secret(ctx context.Context, e env, user, file string) (route.Secret, error) {
	if user == "" {
		return "", nil
	}
	if file == "" {
		password, err := askPassword(ctx, e, wanted{of: user})
		return route.Secret(password), err
	}
	password, err := firstLine(file)
	return route.Secret(password), err
}

// firstLine is the first line of a file that holds a password.
func firstLine(file string) (string, error) {
	if config.OthersRead(file) {
		return "", fmt.Errorf("everybody on this machine can read %s, and it holds a password: chmod o-rwx %s", file, file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", fmt.Errorf("the first line of %s is empty: write the password there", file)
	}
	return line, nil
}

// settings is a transport in a few words, without its secrets.
func settings(t *route.Transport) string {
	var out []string
	add := func(what, value string) {
		if value != "" && value != "0" {
			out = append(out, what+value)
		}
	}
	if t.Relays() {
		out = append(out, fmt.Sprintf("%s:%d", t.Host, t.PortNumber()), "security "+t.Security.Minimum().String())
		if t.ImplicitTLS() {
			out = append(out, "TLS from the start")
		}
	}
	add("as ", t.User)
	add("by ", strings.Join(t.Mechanisms, ","))
	add("through ", t.Proxy)
	add("as ", t.ProxyUser)
	add("EHLO ", t.EHLO.ASCII())
	add("only ", string(t.Family))
	add("from ", addresses(t.Sources))
	add("public ", addresses(t.Public))
	add("", strconv.Itoa(t.Code))
	add("", t.Enhanced.String())
	add("", t.Text)
	return strings.Join(out, ", ")
}

func addresses(list []netip.Addr) string {
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	return strings.Join(out, " ")
}

func (p *program) showTransport(ctx context.Context, o *opened, name string) error {
	t, err := o.routes.Table(ctx)
	if err != nil {
		return err
	}
	if err := t.Broken[name]; err != nil {
		return err
	}
	tr, ok := t.Transports[name]
	if !ok {
		return hintTransport(fmt.Errorf("transport %s: %w", name, routes.ErrUnknown))
	}
	text := fmt.Sprintf("%s, kind %s", tr.Name, tr.Kind)
	if s := settings(&tr); s != "" {
		text += "\n  " + s
	}
	if tr.Password != "" || tr.ProxyPassword != "" {
		text += "\n  a password is stored"
	}
	for i := range t.Rules {
		if t.Rules[i].Transport == name {
			text += fmt.Sprintf("\n  route %s: %s", delivery.ID(t.Rules[i].ID), &t.Rules[i])
		}
	}
	return p.answer(tr, "%s", text)
}

// testTransport goes to the host of a smarthost or submission transport as a
// mail would, login included, and says how far it came and what to fix.
func (p *program) testTransport(ctx context.Context, o *opened, name string) error {
	t, err := o.routes.Table(ctx)
	if err != nil {
		return err
	}
	tr, ok := t.Transports[name]
	if !ok {
		return hintTransport(errors.Join(fmt.Errorf("transport %s: %w", name, routes.ErrUnknown), t.Broken[name]))
	}
	if !tr.Relays() {
		return fmt.Errorf("transport %s is of kind %s and has no host of its own: \"waxwing explain --connect ADDRESS\" looks at a recipient's", name, tr.Kind)
	}
	router, err := server.Ways(o.options, o.store)
	if err != nil {
		return err
	}
	d, err := router.Make(tr)
	if err != nil {
		return err
	}
	relay, ok := d.(*transport.Relay)
	if !ok {
		return fmt.Errorf("transport %s cannot be tested", name)
	}
	dec, found := relay.Rehearse(ctx)
	if dec.Stop != nil {
		return fmt.Errorf("mail would wait: %s", dec.Stop.Text)
	}
	told := transport.NewTested(&tr, &dec.Plans[0], found)
	err = p.prose(told, told.Print)
	if err == nil && !told.Good {
		err = errors.New("no address of the host would get mail now")
	}
	return err
}
