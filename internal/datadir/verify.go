package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"waxwing/internal/body"
	"waxwing/internal/config"
	"waxwing/internal/schema"
	"waxwing/internal/store"
)

// VerifyStore looks whether the store in a file is sound, and one that this program knows.
func VerifyStore(ctx context.Context, path string) error {
	s, err := store.Open(ctx, store.Options{Path: path})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Integrity(ctx); err != nil {
		return err
	}
	has, err := s.Schema(ctx)
	if err != nil {
		return err
	}
	known, err := newestSchema()
	if err != nil {
		return err
	}
	if has > known {
		return fmt.Errorf("%w: its schema has version %d, this program knows %d", store.ErrNewerSchema, has, known)
	}
	if has < known {
		return nil // what stands in which table is an older program's
	}
	return body.Check(ctx, s)
}

// newestSchema is the version that this program migrates stores to.
func newestSchema() (version int64, err error) {
	files, err := fs.ReadDir(schema.FS, ".")
	for _, f := range files {
		if n, _, ok := strings.Cut(f.Name(), "_"); ok {
			var v int64
			if _, err := fmt.Sscanf(n, "%d", &v); err == nil {
				version = max(version, v)
			}
		}
	}
	return version, err
}

// StoreFile is the embedded store's file.
func StoreFile(cfg *config.Config) string { return StoreFiles(cfg)[0] }

// VacantStore is nil where a store can be put into the data directory: there is none, and
// nothing of one that was.
func VacantStore(cfg *config.Config) error {
	if cfg.Postgres != "" {
		return errors.New("the configuration names a PostgreSQL database: restore that with pg_restore (docs/operating/backup.md)")
	}
	for _, path := range StoreFiles(cfg)[:3] {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there, and nothing is written over: end the server and move waxwing.db, waxwing.db-wal and waxwing.db-shm out of %s first", path, cfg.DataDir)
		}
	}
	return nil
}
