package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// Verify reads every chunk of a backup and finds the faults of all, at most 20. The store
// is put together in the file scratch, where it is not "", for others to look into.
func (s *Set) Verify(ctx context.Context, m *Manifest, scratch string) error {
	unlock, err := s.lock(true)
	if err != nil {
		return err
	}
	defer unlock()
	var errs []error
	seen := map[string]bool{}
	for _, c := range m.contents() {
		for _, sum := range c.Chunks {
			if seen[sum] {
				continue
			}
			seen[sum] = true
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := s.read(sum); err != nil {
				errs = append(errs, err)
			}
			if len(errs) == 20 {
				return errors.Join(append(errs, errors.New("there may be more"))...)
			}
		}
	}
	if len(errs) > 0 || scratch == "" {
		return errors.Join(errs...)
	}
	return s.write(ctx, scratch, m.Store, private)
}

// RestoreStore puts a backup's store together in a new file.
func (s *Set) RestoreStore(ctx context.Context, m *Manifest, path string) error {
	unlock, err := s.lock(true)
	if err != nil {
		return err
	}
	defer unlock()
	return s.write(ctx, path, m.Store, private)
}

// RestoreFile puts one file beside the store back to path. It is never written over: there
// false is returned where there is one, whatever it holds. Run by root, it gets its owner.
func (s *Set) RestoreFile(ctx context.Context, f File, path string) (written bool, err error) {
	unlock, err := s.lock(true)
	if err != nil {
		return false, err
	}
	defer unlock()
	if _, err := os.Lstat(path); err == nil {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	var foreign error // without its owner the file is still there for the operator to give away
	err = s.write(ctx, path, f.Content, func(to *os.File) error {
		if os.Geteuid() == 0 {
			foreign = own(to, f)
		}
		return to.Chmod(f.Mode.Perm()) // last: a change of owner may take permissions away
	})
	if err == nil && foreign != nil {
		return true, fmt.Errorf("%s is written, but not its owner's: %w", path, foreign)
	}
	return err == nil, err
}

// own gives a file to whom it belonged: the open one, whatever stands under its name by now.
func own(to *os.File, f File) error {
	uid, gid := -1, -1
	if u, err := user.Lookup(f.Owner); err == nil {
		uid, _ = strconv.Atoi(u.Uid)
	} else if n, err := strconv.Atoi(f.Owner); err == nil {
		uid = n
	} else {
		return fmt.Errorf("there is no user %s here", f.Owner)
	}
	if g, err := user.LookupGroup(f.Group); err == nil {
		gid, _ = strconv.Atoi(g.Gid)
	} else if n, err := strconv.Atoi(f.Group); err == nil {
		gid = n
	} else {
		return fmt.Errorf("there is no group %s here", f.Group)
	}
	return to.Chown(uid, gid)
}

// private finishes a file that only its owner may read.
func private(f *os.File) error { return f.Chmod(0o600) }

// write makes a file, whole and on the disk, or none. finish gets it before it has its name.
func (s *Set) write(ctx context.Context, path string, c Content, finish func(*os.File) error) (err error) {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if err := s.copyTo(ctx, f, c); err != nil {
		return err
	}
	if err := finish(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// Link, not rename: what has come under this name meanwhile stays.
	if err := os.Link(part, path); err != nil {
		return err
	}
	if err := os.Remove(part); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
