package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Source is what a backup is made of.
type Source struct {
	Hostname string
	Program  string // its version
	Schema   int64
	Snapshot func(ctx context.Context, w io.Writer) error // writes the store
	Files    []Origin
}

// Origin is where a file is.
type Origin struct {
	Role Role
	Name string
	Path string
}

// Made is a new backup, and what it added to the set.
type Made struct {
	*Manifest
	Added int64 // octets
}

// Make adds a backup to the set; the directory is made where it is missing. When it
// returns nil, all is on the disk; otherwise there is no new backup.
func (s *Set) Make(ctx context.Context, from Source) (*Made, error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := s.lock(false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	at := s.Now().UTC().Truncate(time.Second)
	for ; ; at = at.Add(time.Second) { // the next one that has no backup
		if _, err := os.Lstat(s.manifest(at.Format(idLayout))); err != nil {
			break
		}
	}
	m := &Manifest{Format: format, ID: at.Format(idLayout), Time: at, Hostname: from.Hostname, Program: from.Program, Schema: from.Schema}
	var added atomic.Int64
	// The files first: the outcomes among them (docs/operating/backup.md) are true of any
	// later store, not of an earlier one.
	for _, o := range from.Files {
		f, err := s.addFile(ctx, o, &added)
		if errors.Is(err, fs.ErrNotExist) && o.Role == Data {
			continue // it was removed just now
		}
		if err != nil {
			return nil, err
		}
		m.Files = append(m.Files, f)
	}
	c := s.cut(ctx, &added)
	err = from.Snapshot(ctx, c)
	var werr error
	if m.Store, werr = c.end(); errors.Join(err, werr) != nil {
		return nil, errors.Join(err, werr)
	}
	for _, dir := range []string{filepath.Join(s.Dir, "chunks"), s.Dir} {
		if err := syncDir(dir); err != nil {
			return nil, err
		}
	}
	b, err := json.Marshal(m)
	if err == nil && bytes.Count(b, []byte{'{'}) > maxTables { // or nobody could read it
		err = fmt.Errorf("there are more than %d files in the data directory: move away what is not the server's", maxTables)
	}
	if err != nil {
		return nil, err
	}
	if err := writeDurably(s.manifest(m.ID), b); err != nil {
		return nil, err
	}
	return &Made{Manifest: m, Added: added.Load() + int64(len(b))}, nil
}

// addFile adds a file beside the store.
func (s *Set) addFile(ctx context.Context, o Origin, added *atomic.Int64) (File, error) {
	f := File{Role: o.Role, Name: o.Name, Path: o.Path}
	in, err := openRegular(o.Path, o.Role != Data) // certificates are often named by links
	if err != nil {
		return f, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return f, err
	}
	f.Mode = info.Mode().Perm()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.Owner, f.Group = userName(st.Uid), groupName(st.Gid)
	}
	c := s.cut(ctx, added)
	_, err = io.Copy(c, in)
	var werr error
	f.Content, werr = c.end()
	return f, errors.Join(err, werr)
}

func userName(id uint32) string {
	n := strconv.FormatUint(uint64(id), 10)
	if u, err := user.LookupId(n); err == nil {
		return u.Username
	}
	return n
}

func groupName(id uint32) string {
	n := strconv.FormatUint(uint64(id), 10)
	if g, err := user.LookupGroupId(n); err == nil {
		return g.Name
	}
	return n
}
