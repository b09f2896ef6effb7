package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/smtp"
)

func transportActions() []action {
	return []action{
		{"add", "NAME -kind KIND …", "make one; asks for its password"},
		{"set", "NAME -kind KIND …", "change one as a whole, its password too"},
		{"list", "", "all transports"},
		{"show", "NAME", "one, with the routes that lead to it"},
		{"test", "NAME", "go to its host as a mail would, and send nothing"},
		{"remove", "NAME", "forget one that no route and no waiting mail names"},
	}
}

// runTransport keeps the ways that mail can take. Passwords come from standard
// input or a file, so that they stand in no process list and no shell history.
func runTransport(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "transport", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "transport", what)
	f.addJSON(fs, what, "list", "show", "test")
	var t transportFlags
	if what == "add" || what == "set" {
		t.add(fs)
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "list" {
		if err := only(rest); err != nil {
			return err
		}
		return withRoutes(ctx, e, f, func(s *routes.Store) error { return listTransports(ctx, e, s, f.json) })
	}
	if err := wants(what, rest, "name"); err != nil {
		return err
	}
	name := rest[0]
	switch what {
	case "show":
		return withRoutes(ctx, e, f, func(s *routes.Store) error { return showTransport(ctx, e, s, name, f.json) })
	case "test":
		return withStore(ctx, e, f, func(o *opened) error { return testTransport(ctx, e, o, f, name) })
	case "remove":
		return withRoutes(ctx, e, f, func(s *routes.Store) error {
			err := s.RemoveTransport(ctx, name)
			if errors.Is(err, routes.ErrInUse) {
				return fmt.Errorf("%w: \"waxwing route list\" and \"waxwing queue list\" show by what", err)
			}
			return hintTransport(err)
		})
	}
	tr, err := t.transport(ctx, e, name)
	if err != nil {
		return err
	}
	return withRoutes(ctx, e, f, func(s *routes.Store) error {
		if what == "add" {
			err = s.AddTransport(ctx, tr)
		} else {
			err = s.SetTransport(ctx, tr)
		}
		return hintTransport(err)
	})
}

// hintTransport says where to look for what there is.
func hintTransport(err error) error {
	if errors.Is(err, routes.ErrUnknown) {
		return fmt.Errorf("%w; \"waxwing transport list\" shows all", err)
	}
	return err
}

func withRoutes(ctx context.Context, e env, f storeFlags, fn func(*routes.Store) error) error {
	return withStore(ctx, e, f, func(o *opened) error { return fn(&routes.Store{DB: o.store}) })
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

func (t *transportFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&t.kind, "kind", "", "direct, smarthost, submission, socks5, fail or local")
	fs.StringVar(&t.ehlo, "ehlo", "", "`name` to greet with instead of the server's")
	fs.StringVar(&t.family, "family", "", "connect over `ipv4` or ipv6 only")
	fs.StringVar(&t.source, "source", "", "`addresses` of this machine to connect from, one a family, separated by commas")
	fs.StringVar(&t.host, "host", "", "smarthost, submission: the `host` that takes the mail")
	fs.UintVar(&t.port, "port", 0, "smarthost, submission: `port` (default 25; 587 for submission; 465 is TLS from the start)")
	fs.BoolVar(&t.implicit, "implicit-tls", false, "submission: TLS from the start on a port other than 465")
	fs.StringVar(&t.security, "security", "", "smarthost, submission: verified (the default), dane, tls or any")
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
			errs = append(errs, fmt.Errorf("-%s: %w", flag, err))
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

func listTransports(ctx context.Context, e env, s *routes.Store, asJSON bool) error {
	all, err := s.Transports(ctx)
	if err != nil {
		return err
	}
	t, err := s.Table(ctx)
	if err != nil {
		return err
	}
	for what, err := range t.Broken {
		fmt.Fprintf(e.stderr, "waxwing transport: %s cannot be used, and mail waits: %v\n", what, err)
	}
	if asJSON {
		return printJSON(e.stdout, all)
	}
	rows := [][]string{}
	for _, tr := range all {
		rows = append(rows, []string{tr.Name, string(tr.Kind), settings(&tr)})
	}
	return table(e, []string{"NAME", "KIND", "SETTINGS"}, rows)
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

func showTransport(ctx context.Context, e env, s *routes.Store, name string, asJSON bool) error {
	t, err := s.Table(ctx)
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
	if asJSON {
		return printJSON(e.stdout, tr)
	}
	fmt.Fprintf(e.stdout, "%s, kind %s\n", tr.Name, tr.Kind)
	if s := settings(&tr); s != "" {
		fmt.Fprintf(e.stdout, "  %s\n", s)
	}
	if tr.Password != "" || tr.ProxyPassword != "" {
		fmt.Fprintln(e.stdout, "  a password is stored")
	}
	for i := range t.Rules {
		if t.Rules[i].Transport == name {
			fmt.Fprintf(e.stdout, "  route %s: %s\n", delivery.ID(t.Rules[i].ID), &t.Rules[i])
		}
	}
	return nil
}
