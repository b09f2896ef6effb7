// Package incoming takes in messages that clients store: in memory, or in a file where they
// are long.
package incoming

import (
	"bytes"
	"io"
	"os"
	"sync"

	"waxwing/internal/delivery"
	"waxwing/message"
)

// inMemory is how much of a message is held in memory; longer ones wait in a file.
const inMemory = 64 << 10

// Read takes a message in, whole; a long one into a file in dir. Line ends without CR become
// CRLF, as all that reads messages here expects them. With binary, lines are left alone, and
// parts that are binary are encoded (RFC 3516 §4.3): that takes the message into memory, and so waits for its turn. What could be read comes back with an
// error, and must be closed, too; an error of a *os.PathError is of the disk.
func Read(r io.Reader, dir string, binary sync.Locker) (*Message, error) {
	h := &Message{}
	lines := &crlf{to: h, dir: dir, raw: binary != nil}
	err := lines.take(r)
	if err == nil {
		err = lines.failed
	}
	if err == nil && binary != nil {
		binary.Lock()
		defer binary.Unlock()
		err = h.encode(dir)
	}
	return h, err
}

// Raw takes octets in as they are.
func Raw(r io.Reader, dir string) (*Message, error) {
	h := &Message{}
	as := &crlf{to: h, dir: dir, raw: true}
	err := as.take(r)
	if err == nil {
		err = as.failed
	}
	return h, err
}

// Message is a message that has come in: in memory, or in a file without a name.
type Message struct {
	data []byte
	file *os.File
	size int64
}

// Close gives back what it holds.
func (h *Message) Close() {
	if h.file != nil {
		h.file.Close()
	}
}

// Content is what came.
func (h *Message) Content() delivery.Content {
	if h.file == nil {
		return delivery.Bytes(h.data)
	}
	return h
}

// Size is the length in octets (delivery.Content).
func (h *Message) Size() int64 { return h.size }

// Open reads the file.
func (h *Message) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(h.file, 0, h.size)), nil
}

// write adds octets, to the file where there are many.
func (h *Message) write(p []byte, dir string) (err error) {
	if h.file == nil && len(h.data)+len(p) > inMemory {
		if h.file, err = os.CreateTemp(dir, "waxwing-append-*"); err != nil {
			return err
		}
		if err := os.Remove(h.file.Name()); err != nil {
			return err
		}
		if _, err := h.file.Write(h.data); err != nil {
			return err
		}
		h.data = nil
	}
	h.size += int64(len(p))
	if h.file != nil {
		_, err = h.file.Write(p)
		return err
	}
	h.data = append(h.data, p...)
	return nil
}

// encode has no part of a message be binary (RFC 3516 §4.3 leaves that to the server):
// what stores and sends messages goes by lines.
func (h *Message) encode(dir string) error {
	whole, err := h.bytes()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := message.Convert(&out, whole, message.Need{SevenBit: true, ShortLines: true}); err != nil {
		return nil // it stays as it is: a signed message would break
	}
	h.Close()
	*h = Message{}
	return h.write(out.Bytes(), dir)
}

func (h *Message) bytes() ([]byte, error) {
	if h.file == nil {
		return h.data, nil
	}
	return io.ReadAll(io.NewSectionReader(h.file, 0, h.size))
}

// crlf writes lines with CRLF at their ends. It reads on after a failure, so that the
// client's next command is found.
type crlf struct {
	to     *Message
	dir    string
	raw    bool
	cr     bool // the last octet was a CR
	failed error
	buf    []byte
}

// rooms are what is read into.
var rooms = sync.Pool{New: func() any { return &room{} }}

type room [32 << 10]byte

// take takes in all that r has.
func (c *crlf) take(r io.Reader) error {
	buf := rooms.Get().(*room)
	defer rooms.Put(buf)
	_, err := io.CopyBuffer(c, r, buf[:])
	return err
}

func (c *crlf) Write(p []byte) (int, error) {
	if c.failed != nil {
		return len(p), nil
	}
	out := p
	if !c.raw {
		c.buf = c.lines(c.buf[:0], p)
		out = c.buf
	}
	c.failed = c.to.write(out, c.dir)
	return len(p), nil
}

// lines appends octets to out, with CRLF at the ends of lines.
func (c *crlf) lines(out, p []byte) []byte {
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n')
		line := p
		if n >= 0 {
			line = p[:n]
		}
		if out = append(out, line...); len(line) > 0 {
			c.cr = line[len(line)-1] == '\r'
		}
		if n < 0 {
			break
		}
		if !c.cr {
			out = append(out, '\r')
		}
		out, c.cr, p = append(out, '\n'), false, p[n+1:]
	}
	return out
}
