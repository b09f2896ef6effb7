package datadir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"waxwing/internal/config"
)

// LastBackup is the file in the data directory whose time is that of the last backup, by
// whatever means.
func LastBackup(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "last-backup") }

// BackedUp says that a backup was made just now.
func BackedUp(cfg *config.Config, id string) error {
	path := LastBackup(cfg)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(id+"\n"), 0o600)
}

// StoreSize is that of the embedded store's files, in octets; 0 with PostgreSQL.
func StoreSize(cfg *config.Config) (n int64) {
	if cfg.Postgres != "" {
		return 0
	}
	for _, path := range StoreFiles(cfg)[:2] {
		if info, err := os.Stat(path); err == nil {
			n += info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return 0
		}
	}
	return n
}
