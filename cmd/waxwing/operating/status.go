package operating

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/daemon"
	"waxwing/internal/listing"
	"waxwing/internal/upkeep"
)

// watchEvery is how often "status --watch" looks.
const watchEvery = 2 * time.Second

// statusVerb says whether all is well, and if not what comes first (OPS-5).
func (p *program) statusVerb() cli.Verb {
	var watch bool
	return cli.Verb{Use: "status [--watch]", Short: "is all well with this server, and if not, what comes first", JSON: true,
		Long:    "It looks from outside and changes nothing: also where no server runs, or its store is away.\nThe exit code is 1 where something is a fault or a warning; advice leaves it at 0.",
		Example: "status\nstatus --watch",
		Flags:   func(fs *pflag.FlagSet) { fs.BoolVar(&watch, "watch", false, "look again and again, until interrupted") },
		Run: func(ctx context.Context, _ []string) error {
			for {
				well, err := p.status(ctx, watch)
				switch {
				case err != nil:
					return err
				case !watch && !well:
					return errors.New("not all is well")
				case !watch:
					return nil
				}
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(watchEvery):
				}
			}
		}}
}

// status looks once.
func (p *program) status(ctx context.Context, clear bool) (well bool, err error) {
	o, err := p.LoadOptions()
	if err != nil {
		return false, err
	}
	if err := daemon.BecomeUser(o.Config); err != nil {
		return false, err
	}
	s := listing.StatusOf(o.Config.Hostname.ASCII(), upkeep.Health(ctx, o))
	if clear && p.Terminal.Width > 0 && !p.JSON {
		fmt.Fprint(p.Stdout, "\x1b[H\x1b[2J")
	}
	return s.Well, p.Prose(s, s.Print)
}
