package install_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"waxwing/internal/install"
	"waxwing/internal/setup"
)

// plan is one with everything below dir.
func plan(dir string) setup.Plan {
	etc := filepath.Join(dir, "etc", "waxwing")
	return setup.Plan{DataDir: filepath.Join(dir, "var", "data"), Config: setup.File{Path: filepath.Join(etc, "waxwing.toml"), Text: "config", Mode: 0o640},
		Files: []setup.File{{Path: filepath.Join(etc, "sendmail.toml"), Text: "sendmail", Mode: 0o644, Spared: true}, {Path: filepath.Join(etc, "unit"), Text: "unit", Mode: 0o644}}}
}

func fill(_ context.Context, dir string) error {
	return errors.Join(os.Mkdir(filepath.Join(dir, "keys"), 0o700), os.WriteFile(filepath.Join(dir, "keys", "a"), []byte("key"), 0o600),
		os.WriteFile(filepath.Join(dir, "store"), []byte("store"), 0o600))
}

// tree is all below a directory, with modes and contents.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, _ := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		b.WriteString(rel + " " + info.Mode().String() + " " + string(text) + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

const whole = `. drwxr-xr-x 
etc drwxr-xr-x 
etc/waxwing drwxr-xr-x 
etc/waxwing/sendmail.toml -rw-r--r-- sendmail
etc/waxwing/unit -rw-r--r-- unit
etc/waxwing/waxwing.toml -rw-r----- config
var drwxr-xr-x 
var/data drwx------ 
var/data/keys drwx------ 
var/data/keys/a -rw------- key
var/data/store -rw------- store
`

// TestWrite: all is there, and nothing of the making is left.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := install.Write(t.Context(), plan(dir), fill); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, dir); got != whole {
		t.Errorf("made:\n%s", got)
	}
	if err := install.Write(t.Context(), plan(dir), fill); err == nil || !strings.Contains(err.Error(), "is there already, and nothing is overwritten") {
		t.Errorf("a second time: %v", err)
	}
	if got := tree(t, dir); got != whole {
		t.Errorf("changed by the second time:\n%s", got)
	}
}

// TestAfterAKill: what a call has left that was killed on its way is removed by the next;
// a data directory that is there and empty, such as a package's or a file system's, is used.
func TestAfterAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "var", "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(data, ".quickstart-123", "keys", "a"), "half a k")
	if err := os.Mkdir(filepath.Join(data, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := install.Write(t.Context(), plan(dir), fill); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, data); strings.Contains(got, "quickstart") || !strings.Contains(got, "keys/a -rw------- key") {
		t.Errorf("made:\n%s", got)
	}
}

// TestFailures (SET-1): whatever stands in the way, and wherever it fails, the machine is
// as it was.
func TestFailures(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		before func(t *testing.T, dir string)
		fill   func(context.Context, string) error
		want   string
	}{
		"a configuration is there":   {before: func(t *testing.T, dir string) { put(t, filepath.Join(dir, "etc/waxwing/waxwing.toml"), "mine") }, want: "waxwing.toml is there already"},
		"a unit is there":            {before: func(t *testing.T, dir string) { put(t, filepath.Join(dir, "etc/waxwing/unit"), "mine") }, want: "unit is there already"},
		"something is in the data":   {before: func(t *testing.T, dir string) { put(t, filepath.Join(dir, "var/data/mine"), "mine") }, want: "data is there already"},
		"a file where data is to be": {before: func(t *testing.T, dir string) { put(t, filepath.Join(dir, "var"), "mine") }, want: "nothing can be written to"},
		"it fails at once":           {fill: func(context.Context, string) error { return broken }, want: "broken"},
		"it fails half way": {fill: func(ctx context.Context, dir string) error {
			return errors.Join(fill(ctx, dir), broken)
		}, want: "broken"},
		"a configuration comes meanwhile": {fill: func(ctx context.Context, dir string) error {
			etc := filepath.Join(dir, "../../../etc/waxwing/waxwing.toml")
			return errors.Join(fill(ctx, dir), os.WriteFile(etc, []byte("mine"), 0o600))
		}, want: "exists"},
		"a user that there is not": {before: func(*testing.T, string) {}, want: "unknown user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if c.before != nil {
				c.before(t, dir)
			}
			if c.fill == nil {
				c.fill = fill
			}
			p := plan(dir)
			if name == "a user that there is not" {
				p.User = "no-such-user"
			}
			if name == "a configuration comes meanwhile" {
				put(t, filepath.Join(dir, "etc/waxwing/other"), "")
			}
			before := tree(t, dir)
			err := install.Write(t.Context(), p, c.fill)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			after := strings.ReplaceAll(tree(t, dir), "etc/waxwing/waxwing.toml -rw------- mine\n", "")
			if after != strings.ReplaceAll(before, "etc/waxwing/waxwing.toml -rw------- mine\n", "") {
				t.Errorf("left:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// TestInterrupted: who presses Ctrl-C gets nothing half done.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	err := install.Write(ctx, plan(dir), func(ctx context.Context, d string) error { cancel(); return fill(ctx, d) })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := tree(t, dir); got != ". drwxr-xr-x \n" {
		t.Errorf("left:\n%s", got)
	}
}

// TestSpared: a file that may be there stays as it is.
func TestSpared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "etc/waxwing/sendmail.toml"), "mine")
	if err := install.Write(t.Context(), plan(dir), fill); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, dir); !strings.Contains(got, "sendmail.toml -rw-r--r-- mine") || !strings.Contains(got, "waxwing.toml -rw-r----- config") {
		t.Errorf("made:\n%s", got)
	}
}

