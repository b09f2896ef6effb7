package backup

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"waxwing/internal/guard"
)

const (
	chunkSize = 1 << 20
	sumSize   = sha256.Size
)

// packers is how many chunks are packed and written at one time: while one waits for the
// disk, another is packed.
const packers = 4

// cutter cuts what is written to it into chunks, and keeps those that are new. One
// goroutine uses it; end must follow.
type cutter struct {
	ctx   context.Context
	set   *Set
	buf   []byte
	fresh []piece // to be written
	made  Content
	added *atomic.Int64 // octets of new chunks, packed
}

// piece is a chunk on its way to the disk.
type piece struct {
	sum  string
	data []byte
}

func (s *Set) cut(ctx context.Context, added *atomic.Int64) *cutter {
	return &cutter{ctx: ctx, set: s, added: added}
}

func (c *cutter) Write(p []byte) (n int, err error) {
	n = len(p)
	for len(p) > 0 {
		if c.buf == nil {
			c.buf = make([]byte, 0, chunkSize)
		}
		k := min(len(p), chunkSize-len(c.buf))
		c.buf, p = append(c.buf, p[:k]...), p[k:]
		if len(c.buf) == chunkSize {
			if err := c.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush ends a chunk.
func (c *cutter) flush() error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	data := c.buf
	c.buf = nil
	h := sha256.Sum256(data)
	sum := hex.EncodeToString(h[:])
	c.made.Size += int64(len(data))
	c.made.Chunks = append(c.made.Chunks, sum)
	if info, err := os.Stat(c.set.chunk(sum)); err == nil && info.Size() > 0 {
		return nil
	}
	if slices.ContainsFunc(c.fresh, func(p piece) bool { return p.sum == sum }) {
		return nil
	}
	c.fresh = append(c.fresh, piece{sum, data})
	if len(c.fresh) < packers {
		return nil
	}
	return c.pack()
}

// pack writes the chunks that wait.
func (c *cutter) pack() error {
	errs := make([]error, len(c.fresh))
	var g guard.Group
	for i, p := range c.fresh {
		g.Go(func() { errs[i] = c.keep(p.sum, p.data) })
	}
	g.Wait()
	c.fresh = nil
	return errors.Join(errs...)
}

// end returns what was written, when all of it is on the disk.
func (c *cutter) end() (Content, error) {
	if len(c.buf) > 0 {
		if err := c.flush(); err != nil {
			return c.made, err
		}
	}
	return c.made, c.pack()
}

// keep writes a chunk. Its name stands only once its octets are on the disk.
func (c *cutter) keep(sum string, data []byte) error {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := z.Write(data); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	path := c.set.chunk(sum)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	c.added.Add(int64(packed.Len()))
	return writeDurably(path, packed.Bytes())
}

// writeDurably writes a file under another name first, so that half of one never has it.
func writeDurably(path string, b []byte) error {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// read is the octets of one chunk, which are what its name says.
func (s *Set) read(sum string) ([]byte, error) {
	path := s.chunk(sum)
	f, err := openRegular(path, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	damaged := fmt.Errorf("%s is damaged: remove it, and the next backup writes it again if the server still has what it holds", path)
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(damaged, err)
	}
	data, err := io.ReadAll(io.LimitReader(z, chunkSize+1))
	if err != nil {
		return nil, errors.Join(damaged, err)
	}
	if h := sha256.Sum256(data); hex.EncodeToString(h[:]) != sum {
		return nil, damaged
	}
	return data, nil
}

// copyTo writes what c says to w.
func (s *Set) copyTo(ctx context.Context, w io.Writer, c Content) error {
	var n int64
	for _, sum := range c.Chunks {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := s.read(sum)
		if err != nil {
			return err
		}
		n += int64(len(data))
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	if n != c.Size {
		return fmt.Errorf("the chunks have %d octets of %d", n, c.Size)
	}
	return nil
}
