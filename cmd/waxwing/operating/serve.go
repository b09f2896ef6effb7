package operating

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/daemon"
	"waxwing/internal/process"
)

// serveVerb runs the server until it is told to stop.
func (p *program) serveVerb() cli.Verb {
	var profile, user string
	return cli.Verb{Use: "serve [--config FILE] [--user NAME]", Short: "run the mail server", Example: "serve --config /etc/waxwing/waxwing.toml", Flags: func(fs *pflag.FlagSet) {
		fs.StringVar(&user, "user", "", "as root: bind the ports, and then be this `user` for good")
		fs.StringVar(&profile, "cpuprofile", "", "write a profile of the processor time, for \"go tool pprof\", to this `file`")
	}, Run: func(ctx context.Context, _ []string) error {
		cfg, err := checkedConfig(p.Config)
		if err != nil {
			return err
		}
		return (&daemon.Service{Stderr: p.Stderr, Screen: cli.ScreenOf(p.Stderr, os.Getenv), Path: p.Config, Config: cfg, Version: p.Version, User: user, Prepare: func() (func(), error) {
			process.SpareGC()
			return startProfile(profile)
		}}).Run(ctx)
	}}
}

// startProfile writes a profile to a file, if one is named, until stop is called.
func startProfile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--cpuprofile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
