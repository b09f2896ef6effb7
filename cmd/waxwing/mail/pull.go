package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/transfer"
	"waxwing/internal/transfer/imapclient"
	"waxwing/internal/upkeep"
)

// pulling is one call of "mail pull".
type pulling struct {
	password, ca, name, into string
	only                     []string
	overfull                 bool
}

func (p *program) pullVerb() cli.Verb {
	var f pulling
	return cli.Verb{Use: "pull URL ACCOUNT", Short: "take in mail from another IMAP server, while this one runs", JSON: true,
		Long: "URL is imaps://USER@HOST or imap://USER@HOST, which needs STARTTLS, each with a :PORT if need be. Nothing is changed there. " +
			"Called again, it takes what has come since: it remembers by UID how far it was.",
		Example: "mail pull imaps://joe@mail.example.net joe --password-file secret\nmail pull imaps://joe%40example.net@mail.example.net joe --mailbox INBOX,Sent",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&f.password, "password-file", "", "the `file` whose first line is the password; else it is asked for")
			overQuota(fs, &f.overfull)
			fs.StringSliceVar(&f.only, "mailbox", nil, "only these `mailboxes`, with commas between")
			fs.StringVar(&f.into, "into", "", "the `mailbox` above all that come; else they are called as there")
			fs.StringVar(&f.ca, "ca", "", "a `file` with the certificates, in PEM, to one of which that of the server must lead; else those of the system")
			fs.StringVar(&f.name, "tls-name", "", "the `name` that the certificate must have; else that of the host")
		}, Run: func(ctx context.Context, args []string) error { return p.pullMail(ctx, args[0], args[1], f) }}
}

// remote is a server and who logs in there.
type remote struct {
	host, port, user string
	tls              bool // from the start
}

// parseRemote reads a URL. A user may have an @, also one that is not written as %40.
func parseRemote(s string) (r remote, err error) {
	scheme, rest, ok := strings.Cut(s, "://")
	switch scheme {
	case "imaps":
		r.tls, r.port = true, "993"
	case "imap":
		r.port = "143"
	default:
		ok = false
	}
	at := strings.LastIndexByte(rest, '@')
	if !ok || at <= 0 {
		return r, cli.Usagef("%q: say imaps://USER@HOST", s)
	}
	if strings.Contains(rest[:at], ":") {
		return r, cli.Usagef("no password stands in the URL, where others of this machine see it: it is asked for, or --password-file names it")
	}
	if r.user, err = url.PathUnescape(rest[:at]); err != nil {
		return r, cli.Usagef("%q: %v", s, err)
	}
	host, path, _ := strings.Cut(rest[at+1:], "/")
	if path != "" {
		return r, cli.Usagef("%q: mailboxes are named with --mailbox", s)
	}
	r.host = host
	if h, port, err := net.SplitHostPort(host); err == nil {
		r.host, r.port = h, port
	}
	r.host = strings.Trim(r.host, "[]")
	if r.host == "" {
		return r, cli.Usagef("%q names no host", s)
	}
	return r, nil
}

func (r *remote) address() string { return net.JoinHostPort(r.host, r.port) }

// here tells a server of this machine, to which a password may go without TLS.
func (r *remote) here() bool {
	ip, err := netip.ParseAddr(r.host)
	return r.host == "localhost" || err == nil && ip.IsLoopback()
}

func (p *program) pullMail(ctx context.Context, from, account string, f pulling) error {
	r, err := parseRemote(from)
	if err != nil {
		return err
	}
	if f.name == "" {
		f.name = r.host
	}
	cfg, err := tlsTo(f.name, f.ca)
	if err != nil {
		return err
	}
	password, err := p.Secret(ctx, r.user, f.password)
	if err != nil {
		return err
	}
	return p.WithStore(ctx, func(o *upkeep.Opened) error {
		if err := o.Accounts.MustExist(ctx, account); err != nil {
			return err
		}
		bar := p.bar()
		pl := &transfer.Puller{Source: r.user + "@" + r.address(), Only: f.only, Into: f.into,
			Importer: transfer.Importer{Boxes: into(o, f.overfull), Account: account, Max: maxImported, Temp: forLong(o), Progress: bar.show, Left: bar.left}}
		c, err := r.dial(ctx, cfg, pl.Take)
		if err != nil {
			return fmt.Errorf("%s: %w", r.address(), err)
		}
		defer c.Logout()
		if err := c.Login(r.user, password); err != nil {
			return fmt.Errorf("%s: %w", r.address(), err)
		}
		err = p.pulled(ctx, pl, c, &r)
		return p.ended(bar, pl.Done(), "taken", explained(o, account, err))
	})
}

func (p *program) pulled(ctx context.Context, pl *transfer.Puller, c *imapclient.Client, r *remote) error {
	if err := pl.Pull(ctx, c); err != nil {
		return fmt.Errorf("%s: %w; called again, it goes on where it was", r.address(), errors.Join(context.Cause(ctx), err))
	}
	return nil
}

func tlsTo(host, ca string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if ca == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM", ca)
	}
	return cfg, nil
}

// dial connects, with TLS. The connection ends with ctx.
func (r *remote) dial(ctx context.Context, cfg *tls.Config, take func(io.Reader, int64) (any, error)) (*imapclient.Client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.address())
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	if r.tls {
		over := tls.Client(conn, cfg)
		if err := over.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return imapclient.New(over, take)
	}
	c, err := imapclient.New(conn, take)
	if err != nil || r.here() {
		return c, err
	}
	if err := c.StartTLS(cfg); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}
