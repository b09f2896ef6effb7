package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"waxwing/internal/backup"
	"waxwing/internal/config"
	"waxwing/internal/control"
	"waxwing/internal/daemon"
	"waxwing/internal/datadir"
	"waxwing/internal/store"
	"waxwing/internal/text"
)

// BackingUp is one call of "waxwing backup".
type BackingUp struct {
	Config  *config.Config
	Path    string // of the configuration
	Program string // this program's version
	Keep    int    // so many backups, the newest; 0: all
	Keys    bool   // configuration, certificates and keys too
	Stderr  io.Writer
}

// Run adds a backup to a directory.
func (b *BackingUp) Run(ctx context.Context, dir string) (row backup.MadeRow, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return row, err
	}
	if data, err := filepath.Abs(b.Config.DataDir); err != nil || backup.Within(dir, data) {
		return row, fmt.Errorf("%s is in the data directory %s, and what takes the one takes the other: name another, best on another disk", dir, b.Config.DataDir)
	}
	if err := daemon.BecomeOwner(b.Config); err != nil {
		return row, err
	}
	set := &backup.Set{Dir: dir, Now: time.Now}
	made, left, err := b.add(ctx, set)
	if errors.Is(err, fs.ErrPermission) {
		return row, fmt.Errorf("%w: this command runs as %s, the user who has the store, and reads and writes as that user", err, datadir.UserName(os.Geteuid()))
	}
	if err != nil {
		return row, err
	}
	for _, l := range left {
		fmt.Fprintf(b.Stderr, "waxwing backup: %s is not in the backup: %s\n", l.Path, l.Why)
	}
	var removed []string
	if b.Keep > 0 {
		if removed, err = set.Prune(ctx, b.Keep); err != nil {
			return row, fmt.Errorf("the backup %s is made, but older ones were not removed: %w", made.ID, err)
		}
	}
	return backup.MadeRow{Row: made.Row(), Added: made.Added, Removed: removed}, nil
}

// add adds a backup of the server to a set (OPS-3). The store's schema stays as it is, so
// that one made before an upgrade is of before it.
func (b *BackingUp) add(ctx context.Context, set *backup.Set) (*backup.Made, []backup.Left, error) {
	cfg := b.Config
	from := backup.Source{Hostname: cfg.Hostname.ASCII(), Program: b.Program}
	var left []backup.Left
	if b.Keys {
		var err error
		without := []string{filepath.Base(datadir.StoreFile(cfg)), filepath.Base(datadir.Spool(cfg)), control.Socket, filepath.Base(datadir.LastBackup(cfg))}
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
	return made, left, datadir.BackedUp(cfg, made.ID)
}

// VerifyBackup reads a whole backup, and looks whether its store is sound.
func VerifyBackup(ctx context.Context, set *backup.Set, id string, w io.Writer) error {
	m, err := set.Find(id)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "waxwing-verify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "waxwing.db")
	err = set.Verify(ctx, m, path)
	if err == nil {
		err = datadir.VerifyStore(ctx, path)
	}
	if err != nil {
		return fmt.Errorf("the backup %s in %s is not sound: %w", m.ID, set.Dir, err)
	}
	_, err = fmt.Fprintf(w, "backup %s of %s is sound: %s octets, the store and %s\n", m.ID, m.Hostname, text.Octets(m.Size()), text.Count(len(m.Files), "file"))
	return err
}
