package operating

import (
	"context"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/upkeep"
)

// restoreVerb puts a backup back.
func (p *program) restoreVerb() cli.Verb {
	var id string
	return cli.Verb{Use: "restore DIR [--id NAME]", Short: "put a backup back where there is no store: configuration, files, store",
		Long: "Nothing is written over. Where there is a configuration already, it stays and says where all goes; so do files that are there. The store " +
			"must not be there: end the server, and move waxwing.db, waxwing.db-wal and waxwing.db-shm away. Mail that was waiting when the backup was made and " +
			"was delivered since is delivered again.",
		Example: "restore /var/backups/waxwing",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&id, "id", "", "the backup with this `name`; the newest if empty")
		},
		Run: func(ctx context.Context, args []string) error {
			set := newSet(args[0])
			m, err := set.Find(id)
			if err != nil {
				return err
			}
			r := &upkeep.Restoring{Config: p.Config, Set: set, Backup: m, Stderr: p.Stderr}
			if err := r.Run(ctx); err != nil {
				return err
			}
			r.Print(p.Stdout)
			return nil
		}}
}
