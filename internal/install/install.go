// Package install writes what package setup has decided (SET-1). Nothing is ever
// overwritten, and a failure leaves nothing half done: all is made in a directory of its
// own first, then put into place, the configuration last. Where that stands, everything
// stands.
package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"waxwing/internal/setup"
)

// making begins the name of the directory in which all is made.
const making = ".quickstart-"

// Write makes what the plan says. fill makes what the data directory holds, in a
// directory that becomes it.
func Write(ctx context.Context, p setup.Plan, fill func(ctx context.Context, dir string) error) (err error) {
	w := writing{plan: p, uid: -1, gid: -1}
	if err := w.look(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.undo()
		}
	}()
	if err := w.owner(); err != nil {
		return err
	}
	dir, err := w.begin()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := fill(ctx, dir); err != nil {
		return err
	}
	if err := errors.Join(ctx.Err(), w.give(dir)); err != nil {
		return err
	}
	return w.place(dir)
}

// writing is a plan that is being carried out.
type writing struct {
	plan     setup.Plan
	uid, gid int      // of who gets it; -1: who makes it
	made     []string // what to remove if it fails
	was      []func() // what else to do then
}

// look refuses what would overwrite something.
func (w *writing) look() error {
	for _, f := range append([]setup.File{w.plan.Config}, w.plan.Files...) {
		_, err := os.Lstat(f.Path)
		switch {
		case err == nil && !f.Spared:
			return thereAlready(f.Path)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("nothing can be written to %s: %w; choose another --dir", filepath.Dir(f.Path), err)
		}
	}
	entries, err := os.ReadDir(w.plan.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("nothing can be written to %s: %w; choose another --dir", w.plan.DataDir, err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), making) && e.Name() != "lost+found" {
			return thereAlready(w.plan.DataDir)
		}
	}
	return nil
}

func thereAlready(path string) error {
	return fmt.Errorf("%s is there already, and nothing is overwritten: choose another --dir, or remove it", path)
}

// owner finds the user of the plan.
func (w *writing) owner() error {
	if w.plan.User == "" {
		return nil
	}
	u, err := user.Lookup(w.plan.User)
	if err != nil {
		return err
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	w.uid, w.gid = uid, gid
	return errors.Join(uerr, gerr)
}

// begin makes the directories, and the one in which all is made. What an earlier call
// left there that was killed is removed.
func (w *writing) begin() (string, error) {
	places := []string{filepath.Dir(w.plan.Config.Path), filepath.Dir(w.plan.DataDir)}
	for _, f := range w.plan.Files {
		places = append(places, filepath.Dir(f.Path))
	}
	for _, dir := range places {
		if err := onlyRoots(dir); err != nil { // before anything is made
			return "", err
		}
		if err := w.directory(dir, 0o755); err != nil {
			return "", err
		}
		if err := onlyRoots(dir); err != nil { // a link may have come in its place, in /tmp
			return "", err
		}
	}
	if err := w.directory(w.plan.DataDir, 0o700); err != nil {
		return "", err
	}
	if err := w.take(); err != nil {
		return "", err
	}
	left, _ := filepath.Glob(filepath.Join(w.plan.DataDir, making+"*"))
	for _, l := range left {
		if err := os.RemoveAll(l); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(w.plan.DataDir, making)
}

// take makes the data directory root's while root works in it: whoever may write there could
// put a link in place of what is made, and root would follow it.
func (w *writing) take() error {
	if w.uid < 0 {
		return nil
	}
	info, err := os.Stat(w.plan.DataDir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		w.was = append(w.was, func() { _ = ownDir(w.plan.DataDir, int(st.Uid), int(st.Gid), info.Mode().Perm()) }) // what failed is told
	}
	return ownDir(w.plan.DataDir, os.Geteuid(), os.Getegid(), 0o700)
}

// ownDir gives a directory an owner and a mode.
func ownDir(path string, uid, gid int, mode fs.FileMode) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Chown(uid, gid), d.Chmod(mode), d.Close())
}

// directory makes a directory and those above it that are missing. Where another user
// gets what is made, that user can enter, whatever the umask.
func (w *writing) directory(dir string, mode fs.FileMode) error {
	top := missing(dir)
	if top == "" {
		return nil
	}
	w.made = append(w.made, top)
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	for at := dir; w.uid >= 0 && len(at) >= len(top); at = filepath.Dir(at) {
		if err := os.Chmod(at, mode); err != nil {
			return err
		}
	}
	return nil
}

// missing is the topmost of dir and the directories above it that is not there.
func missing(dir string) string {
	top := ""
	for {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return top
		}
		top, dir = dir, filepath.Dir(dir)
	}
}

// give makes all below dir the user's.
func (w *writing) give(dir string) error {
	if w.uid < 0 {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		return root.Lchown(path, w.uid, w.gid)
	})
}

// place puts all into place, the configuration last.
func (w *writing) place(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		to := filepath.Join(w.plan.DataDir, e.Name())
		if err := os.Rename(filepath.Join(dir, e.Name()), to); err != nil {
			return err
		}
		w.made = append(w.made, to)
	}
	if err := syncDir(w.plan.DataDir); err != nil {
		return err
	}
	if w.uid >= 0 {
		if err := ownDir(w.plan.DataDir, w.uid, w.gid, 0o700); err != nil {
			return err
		}
	}
	for _, f := range append(w.plan.Files, w.plan.Config) {
		if err := w.file(f); err != nil {
			return err
		}
	}
	return nil
}

// file writes one file whole, under its name only once it is on the disk.
func (w *writing) file(f setup.File) error {
	dir := filepath.Dir(f.Path)
	tmp, err := os.CreateTemp(dir, making)
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(f.Text)
	if w.uid >= 0 {
		uid := w.uid
		if f.Shared {
			uid = 0
		}
		err = errors.Join(err, tmp.Chown(uid, w.gid))
	}
	if err := errors.Join(err, tmp.Chmod(fs.FileMode(f.Mode)), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	err = os.Link(tmp.Name(), f.Path) // as os.Rename, but it overwrites nothing
	switch {
	case errors.Is(err, fs.ErrExist) && f.Spared:
		return nil
	case err != nil:
		return err
	}
	w.made = append(w.made, f.Path)
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// undo leaves nothing half done.
func (w *writing) undo() {
	for _, path := range w.made {
		os.RemoveAll(path)
	}
	for _, back := range w.was {
		back()
	}
}
