package begin

import (
	"context"
	"io"
	"path/filepath"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/install"
	"waxwing/internal/setup"
	"waxwing/internal/upkeep"
)

// quickstartFlags are a wish as it is typed.
type quickstartFlags struct {
	local, skip         bool
	dir, hostname, user string
}

// quickstartVerb sets a machine up (SET-1, SET-3).
func (p *program) quickstartVerb() cli.Verb {
	var f quickstartFlags
	return cli.Verb{Use: "quickstart ADDRESS [--local] [--dir DIR] [--hostname NAME]", Short: "write a configuration, keys and a first account", Bare: true,
		Long:    "Without --local it sets up a server on the Internet: as root in /etc/waxwing and /var/lib/waxwing, or below --dir.\nIt prints the account's password, the DNS records to publish, and what to do next. It overwrites nothing.",
		Example: "quickstart you@example.org\nquickstart --hostname mx.example.org you@example.org\nquickstart --local you@example.test",
		Flags: func(fs *pflag.FlagSet) {
			fs.BoolVar(&f.local, "local", false, "set up for trying out: high ports on loopback, an authority of its own, no DNS")
			fs.StringVar(&f.dir, "dir", "", "write everything below this `directory`; with --local here, if empty")
			fs.StringVar(&f.hostname, "hostname", "", "`name` of this server; mail.DOMAIN if empty")
			fs.BoolVar(&f.skip, "skip-checks", false, "do not look whether the machine is fit; \"waxwing doctor\" does so later")
			fs.StringVar(&f.user, "user", "", "`name` of the user that the server runs as; waxwing if empty")
		}, Run: func(ctx context.Context, args []string) error {
			w, err := f.wish(args[0])
			if err != nil {
				return err
			}
			return p.quickstart(ctx, w, f.skip || f.local)
		}}
}

// wish reads what was typed.
func (f quickstartFlags) wish(address string) (setup.Wish, error) {
	w := setup.Wish{Local: f.local, User: f.user, Dir: f.dir}
	err := w.Read(address, f.hostname)
	if err != nil {
		return w, cli.Usagef("%v", err)
	}
	if f.local && w.Dir == "" {
		w.Dir = "."
	}
	if f.local && f.user != "" {
		return w, cli.Usagef("--user is for servers on the Internet, not for --local")
	}
	if w.Dir != "" {
		w.Dir, err = filepath.Abs(w.Dir)
	}
	return w, err
}

func (p *program) quickstart(ctx context.Context, w setup.Wish, skip bool) error {
	q, err := upkeep.Plan(ctx, w)
	if err != nil {
		return err
	}
	if !skip {
		if err := q.Fit(ctx, p.Program); err != nil {
			return err
		}
	}
	if err := install.Write(ctx, q.Plan, q.Fill); err != nil {
		return err
	}
	_, err = io.WriteString(p.Stdout, q.Tell(p.Calling(q.Plan.Config.Path)))
	return err
}
