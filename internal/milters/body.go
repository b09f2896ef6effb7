package milters

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"waxwing/milter"
)

// Body takes a body that a milter wants, with the line ends that mail has: a little of it in
// memory, what is longer in a file. It is not safe for concurrent use.
type Body struct {
	Limit  int64                    // octets
	Memory int                      // octets that are held in memory
	File   func() (*os.File, error) // makes the file, which Close closes

	buf  []byte // of what is not in the file yet
	file *os.File
	size int64 // of all that is in the file
	last byte
}

// Write refuses what no mail may hold, as the milter's fault.
func (b *Body) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, 0) >= 0 {
		return 0, &milter.ProtocolError{Text: "a body with a NUL octet"}
	}
	for _, c := range p {
		if c == '\n' && b.last != '\r' {
			b.buf = append(b.buf, '\r')
		}
		if c != '\n' && b.last == '\r' {
			b.buf = append(b.buf, '\n')
		}
		b.buf, b.last = append(b.buf, c), c
	}
	if b.size+int64(len(b.buf)) > b.Limit {
		return 0, &milter.ProtocolError{Text: fmt.Sprintf("a body of more than %d octets", b.Limit)}
	}
	if len(b.buf) > b.Memory {
		return len(p), b.spill()
	}
	return len(p), nil
}

// spill moves what is in memory to the file.
func (b *Body) spill() (err error) {
	if b.file == nil {
		if b.file, err = b.File(); err != nil {
			return err
		}
	}
	if _, err := b.file.Write(b.buf); err != nil {
		return fmt.Errorf("write a body of a milter's: %w", err)
	}
	b.size, b.buf = b.size+int64(len(b.buf)), b.buf[:0]
	return nil
}

// End completes the last line.
func (b *Body) End() error {
	switch {
	case b.last == '\r':
		b.buf = append(b.buf, '\n')
	case b.last != '\n' && b.size+int64(len(b.buf)) > 0:
		b.buf = append(b.buf, "\r\n"...)
	}
	if b.file == nil {
		return nil
	}
	return b.spill()
}

// Close gives the file back.
func (b *Body) Close() {
	if b.file != nil {
		b.file.Close()
	}
}

// Short is the whole body where it is in memory, after End.
func (b *Body) Short() (body []byte, ok bool) { return b.buf, b.file == nil }

// Reader is the body from its start, after End.
func (b *Body) Reader() io.Reader {
	if b.file != nil {
		return io.NewSectionReader(b.file, 0, b.size)
	}
	return bytes.NewReader(b.buf)
}
