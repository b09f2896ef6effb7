package operating

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/backup"
	"waxwing/internal/cli"
	"waxwing/internal/upkeep"
)

// backupCommand is "backup DIR" and what is done with backups. A copy of the store's file
// alone would lack what the write-ahead log still holds: mail that was answered with 250.
func (p *program) backupCommand() *cobra.Command {
	c := p.Command(p.makeBackup())
	var id string
	choose := func(fs *pflag.FlagSet) {
		fs.StringVar(&id, "id", "", "the backup with this `name`; the newest if empty")
	}
	c.AddCommand(
		p.Command(cli.Verb{Use: "list DIR", Short: "the backups in a directory, newest first", Bare: true, JSON: true, Example: "backup list /var/backups/waxwing",
			Run: func(_ context.Context, args []string) error {
				all, err := newSet(args[0]).List()
				if err != nil {
					return err
				}
				return cli.Show(p.Program, backup.Rows(all), backup.Listing())
			}}),
		p.Command(cli.Verb{Use: "verify DIR [--id NAME]", Short: "read a whole backup, and look whether its store is sound", Bare: true, Flags: choose,
			Long:    "The store is put together in the directory for temporary files (TMPDIR), which needs the room, and checked page by page and message by message.",
			Example: "backup verify /var/backups/waxwing",
			Run: func(ctx context.Context, args []string) error {
				return upkeep.VerifyBackup(ctx, newSet(args[0]), id, p.Stdout)
			}}))
	return c
}

func (p *program) makeBackup() cli.Verb {
	var keep int
	var storeOnly bool
	return cli.Verb{Use: "backup DIR [--keep N] [--store-only]", Short: "add a backup of this server to a directory, also while it runs", JSON: true,
		Long: "The backup holds the embedded store, the configuration, the files that it names and those of data_dir. It is whole by itself; what earlier " +
			"ones in the directory have already is not written again.\nA directory has a slash in its name, such as ./backups.",
		Example: "backup /var/backups/waxwing --keep 30",
		Flags: func(fs *pflag.FlagSet) {
			fs.IntVar(&keep, "keep", 0, "remove all but the newest `N` backups afterwards; 0: none")
			fs.BoolVar(&storeOnly, "store-only", false, "leave configuration, certificates and keys out")
		},
		Refuse: func(args []string) error {
			switch {
			case len(args) == 1 && !strings.Contains(args[0], "/"):
				return cli.Usagef("there is no action %q; a directory is written with a slash: ./%s", args[0], args[0])
			case keep < 0:
				return cli.Usagef("--keep needs a number from 0 on")
			}
			return nil
		},
		Run: func(ctx context.Context, args []string) error { return p.backUp(ctx, args[0], keep, !storeOnly) }}
}

func newSet(dir string) *backup.Set { return &backup.Set{Dir: dir, Now: time.Now} }

func (p *program) backUp(ctx context.Context, dir string, keep int, keys bool) error {
	cfg, err := p.LoadConfig()
	if err != nil {
		return err
	}
	made, err := (&upkeep.BackingUp{Config: cfg, Path: p.Config, Program: p.Version, Keep: keep, Keys: keys, Stderr: p.Stderr}).Run(ctx, dir)
	if err != nil {
		return err
	}
	return p.Answer(made, "%s", made)
}
