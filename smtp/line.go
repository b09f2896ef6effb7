package smtp

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
)

// Faults of line ends. A bare CR or LF is refused in commands and in messages:
// what one server takes for a line end and the next does not is how a message
// is smuggled into another (INB-2, RFC 5321 §2.3.8). Replies are read by their
// code (ReadReply).
var (
	ErrBareCR      = errors.New("CR without LF: lines must end in CRLF")
	ErrBareLF      = errors.New("LF without CR: lines must end in CRLF")
	ErrLineTooLong = errors.New("line too long")
	// ErrEndless ends the dialogue: a line went on so far past its limit that
	// its end is not waited for.
	ErrEndless = errors.New("line without end")
)

// maxOverrun is how much of a line that is too long is skipped in order to
// stay in step.
const maxOverrun = 1 << 20

// LineReader reads CRLF lines with a length limit. It reads nothing beyond the
// line it returns, so that a DataReader on the same bufio.Reader can go on from
// there. It is for one goroutine at a time.
type LineReader struct {
	br  *bufio.Reader
	max int
	buf []byte // only for lines longer than br's buffer
}

// NewLineReader reads lines of up to max octets, CRLF included.
func NewLineReader(br *bufio.Reader, max int) *LineReader {
	return &LineReader{br: br, max: max}
}

// ReadLine returns the next line without its CRLF; it is valid until the next
// read. ErrBareCR, ErrBareLF and ErrLineTooLong leave the reader behind the
// line concerned, so that the dialogue can go on. All other errors are final;
// an end in the midst of a line is io.ErrUnexpectedEOF.
func (r *LineReader) ReadLine() ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line, err = r.long(line)
	}
	if err != nil {
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	n := len(line) - 1
	if n == 0 || line[n-1] != '\r' {
		return nil, ErrBareLF
	}
	line = line[:n-1]
	switch {
	case bytes.IndexByte(line, '\r') >= 0:
		return nil, ErrBareCR
	case n+1 > r.max:
		return nil, ErrLineTooLong
	}
	return line, nil
}

// long collects a line that does not fit into the buffer of br, up to the
// limit, and skips the rest.
func (r *LineReader) long(first []byte) ([]byte, error) {
	if r.buf = r.buf[:0]; len(first) <= r.max {
		r.buf = append(r.buf, first...)
	}
	total, ends := len(first), lineEnds{}
	ends.add(first)
	for {
		part, err := r.br.ReadSlice('\n')
		total += len(part)
		ends.add(part)
		if total <= r.max {
			r.buf = append(r.buf, part...)
		}
		switch {
		case total > r.max+maxOverrun:
			return nil, ErrEndless
		case err == bufio.ErrBufferFull:
			continue
		case err != nil:
			return r.buf, err
		case total > r.max:
			return nil, cmp.Or(ends.fault(), ErrLineTooLong)
		}
		return r.buf, nil
	}
}

// lineEnds looks for a bare CR or LF in a line that is not kept.
type lineEnds struct {
	cr, bareCR bool // the last octet is a CR; one stands within the line
}

func (e *lineEnds) add(part []byte) {
	for _, c := range part {
		e.bareCR = e.bareCR || e.cr && c != '\n'
		if c == '\n' {
			return // the end; cr tells what stands before it
		}
		e.cr = c == '\r'
	}
}

// fault is asked at the line's end.
func (e *lineEnds) fault() error {
	switch {
	case e.bareCR:
		return ErrBareCR
	case !e.cr:
		return ErrBareLF
	}
	return nil
}
