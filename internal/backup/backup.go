// Package backup keeps backups of a server in a directory (OPS-3): its embedded store as
// it was at one moment, its configuration, and the files that go with them.
//
// All is cut into chunks of 1 MiB, each a file named by the SHA-256 of its octets, packed
// by gzip. A further backup adds the chunks that are new, and a list of all that it is made
// of (its manifest), which is written last: without one there is no backup. So a backup of
// a large store that changed little is small and quick, each is whole by itself, a program
// that copies the directory elsewhere copies only what is new, and whoever has lost the
// program can put one together with zcat.
package backup

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// format is that of manifests. A program refuses those of others.
const format = 1

// idLayout is how a backup is named: the second at which it began, in UTC.
const idLayout = "20060102T150405Z"

// Manifest is what one backup is made of.
type Manifest struct {
	Format   int       `json:"format"`
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Hostname string    `json:"hostname"`
	Program  string    `json:"program"` // the version that made it
	Schema   int64     `json:"schema"`  // of the store
	Store    Content   `json:"store"`
	Files    []File    `json:"files"`
}

// Content is what a file holds.
type Content struct {
	Size   int64    `json:"size"`
	Chunks []string `json:"chunks"`
}

// Role says what a file is, and so where it belongs.
type Role string

// The roles.
const (
	Config Role = "config" // the configuration
	Named  Role = "named"  // a file that the configuration names with the key Name
	Data   Role = "data"   // a file in the data directory, where it is called Name
)

// File is one file beside the store.
type File struct {
	Role  Role        `json:"role"`
	Name  string      `json:"name"`
	Path  string      `json:"path"` // where it was
	Mode  fs.FileMode `json:"mode"`
	Owner string      `json:"owner"` // names of user and group, or their numbers
	Group string      `json:"group"`
	Content
}

// Set is a directory with backups.
type Set struct {
	Dir string
	Now func() time.Time
}

func (s *Set) manifest(id string) string { return filepath.Join(s.Dir, id+".json") }

func (s *Set) chunk(sum string) string {
	return filepath.Join(s.Dir, "chunks", sum[:2], sum+".gz")
}

// lock keeps other processes from the set until unlock is called; those that only read
// share it.
func (s *Set) lock(share bool) (unlock func(), err error) {
	f, err := os.OpenFile(s.Dir, os.O_RDONLY|syscall.O_DIRECTORY, 0) // or the opening of a FIFO waits for its writer
	if err != nil {
		return nil, err
	}
	how := syscall.LOCK_EX
	if share {
		how = syscall.LOCK_SH
	}
	for {
		err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if err != syscall.EINTR {
			break
		}
	}
	switch {
	case err == syscall.EWOULDBLOCK:
		f.Close()
		return nil, fmt.Errorf("another process is at work in %s: wait until it has ended", s.Dir)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", s.Dir, err)
	}
	return func() { f.Close() }, nil
}

// List are the backups, the newest first.
func (s *Set) List() (all []*Manifest, err error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		m, err := s.Find(id)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// ids are those of the backups, the newest first.
func (s *Set) ids() (ids []string, err error) {
	found, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		id, isManifest := strings.CutSuffix(f.Name(), ".json")
		if _, err := time.Parse(idLayout, id); isManifest && err == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, nil
}

// maxManifest bounds what is read of a manifest: that of a store of 4 TiB.
const maxManifest = 1 << 28

// maxTables bounds the files in a manifest.
const maxTables = 1 << 20

// Find is one backup; without an id, the newest.
func (s *Set) Find(id string) (*Manifest, error) {
	if id == "" {
		ids, err := s.ids()
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			return nil, fmt.Errorf("there is no backup in %s", s.Dir)
		}
		id = ids[0]
	}
	if _, err := time.Parse(idLayout, id); err != nil {
		return nil, fmt.Errorf("%q names no backup: their names are like %s", id, idLayout)
	}
	path := s.manifest(id)
	b, tooLong, err := readRegular(path, maxManifest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no backup %s in %s", id, s.Dir)
	case err != nil:
		return nil, err
	case tooLong:
		return nil, fmt.Errorf("%s is no list of a backup: it has more than %d octets", path, maxManifest)
	}
	if n := bytes.Count(b, []byte{'{'}); n > maxTables { // three octets are more than a hundred in memory
		return nil, fmt.Errorf("%s cannot be used: it has more than %d files", path, maxTables)
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w; use another backup", path, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w", path, err)
	}
	if m.ID != id { // by its ID it would be removed
		return nil, fmt.Errorf("%s cannot be used: it is the list of the backup %q under another name: give it that name again, or remove it", path, m.ID)
	}
	return m, nil
}

// check refuses what no program has written.
func (m *Manifest) check() error {
	if m.Format != format {
		return fmt.Errorf("it has format %d, this program knows %d: use the program that made it (%s)", m.Format, format, m.Program)
	}
	for _, c := range m.contents() {
		if n := (c.Size + chunkSize - 1) / chunkSize; c.Size < 0 || n != int64(len(c.Chunks)) {
			return fmt.Errorf("%d chunks cannot hold %d octets", len(c.Chunks), c.Size)
		}
		for _, sum := range c.Chunks {
			if b, err := hex.DecodeString(sum); err != nil || len(b) != sumSize {
				return fmt.Errorf("%q names no chunk", sum)
			}
		}
	}
	for _, f := range m.Files {
		switch f.Role {
		case Config, Named:
		case Data:
			if !filepath.IsLocal(f.Name) {
				return fmt.Errorf("it has a file %q outside of the data directory", f.Name)
			}
		default:
			return fmt.Errorf("it has a file with the role %q", f.Role)
		}
	}
	return nil
}

func (m *Manifest) contents() []Content {
	all := []Content{m.Store}
	for _, f := range m.Files {
		all = append(all, f.Content)
	}
	return all
}

// Size is what the backup holds, in octets.
func (m *Manifest) Size() (n int64) {
	for _, c := range m.contents() {
		n += c.Size
	}
	return n
}

// Prune removes all backups but the newest ones, and what only they need.
func (s *Set) Prune(ctx context.Context, keep int) (removed []string, err error) {
	unlock, err := s.lock(false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := s.List() // one that cannot be read might need anything
	if err != nil {
		return nil, fmt.Errorf("nothing is removed: %w", err)
	}
	needed := map[string]bool{}
	for i, m := range all {
		if i >= keep {
			if err := os.Remove(s.manifest(m.ID)); err != nil {
				return removed, err
			}
			removed = append(removed, m.ID)
			continue
		}
		for _, c := range m.contents() {
			for _, sum := range c.Chunks {
				needed[sum] = true
			}
		}
	}
	if err := syncDir(s.Dir); err != nil { // the lists first: none may lack a chunk
		return removed, err
	}
	err = filepath.WalkDir(filepath.Join(s.Dir, "chunks"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		if sum, packed := strings.CutSuffix(d.Name(), ".gz"); packed && needed[sum] {
			return nil
		}
		return os.Remove(path)
	})
	return removed, err
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
