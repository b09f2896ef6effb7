package operating

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/inventory"
	"waxwing/internal/upkeep"
)

// applyVerb makes the store what a file says (OPS-6).
func (p *program) applyVerb() cli.Verb {
	var a upkeep.Applying
	var tell bool
	return cli.Verb{Use: "apply FILE [--dry-run] [--yes]", Short: "make the store what a file of \"export\" says", JSON: true, Example: "apply waxwing-store.toml --dry-run\napply waxwing-store.toml",
		Long: "Each change is a line: + is added, ~ changed, - removed. All are made together or none; a running server takes them up at once. FILE - is standard input.\n" +
			"A section that the file does not have is left alone; one that is empty has no entries afterwards. Passwords and private keys that the file does not have stay as they are.\n" +
			"It says what would break, and does it where nothing does or with --yes.",
		Flags: func(fs *pflag.FlagSet) {
			fs.BoolVar(&a.Try, "dry-run", false, "say what would be changed, and change nothing")
			fs.BoolVar(&a.Yes, "yes", false, "do it, whatever breaks")
			fs.BoolVar(&tell, "exit-code", false, "with --dry-run: exit code 1 where something would be changed")
		},
		Refuse: func([]string) error {
			if tell && !a.Try {
				return cli.Usagef("--exit-code goes with --dry-run")
			}
			return nil
		},
		Run: func(ctx context.Context, args []string) error { return p.apply(ctx, args[0], a, tell) }}
}

func (p *program) apply(ctx context.Context, name string, a upkeep.Applying, tell bool) error {
	text, err := p.document(name) // by whoever calls; the rest is done as the user that has the store
	if err != nil {
		return err
	}
	if name == "-" {
		name = "standard input"
	}
	return p.WithStore(ctx, func(o *upkeep.Opened) error {
		done, err := o.Apply(ctx, name, text, a)
		if err != nil && len(done.Changes) == 0 {
			return err
		}
		if perr := p.Prose(done, done.Print); perr != nil {
			return perr
		}
		if err == nil && tell && len(done.Changes) > 0 {
			return fmt.Errorf("the store is not as %s says", name)
		}
		return err
	})
}

// document reads the file; "-" is standard input.
func (p *program) document(name string) ([]byte, error) {
	from := p.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close() // only read
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, inventory.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return text, nil
}
