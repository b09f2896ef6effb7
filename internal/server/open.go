package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/schema"
	"waxwing/internal/store"
)

// OpenStore opens the store that cfg names and brings its tables up to date.
// Commands that need no running server use it too.
func OpenStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (*store.Store, error) {
	return openStore(ctx, cfg, log, nil)
}

func openStore(ctx context.Context, cfg *config.Config, log *slog.Logger, g *guard.Guard) (*store.Store, error) {
	o := store.Options{Postgres: cfg.Postgres, Migrations: schema.FS, Log: log, Guard: g}
	if cfg.Postgres != "" {
		return opened(ctx, o)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir %s cannot be made: %w", cfg.DataDir, err)
	}
	o.Path = storeFiles(cfg)[0]
	if err := checkMagic(o.Path); err != nil {
		return nil, whose(cfg, fmt.Errorf("open the store: %w", err))
	}
	s, err := opened(ctx, o)
	if err != nil {
		return nil, whose(cfg, err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(Adopt(cfg), closeStore(cfg, log)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func opened(ctx context.Context, o store.Options) (*store.Store, error) {
	s, err := store.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return s, nil
}

// databaseName is the embedded store's file in the data directory.
const databaseName = "waxwing.db"

func spoolDir(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "spool") }

// makeSpool makes the directory for long messages that are coming in. It is in the
// data directory, where there is room and nobody else reads; a /tmp may be memory.
func makeSpool(cfg *config.Config) (string, error) {
	dir := spoolDir(cfg)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("the directory for incoming messages: %w; data_dir must be writable", err)
	}
	return dir, Adopt(cfg)
}

// magic is what every SQLite database begins with (sqlite.org/fileformat2.html §1.3).
const magic = "SQLite format 3\x00"

// checkMagic tells a file that is something else from a database that cannot be
// opened: the engine's own words for it speak of locks and encryption. No file and
// an empty one are a database to be.
func checkMagic(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() // only read
	b := make([]byte, len(magic))
	switch n, err := io.ReadFull(f, b); {
	case err == io.EOF:
		return nil
	case err != nil && err != io.ErrUnexpectedEOF:
		return err
	case string(b[:n]) != magic:
		return fmt.Errorf("%s is no SQLite database: it is another program's file, or its beginning was overwritten; move it away and put a backup in its place", path)
	}
	return nil
}
