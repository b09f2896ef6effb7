package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// onlyRoots refuses a directory that root is to write to, and that somebody else could put a
// link in place of meanwhile: it and each above it must be root's, and nobody else may
// write there, except where the sticky bit keeps everybody from what is others' (/tmp). What
// is not there yet is left out. Who is not root may do no more than that one may anyway.
func onlyRoots(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("nothing can be written to %s: %w; choose another --dir", dir, err)
		default:
			if err := safe(at, info); err != nil {
				return fmt.Errorf("nothing is written to %s: %w; choose another --dir, or run this as that user", dir, err)
			}
			if info.Mode()&fs.ModeSymlink != 0 { // a link of root's: the way goes on where it leads
				to, err := filepath.EvalSymlinks(at)
				if err != nil {
					return fmt.Errorf("nothing can be written to %s: %w; choose another --dir", dir, err)
				}
				if err := onlyRoots(to); err != nil {
					return err
				}
			}
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// safe is why others than root can change which file a name in a directory is of; nil: they
// cannot. What group 0 may is root's.
func safe(at string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("whose %s is cannot be seen", at)
	}
	mode := info.Mode()
	shared := mode.Perm()&0o002 != 0 || mode.Perm()&0o020 != 0 && st.Gid != 0
	switch {
	case st.Uid != 0:
		return fmt.Errorf("%s belongs to another user (%d), who could have root write elsewhere", at, st.Uid)
	case mode&fs.ModeSymlink == 0 && shared && mode&fs.ModeSticky == 0:
		return fmt.Errorf("others than root may write to %s, and could have root write elsewhere", at)
	}
	return nil
}
