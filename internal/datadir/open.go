// Package datadir is the data directory: whose it is, and the store, the spool and the
// outcomes in it. The server, and each command that runs without one, comes by the store
// here, be it in that directory or in PostgreSQL.
package datadir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"waxwing/internal/config"
	"waxwing/internal/schema"
	"waxwing/internal/store"
)

// OpenStore opens the store that cfg names and brings its tables up to date.
// Commands that need no running server use it too. It never makes one: where there
// is none, a file system may not be mounted.
func OpenStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (*store.Store, error) {
	return openStore(ctx, cfg, store.Options{Log: log})
}

// ServeStore is OpenStore for the one server on the store, with what else o says.
func ServeStore(ctx context.Context, cfg *config.Config, o store.Options) (*store.Store, error) {
	o.Serve = true
	return openStore(ctx, cfg, o)
}

// PeekStore opens the store that cfg names as it is, to look at: nothing is migrated,
// and no file changes hands.
func PeekStore(ctx context.Context, cfg *config.Config) (*store.Store, error) {
	if cfg.Postgres != "" {
		return store.Open(ctx, store.Options{Postgres: cfg.Postgres})
	}
	return store.Open(ctx, store.Options{Path: StoreFiles(cfg)[0]})
}

// InitStore makes the store that cfg names where there is none; made is false where
// there was one. For whoever sets a machine up.
func InitStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (made bool, err error) {
	s, err := openStore(ctx, cfg, store.Options{Log: log})
	if errors.Is(err, store.ErrNoStore) {
		if cfg.Postgres == "" {
			if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
				return false, fmt.Errorf("data_dir %s cannot be made: %w", cfg.DataDir, err)
			}
		}
		made = true
		s, err = openStore(ctx, cfg, store.Options{Log: log, Create: true})
	}
	if err != nil {
		return false, err
	}
	return made, s.Close()
}

// openStore opens the store of cfg, with what else o says.
func openStore(ctx context.Context, cfg *config.Config, o store.Options) (*store.Store, error) {
	o.Migrations = schema.FS
	if o.Postgres = cfg.Postgres; o.Postgres != "" {
		return opened(ctx, o)
	}
	o.Path = StoreFiles(cfg)[0]
	s, err := opened(ctx, o)
	if err != nil {
		return nil, whose(cfg, err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(Adopt(cfg), closeStore(cfg, o.Log)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func opened(ctx context.Context, o store.Options) (*store.Store, error) {
	s, err := store.Open(ctx, o)
	switch {
	case errors.Is(err, store.ErrNoStore):
		return nil, fmt.Errorf("open the store: %w; if there was one, see that its file system is mounted and that postgres and data_dir in the configuration are right; \"waxwing store init\" makes a new one", err)
	case err != nil:
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return s, nil
}

// databaseName is the embedded store's file in the data directory.
const databaseName = "waxwing.db"

// Spool is the directory for long messages that are coming in.
func Spool(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "spool") }

// MakeSpool makes the directory for long messages that are coming in, and the file for
// outcomes. They are in the data directory, where there is room and nobody else reads; a
// /tmp may be memory.
func MakeSpool(cfg *config.Config) (string, error) {
	dir := Spool(cfg)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("the directory for incoming messages: %w; data_dir must be writable", err)
	}
	if err := touch(Outcomes(cfg)); err != nil {
		return "", fmt.Errorf("the file for outcomes: %w; data_dir must be writable", err)
	}
	return dir, Adopt(cfg)
}

// Outcomes is where the queue keeps what the store does not take.
func Outcomes(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "outcomes") }

// touch makes a file that is not there. No link leads it out of the directory.
func touch(path string) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.Base(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
