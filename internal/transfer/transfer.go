// Package transfer takes mail that others have kept into mailboxes, and gives it out again
// (MBX-8): mbox files, Maildirs and directories of them. It works beside a server that runs: what it
// takes in is durable in batches, and clients see it as it comes.
//
// A message in a mailbox ends its lines with CRLF, as mail travels. Those that end with LF alone
// get their CR; no other octet changes. What is given out ends its lines with LF, as programs expect it
// in files, or on demand with CRLF, octet by octet as it lies in the mailbox. So what came with
// either comes back as it was; only a message that mixes both ends its lines in one way afterwards.
package transfer

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"waxwing/internal/delivery"
)

// Done is how far a transfer has come.
type Done struct {
	Messages int64 `json:"messages"`
	Octets   int64 `json:"octets"` // of these messages
	Known    int64 `json:"known"`  // left out, since the mailbox has them
	Left     int64 `json:"left"`   // could not be taken, or not wholly
	// Part of Whole is done: octets of a file, or messages. A Whole of 0 is not known.
	Part, Whole int64 `json:"-"`
}

// Left is what could not be taken, or not wholly.
type Left struct {
	What string // a message or a folder, by where it stands
	Err  error
}

func (l Left) String() string { return fmt.Sprintf("%s: %v", l.What, l.Err) }

// inMemory is how much of a message is held in memory; what is longer goes into a file.
const inMemory = 1 << 20

// holder holds a message that is being read, with lines that end with CRLF.
type holder struct {
	dir  string
	most int64
	size int64
	last byte
	mem  bytes.Buffer
	file *os.File
}

// errLong is of a message that is longer than is taken.
type errLong int64

func (e errLong) Error() string { return fmt.Sprintf("it has more than %d octets", int64(e)) }

// errWrite is of the place for long messages, and not of the message.
type errWrite struct{ error }

func (e errWrite) Unwrap() error { return e.error }

// hold reads a message. close must be called once it is not needed any more.
func hold(r io.Reader, dir string, most int64) (c delivery.Content, close func(), err error) {
	h := &holder{dir: dir, most: most}
	if _, err := io.Copy(h, r); err != nil {
		h.close()
		return nil, nil, err
	}
	if h.file == nil {
		return delivery.Bytes(h.mem.Bytes()), h.close, nil
	}
	if err := h.flush(); err != nil {
		h.close()
		return nil, nil, err
	}
	return fileContent{h.file, h.size}, h.close, nil
}

// Write takes octets of the message as it comes.
func (h *holder) Write(p []byte) (n int, err error) {
	n = len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			h.put(p)
			break
		}
		h.put(p[:i])
		if h.last != '\r' {
			h.put([]byte{'\r'})
		}
		h.put([]byte{'\n'})
		p = p[i+1:]
	}
	if h.size > h.most {
		return 0, errLong(h.most)
	}
	if h.mem.Len() > inMemory {
		err = h.flush()
	}
	return n, err
}

func (h *holder) put(p []byte) {
	if len(p) > 0 {
		h.mem.Write(p)
		h.last, h.size = p[len(p)-1], h.size+int64(len(p))
	}
}

// flush writes what is in memory into a file, which has no name: no crash leaves it behind.
func (h *holder) flush() (err error) {
	if h.file == nil {
		if h.file, err = os.CreateTemp(h.dir, "waxwing-transfer-*"); err != nil {
			return errWrite{fmt.Errorf("temporary file for a long message: %w", err)}
		}
		if err := os.Remove(h.file.Name()); err != nil {
			return errWrite{fmt.Errorf("unlink the temporary file of a long message: %w", err)}
		}
	}
	if _, err := h.mem.WriteTo(h.file); err != nil {
		return errWrite{fmt.Errorf("write a long message: %w", err)}
	}
	return nil
}

func (h *holder) close() {
	if h.file != nil {
		h.file.Close()
	}
}

// fileContent is a message in a file.
type fileContent struct {
	file *os.File
	size int64
}

func (c fileContent) Size() int64 { return c.size }

func (c fileContent) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(c.file, 0, c.size)), nil
}
