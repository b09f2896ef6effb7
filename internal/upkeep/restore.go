package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"waxwing/internal/backup"
	"waxwing/internal/config"
	"waxwing/internal/daemon"
	"waxwing/internal/datadir"
	"waxwing/internal/setup"
)

// Restoring is one backup on its way back.
type Restoring struct {
	Config string // its path, where there is one or is to be one
	Set    *backup.Set
	Backup *backup.Manifest
	Stderr io.Writer // is told what is left out

	cfg    *config.Config
	stayed []string
	own    bool // the directory of the configuration is the server's alone
}

// Run puts back all: what only root may write first, then as the user who has the data
// directory what is in it, and the store last: where it is, everything is.
func (r *Restoring) Run(ctx context.Context) error {
	if err := r.configuration(ctx); err != nil {
		return err
	}
	if away := r.away(); os.Geteuid() == 0 && len(away) > 0 {
		return fmt.Errorf("%s was restored, nothing else: it has root write files elsewhere, and whoever could write to %s may have chosen where: %s; if they belong there, run this again",
			r.Config, r.Set.Dir, strings.Join(away, ", "))
	}
	if err := datadir.VacantStore(r.cfg); err != nil {
		return err
	}
	if err := r.files(ctx, backup.Named); err != nil {
		return err
	}
	if err := os.MkdirAll(r.cfg.DataDir, 0o700); err != nil {
		return err
	}
	if err := daemon.BecomeOwner(r.cfg); err != nil {
		return err
	}
	if err := r.files(ctx, backup.Data); err != nil {
		return err
	}
	path := datadir.StoreFile(r.cfg)
	if err := r.Set.RestoreStore(ctx, r.Backup, path); err != nil {
		return fmt.Errorf("restore the store to %s: %w", path, err)
	}
	if err := datadir.VerifyStore(ctx, path); err != nil {
		return fmt.Errorf("the store is restored to %s, but is not sound: %w", path, err)
	}
	return nil
}

// configuration finds the configuration, or restores it.
func (r *Restoring) configuration(ctx context.Context) error {
	path, err := filepath.Abs(r.Config)
	if err != nil {
		return err
	}
	r.own = alone(filepath.Dir(path))
	for _, f := range r.Backup.Files {
		if f.Role == backup.Config {
			if err := r.file(ctx, f, path); err != nil {
				return err
			}
		}
	}
	r.cfg, err = config.Load(path)
	return err
}

// alone reports that a directory is the server's alone: that of a server of this machine, or
// one that holds nothing yet. What lies beside a configuration in another, such as /etc, is
// not the server's.
func alone(dir string) bool {
	if dir == setup.SystemDir {
		return true
	}
	entries, err := os.ReadDir(dir)
	return errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0
}

// away is what a configuration that was restored just now, unseen by anybody here, has written
// elsewhere than in the directories of a server: beside itself, if only a server has that one,
// and /var/lib/waxwing.
func (r *Restoring) away() (paths []string) {
	path, err := filepath.Abs(r.Config)
	restored := slices.ContainsFunc(r.Backup.Files, func(f backup.File) bool { return f.Role == backup.Config })
	if err != nil || !restored || slices.Contains(r.stayed, path) {
		return nil
	}
	wanted := []string{r.cfg.DataDir}
	for _, f := range r.cfg.NamedFiles() {
		wanted = append(wanted, f.Path)
	}
	for _, p := range wanted {
		if abs, err := filepath.Abs(p); err != nil || !(r.own && backup.Within(abs, filepath.Dir(path))) && !backup.Within(abs, setup.SystemData) {
			paths = append(paths, p)
		}
	}
	return paths
}

// files restores those of one role.
func (r *Restoring) files(ctx context.Context, role backup.Role) error {
	named := map[string]string{}
	for _, f := range r.cfg.NamedFiles() {
		named[f.Key] = f.Path
	}
	var errs []error
	for _, f := range r.Backup.Files {
		if f.Role != role {
			continue
		}
		path, known := named[f.Name]
		if role == backup.Data {
			path, known = filepath.Join(r.cfg.DataDir, f.Name), true
		}
		if !known {
			fmt.Fprintf(r.Stderr, "waxwing restore: %s is left out: the configuration has no %s any more\n", f.Path, f.Name)
			continue
		}
		errs = append(errs, r.file(ctx, f, path))
	}
	return errors.Join(errs...)
}

func (r *Restoring) file(ctx context.Context, f backup.File, path string) error {
	written, err := r.Set.RestoreFile(ctx, f, path)
	if err != nil {
		return fmt.Errorf("restore %s: %w", path, err)
	}
	if !written {
		r.stayed = append(r.stayed, path)
	}
	return nil
}

// Print says what is restored.
func (r *Restoring) Print(w io.Writer) {
	for _, path := range r.stayed {
		fmt.Fprintf(w, "%s was there, and is left as it is\n", path)
	}
	fmt.Fprintf(w, "backup %s of %s is restored to %s, and the store is sound; start the server\n", r.Backup.ID, r.Backup.Hostname, r.cfg.DataDir)
}