// TestOwner: what root makes for a user is that user's, the configuration root's and
// readable to the user.
func TestOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	p := plan(dir)
	p.User, p.Config.Shared = "nobody", true
	if err := install.Write(t.Context(), p, fill); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{p.DataDir: true, filepath.Join(p.DataDir, "keys/a"): true, filepath.Join(p.DataDir, "store"): true, p.Config.Path: false} {
		if uid, gid := owner(t, path); (uid != 0) != want || gid == 0 {
			t.Errorf("%s belongs to %d:%d", path, uid, gid)
		}
	}
}

// TestLinkInPlace: the user who has the data directory already, as after the installation of
// a package, cannot put a link in place of what root makes there; and gets the directory
// back, also where nothing is made.
func TestLinkInPlace(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	for _, fails := range []bool{false, true} {
		dir := t.TempDir()
		p := plan(dir)
		p.User = "nobody"
		victim := filepath.Join(dir, "victim")
		if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.MkdirAll(p.DataDir, 0o755), os.Chown(p.DataDir, uid, gid), os.Mkdir(victim, 0o755)); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(victim, "shadow"), "root's")
		err := install.Write(t.Context(), p, func(ctx context.Context, making string) error {
			swap := exec.CommandContext(ctx, "sh", "-c", `mv "$0" "$0.away" && ln -s "$1" "$0"`, making, victim)
			swap.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
			_ = swap.Run() // it is to fail, and what it may have done is looked at
			if fails {
				return errors.New("no")
			}
			return fill(ctx, making)
		})
		if (err != nil) != fails {
			t.Error(err)
		}
		if got, _ := owner(t, filepath.Join(victim, "shadow")); got != 0 {
			t.Errorf("a file of root's elsewhere is %d's now", got)
		}
		if got, _ := owner(t, p.DataDir); got != uint32(uid) {
			t.Errorf("the data directory is %d's", got)
		}
	}
}

// TestPlacesOfOthers: below a directory that another user may change root makes nothing: a
// link there would have it write elsewhere. Where all are root's, also by a link, it does.
func TestPlacesOfOthers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("others can write nowhere else")
	}
	for name, c := range map[string]struct {
		before func(dir string) error // dir/way is on the way, dir/else beside it
		want   string                 // "": it is made
	}{
		"another's":   {func(dir string) error { return os.Chown(filepath.Join(dir, "way"), 65534, 65534) }, "belongs to another user (65534)"},
		"open to all": {func(dir string) error { return os.Chmod(filepath.Join(dir, "way"), 0o777) }, "others than root may write"},
		"open to a group": {func(dir string) error {
			return errors.Join(os.Chown(filepath.Join(dir, "way"), 0, 65534), os.Chmod(filepath.Join(dir, "way"), 0o775))
		}, "others than root may write"},
		"open to root's":   {func(dir string) error { return os.Chmod(filepath.Join(dir, "way"), 0o775) }, ""},
		"open, and sticky": {func(dir string) error { return os.Chmod(filepath.Join(dir, "way"), 0o777|fs.ModeSticky) }, ""},
		"another's link": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "way")), os.Symlink("else", filepath.Join(dir, "way")), os.Lchown(filepath.Join(dir, "way"), 65534, 65534))
		}, "belongs to another user"},
		"root's link": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "way")), os.Symlink("else", filepath.Join(dir, "way")))
		}, ""},
		"a link to another's": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "way")), os.Symlink("else", filepath.Join(dir, "way")), os.Chown(filepath.Join(dir, "else"), 65534, 65534))
		}, "belongs to another user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "way"), 0o755), os.Mkdir(filepath.Join(dir, "else"), 0o755), c.before(dir)); err != nil {
				t.Fatal(err)
			}
			before := tree(t, dir)
			err := install.Write(t.Context(), plan(filepath.Join(dir, "way", "server")), fill)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && tree(t, dir) != before {
				t.Errorf("left:\n%s", tree(t, dir))
			}
		})
	}
}
