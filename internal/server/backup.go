package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"waxwing/internal/backup"
	"waxwing/internal/config"
	"waxwing/internal/control"
	"waxwing/internal/datadir"
	"waxwing/internal/store"
)

// lastBackup is the file in the data directory whose time is that of the last backup, by
// whatever means.
func lastBackup(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "last-backup") }

// backedUp says that a backup was made just now.
func backedUp(cfg *config.Config, id string) error {
	path := lastBackup(cfg)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(id+"\n"), 0o600)
}

// Backing is what goes into a backup.
type Backing struct {
	Config  *config.Config
	Path    string // that Config was read from
	Version string // of this program
	Keys    bool   // configuration, certificates and keys too; false: only the store
}

// Backup adds a backup of the server to a set (OPS-3). The store's schema stays as it is, so
// that one made before an upgrade is of before it.
func (b Backing) Backup(ctx context.Context, set *backup.Set) (*backup.Made, []backup.Left, error) {
	cfg := b.Config
	from := backup.Source{Hostname: cfg.Hostname.ASCII(), Program: b.Version}
	var left []backup.Left
	if b.Keys {
		var err error
		without := []string{filepath.Base(datadir.StoreFile(cfg)), filepath.Base(datadir.Spool(cfg)), control.Socket, filepath.Base(lastBackup(cfg))}
		if from.Files, left, err = backup.Origins(cfg, b.Path, without); err != nil {
			return nil, nil, err
		}
	}
	s, err := datadir.PeekStore(ctx, cfg)
	if errors.Is(err, store.ErrNoStore) {
		return nil, nil, fmt.Errorf("%w: there is nothing to back up", err)
	}
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	from.Snapshot = s.Snapshot
	if !s.Postgres() {
		if from.Schema, err = s.Schema(ctx); err != nil {
			return nil, nil, err
		}
	}
	made, err := set.Make(ctx, from)
	if err != nil {
		return nil, nil, err
	}
	return made, left, backedUp(cfg, made.ID)
}
