package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"waxwing/internal/config"
	"waxwing/internal/schema"
	"waxwing/internal/store"
)

// OpenStore opens the store that cfg names and brings its tables up to date.
// Commands that need no running server use it too.
func OpenStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (*store.Store, error) {
	o := store.Options{Postgres: cfg.Postgres, Migrations: schema.FS, Log: log}
	if cfg.Postgres == "" {
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("data_dir %s cannot be made: %w", cfg.DataDir, err)
		}
		o.Path = filepath.Join(cfg.DataDir, "waxwing.db")
	}
	s, err := store.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return s, nil
}
