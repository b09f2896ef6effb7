package operating

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/upkeep"
)

// exportVerb writes what the store keeps as one file (OPS-6).
func (p *program) exportVerb() cli.Verb {
	var e upkeep.Exporting
	return cli.Verb{Use: "export [FILE] [--keys] [--sieve]", Short: "write domains, accounts, keys, routes … as one TOML file", Example: "export waxwing-store.toml\nexport --keys /root/waxwing-store.toml",
		Long: "The file holds domains, accounts, addresses, MTA-STS policies, DKIM keys, transports, routes and global Sieve scripts; without FILE it goes to standard output. " +
			"The same store is always the same text, so that it can live in git.\n\"waxwing apply\" makes a store what it says.",
		Flags: func(fs *pflag.FlagSet) {
			fs.BoolVar(&e.Sieve, "sieve", false, "with the Sieve scripts of accounts, which their owners change: \"apply\" puts them back as they are in the file")
			fs.BoolVar(&e.Keys, "keys", false, "with private keys, passwords of transports and hashes of passwords: a file that nobody else may read")
		},
		Run: func(ctx context.Context, args []string) error {
			if len(args) == 0 {
				return p.WithStore(ctx, func(o *upkeep.Opened) error {
					text, err := o.Export(ctx, e)
					if err != nil {
						return err
					}
					_, err = p.Stdout.Write(text)
					return err
				})
			}
			return p.exportTo(ctx, args[0], e)
		}}
}

// exportTo writes into a file. It is opened first, by whoever calls: the rest is done as the
// user that has the store (SET-7). What it held stays until the store has been read.
func (p *program) exportTo(ctx context.Context, path string, e upkeep.Exporting) (err error) {
	mode := fs.FileMode(0o644)
	if e.Keys {
		mode = 0o600
	}
	_, lerr := os.Lstat(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, mode)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil && errors.Is(lerr, fs.ErrNotExist) {
			os.Remove(path) // it was made here, and is of no use
		}
	}()
	info, err := f.Stat()
	if err == nil && e.Keys && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(0o600)
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return p.WithStore(ctx, func(o *upkeep.Opened) error {
		text, err := o.Export(ctx, e)
		if err == nil && info.Mode().IsRegular() {
			err = f.Truncate(0)
		}
		if err == nil {
			_, err = f.Write(text)
		}
		if err == nil && info.Mode().IsRegular() {
			err = f.Sync()
		}
		return err
	})
}
