package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"waxwing/internal/server"
)

// runBackup copies the embedded store to a new file, also while the server runs. A
// copy of the file alone would lack what the write-ahead log still holds: mail that
// was answered with 250.
func runBackup(ctx context.Context, e env, args []string) error {
	var f storeFlags
	set := flags(e, "backup", "")
	f.add(set)
	rest, err := parse(set, args)
	if err != nil {
		return err
	}
	if err := wants("backup", rest, "file"); err != nil {
		return err
	}
	to, err := filepath.Abs(rest[0])
	if err != nil {
		return err
	}
	return withStore(ctx, e, f, func(o *opened) error {
		err := o.store.Backup(ctx, to)
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%w: this command runs as %s, the user who has the store, and writes as that user", err, server.UserName(os.Geteuid()))
		}
		if err != nil {
			return err
		}
		info, err := os.Stat(to)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "the store is in %s, %d octets; the configuration and its keys are to be kept beside it\n", to, info.Size())
		return err
	})
}
