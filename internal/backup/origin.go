package backup

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"waxwing/internal/config"
)

// maxFile is the size of the largest file beside the store that is taken along, in octets.
const maxFile = 64 << 20

// Left is a file of the data directory that is not in a backup, and why.
type Left struct{ Path, Why string }

// Origins are the files that belong to a server beside its store: the configuration at
// path, what it names, and what is in the data directory but for names that begin with
// one of without.
func Origins(cfg *config.Config, path string, without []string) (all []Origin, left []Left, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, nil, err
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, nil, err
	}
	all = append(all, Origin{Role: Config, Path: path})
	for _, f := range cfg.NamedFiles() {
		at, err := filepath.Abs(f.Path)
		if err != nil {
			return nil, nil, err
		}
		if !Within(at, dir) {
			all = append(all, Origin{Role: Named, Name: f.Key, Path: at})
		}
	}
	err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && at != dir {
			return nil // gone meanwhile
		}
		if err != nil {
			return err
		}
		name, _ := inside(dir, at)
		if slices.ContainsFunc(without, func(w string) bool { return strings.HasPrefix(name, w) }) || at == path {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			if d.Type()&fs.ModeSymlink != 0 {
				left = append(left, Left{at, "it is a link"})
			}
			return nil // directories, sockets
		}
		info, err := d.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case info.Size() > maxFile:
			left = append(left, Left{at, "it is larger than 64 MiB"})
		default:
			all = append(all, Origin{Role: Data, Name: name, Path: at})
		}
		return nil
	})
	return all, left, err
}

// inside is the name of a file in a directory; in is false where it is not there.
func inside(dir, path string) (name string, in bool) {
	name, err := filepath.Rel(dir, path)
	return name, err == nil && filepath.IsLocal(name)
}

// Within reports that a file or directory is another directory or in it; both paths are
// absolute.
func Within(path, dir string) bool {
	_, in := inside(dir, path)
	return in
}
