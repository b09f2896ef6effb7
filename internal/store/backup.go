package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes a consistent copy of a SQLite database to a new file, readable
// by its owner alone, while others go on reading and writing. When it returns nil
// the copy is complete and on the disk; otherwise there is none. PostgreSQL has its
// own tools, pg_dump first, and returns an error that says so.
func (s *Store) Backup(ctx context.Context, path string) error {
	e, ok := s.engine.(*sqliteEngine)
	if !ok {
		return errors.New("the database is PostgreSQL: make the backup with pg_dump")
	}
	if err := e.backup(ctx, path); err != nil {
		return fmt.Errorf("backup to %s: %w", path, engineError(err))
	}
	return nil
}

func (e *sqliteEngine) backup(ctx context.Context, path string) (err error) {
	// VACUUM INTO accepts an empty file; O_EXCL keeps an older backup whole.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	defer func() {
		if err != nil {
			os.Remove(path)
		}
	}()
	c, err := e.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return err
	}
	// A server must notice when this is put in the place of its database (see files).
	if _, err := f.WriteAt(make([]byte, 4), atMark); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a file's name durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
