package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	if err := mustHaveStore(f.config); err != nil {
		return err
	}
	return withStore(ctx, e, f, func(o *opened) error {
		if err := o.store.Backup(ctx, to); err != nil {
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

// mustHaveStore refuses to back up a store that would only be made by opening it.
func mustHaveStore(path string) error {
	cfg, err := loadConfig(path)
	if err != nil || cfg.Postgres != "" {
		return err
	}
	db := filepath.Join(cfg.DataDir, "waxwing.db")
	if _, err := os.Stat(db); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store to back up: %s does not exist", db)
	}
	return nil
}
