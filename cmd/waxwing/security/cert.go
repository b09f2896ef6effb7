package security

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/dns"
	"waxwing/internal/acme"
	"waxwing/internal/cli"
	"waxwing/internal/daemon"
	"waxwing/internal/handshakes"
	"waxwing/internal/hostkeys"
	"waxwing/internal/server"
	"waxwing/internal/upkeep"
)

// certNoun shows and moves the host's certificates and keys (CRT-1, CRT-3, CRT-6).
func (p *program) certNoun() *cobra.Command {
	var k certFlags
	return p.Noun("cert", "the host's certificates, and the keys that they are for",
		cli.Verb{Use: "list", Short: "the certificates that there should be, and when each is renewed", JSON: true, Run: command.List(p.Call, p.onCertificates, command.Of((*acme.Service).Rows), acme.Listing())},
		cli.Verb{Use: "keys", Short: "the host's keys, what stage each is in, what it waits for, and its TLSA record", JSON: true, Run: command.List(p.Call, p.onCertificates, command.Of((*acme.Service).KeyRows), acme.KeyListing())},
		cli.Verb{Use: "look", Short: "ask the zone's own servers for the TLSA records now, and list the keys", JSON: true, Run: command.List(p.Call, p.onCertificates, command.Of((*acme.Service).LookNow), acme.KeyListing())},
		cli.Verb{Use: "handshakes", Short: "networks whose mail servers could begin TLS with this host, and cannot any more", JSON: true,
			Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]handshakes.Row, error) {
				return handshakes.Failing(ctx, o.Store)
			}, handshakes.Listing())},
		cli.Verb{Use: "issue [NAME]", Short: "ask the authority now: for the host, or for one of its names", Example: "cert issue\ncert issue mta-sts.example.org", Run: p.onCertificates(p.issueNow)},
		cli.Verb{Use: "roll", Short: "have the next key take over, once DNS has shown its record for long enough", Flags: k.roll, Example: "cert roll\ncert roll --algorithm rsa\ncert roll --cancel",
			Run: p.onCertificates(func(ctx context.Context, s *acme.Service, _ []string) error { return p.roll(ctx, s, k) })},
		cli.Verb{Use: "make", Short: "make the host's keys, where they are not there yet", JSON: true, Run: func(context.Context, []string) error { return p.onHostKeys(hostkeys.Make) }},
		cli.Verb{Use: "add --algorithm A", Short: "make one more key, to come next", JSON: true, Flags: k.choose, Example: "cert add --algorithm ecdsa",
			Run: func(context.Context, []string) error { return p.addHostKey(k) }})
}

// certFlags are a key as it is typed.
type certFlags struct {
	algorithm string
	cancel    bool
}

func (k *certFlags) choose(fs *pflag.FlagSet) {
	fs.StringVar(&k.algorithm, "algorithm", "", "`name`: ecdsa or rsa")
}

func (k *certFlags) roll(fs *pflag.FlagSet) {
	fs.StringVar(&k.algorithm, "algorithm", "", "`name`: ecdsa or rsa; both if empty")
	fs.BoolVar(&k.cancel, "cancel", false, "take the request back: the key in use stays")
}

// check refuses what is no algorithm.
func (k *certFlags) check(empty bool) error {
	if k.algorithm == "" && empty || slices.Contains(hostkeys.Algorithms(), hostkeys.Algorithm(k.algorithm)) {
		return nil
	}
	return cli.Usagef("--algorithm is ecdsa or rsa, not %q", k.algorithm)
}

// onCertificates is what a command does with the certificates and keys in the store. The
// running server sees what it changes within seconds.
func (p *program) onCertificates(fn func(context.Context, *acme.Service, []string) error) cli.Action {
	return p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
		s, err := server.CertificateRoom(o.Options, o.Store)
		if err != nil {
			return err
		}
		return fn(ctx, s, args)
	})
}

// issueNow asks the server to ask the authority.
func (p *program) issueNow(ctx context.Context, s *acme.Service, args []string) error {
	if s.CA == nil {
		return errors.New("there is no authority to ask: set acme.directory in the configuration")
	}
	name := s.Host
	if len(args) > 0 {
		var err error
		if name, err = dns.ParseName(args[0]); err != nil {
			return cli.Usagef("%v", err)
		}
	}
	n, err := s.Ask(ctx, name.ASCII())
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "asked for %d of %s: the running server does it within seconds; see \"waxwing cert list\"\n", n, name)
	return nil
}

// roll asks for a roll-over, or takes that back, and says what is awaited.
func (p *program) roll(ctx context.Context, s *acme.Service, k certFlags) error {
	if err := k.check(true); err != nil {
		return err
	}
	if err := s.Want(ctx, hostkeys.Algorithm(k.algorithm), !k.cancel); err != nil {
		return err
	}
	rows, err := s.KeyRows(ctx)
	if err != nil {
		return err
	}
	return cli.Show(p.Program, rows, acme.KeyListing())
}

// onHostKeys makes keys in the directory of the host's. It needs no store.
func (p *program) onHostKeys(run func(dir string) ([]hostkeys.Key, error)) error {
	cfg, err := p.LoadConfig()
	if err != nil {
		return err
	}
	if err := daemon.BecomeOwner(cfg); err != nil {
		return err
	}
	keys, err := run(cfg.HostKeysDir())
	if err != nil {
		return err
	}
	return p.showKeys(keys, cfg.Hostname)
}

// addHostKey makes one more key.
func (p *program) addHostKey(k certFlags) error {
	if err := k.check(false); err != nil {
		return err
	}
	return p.onHostKeys(func(dir string) ([]hostkeys.Key, error) { return acme.AddKey(dir, hostkeys.Algorithm(k.algorithm)) })
}

func (p *program) showKeys(keys []hostkeys.Key, host dns.Name) error {
	all := hostkeys.Rows(keys, host)
	return p.Prose(all, func(w io.Writer) {
		for _, k := range all {
			fmt.Fprintln(w, k.Record)
		}
	})
}
