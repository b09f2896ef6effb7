package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
)

// ErrBareNewline is a bare CR or LF in message data; errors.Is holds for it
// and for the ErrBareCR or ErrBareLF that it wraps.
var ErrBareNewline = errors.New("bare newline in message data")

// ErrTooLarge is message data beyond the size limit.
var ErrTooLarge = errors.New("message larger than the limit")

// bareError is ErrBareNewline with its kind.
type bareError struct{ kind error }

func (e *bareError) Error() string   { return "message data: " + e.kind.Error() }
func (e *bareError) Unwrap() []error { return []error{ErrBareNewline, e.kind} }

var (
	errDataCR = &bareError{ErrBareCR}
	errDataLF = &bareError{ErrBareLF}
)

// DataReader reads the message that follows the 354 reply to DATA: it undoes
// dot-stuffing and ends at CRLF "." CRLF and nowhere else (RFC 5321 §4.5.2).
//
// A bare CR or LF, or too many octets, is an error that Read returns once all
// of the data up to its true end is consumed; so the next command can be read
// whatever was wrong. The data before the fault may have been returned by
// then: a message is good only when Read has returned io.EOF.
//
// It is for one goroutine at a time and reads nothing beyond the end.
type DataReader struct {
	// BareEnds makes a bare CR or LF end the data at once, whatever else is wrong with
	// it: another server may have seen the end there, or may see none where we do, so
	// that nothing that follows can be told from commands (INB-13). Set before use.
	BareEnds bool

	br    *bufio.Reader
	limit int64 // 0: none
	total int64
	state dataState
	bad   error // found; returned at the end
	first error // bare CR or LF
	err   error // final
}

type dataState uint8

const (
	atBegin dataState = iota // at the start of a line
	inText                   // within a line
	atCR                     // after a CR
	atDot                    // after a dot that began a line, not passed on
	atDotCR                  // after such a dot and a CR
	atEnd
)

// NewDataReader reads a message of at most limit octets as passed on (after
// undoing the stuffing); 0 is no limit.
func NewDataReader(br *bufio.Reader, limit int64) *DataReader {
	return &DataReader{br: br, limit: limit}
}

// Read returns io.EOF at the end of a good message, ErrBareNewline or
// ErrTooLarge at the end of another, io.ErrUnexpectedEOF where the connection
// ends before the data does, and the connection's own errors.
func (r *DataReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	for r.err == nil && n < len(p) && (n == 0 || r.br.Buffered() > 0) {
		if _, err := r.br.Peek(1); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			r.err = err
			break
		}
		src, _ := r.br.Peek(r.br.Buffered()) // cannot fail: it is all there
		used, wrote := r.scan(p[n:], src)
		r.br.Discard(used)
		r.account(wrote)
		if r.bad == nil {
			n += wrote
		}
		switch {
		case r.BareEnds && r.first != nil:
			r.err = r.first
		case r.state == atEnd:
			r.finish()
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}

// Drain consumes what is left, so that the next command can be read, and
// returns what a reader to the end would have got; nil for a good message.
func (r *DataReader) Drain() error {
	var buf [4096]byte
	for {
		if _, err := r.Read(buf[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// InStep reports whether the end of the data was reached, so that a command follows.
func (r *DataReader) InStep() bool { return r.state == atEnd && !(r.BareEnds && r.first != nil) }

func (r *DataReader) account(wrote int) {
	r.total += int64(wrote)
	if r.limit > 0 && r.total > r.limit && r.bad == nil {
		r.bad = ErrTooLarge
	}
}

func (r *DataReader) finish() {
	r.err = r.bad
	if r.err == nil {
		r.err = io.EOF
	}
}

// scan moves src to dst until one of them is used up or the data ends.
func (r *DataReader) scan(dst, src []byte) (used, wrote int) {
	for used < len(src) && wrote < len(dst) && r.state != atEnd {
		if r.state == inText {
			seg := src[used:min(len(src), used+len(dst)-wrote)]
			n := r.text(seg)
			wrote += copy(dst[wrote:], seg[:n])
			used += n
			continue
		}
		c := src[used]
		if r.step(c) {
			dst[wrote] = c
			wrote++
		}
		used++
	}
	return used, wrote
}

// text takes as much of seg as goes on unchanged: whole lines that do not
// begin with a dot, and the part of a line at its end.
func (r *DataReader) text(seg []byte) int {
	i := 0
	for {
		line := seg[i:]
		lf := bytes.IndexByte(line, '\n')
		if lf >= 0 {
			line = line[:lf]
		}
		if cr := bytes.IndexByte(line, '\r'); cr >= 0 && cr != len(line)-1 {
			r.bare(errDataCR)
		}
		ended := len(line) > 0 && line[len(line)-1] == '\r'
		if lf < 0 {
			if ended {
				r.state = atCR
			}
			return len(seg)
		}
		i += lf + 1
		if !ended {
			r.bare(errDataLF) // and no line begins here
		} else if i == len(seg) || seg[i] == '.' || seg[i] == '\n' {
			r.state = atBegin
			return i
		}
		if i == len(seg) {
			return i
		}
	}
}

// step takes one octet outside of running text and reports whether it is passed on.
func (r *DataReader) step(c byte) bool {
	switch r.state {
	case atBegin:
		if c == '.' {
			r.state = atDot
			return false
		}
	case atDot:
		if c == '\r' {
			r.state = atDotCR
			return false
		}
	case atDotCR:
		if c == '\n' {
			r.state = atEnd
			return false
		}
		r.bare(errDataCR)
	case atCR:
		if c == '\n' {
			r.state = atBegin
			return true
		}
		r.bare(errDataCR)
	}
	switch c {
	case '\r':
		r.state = atCR
	case '\n':
		r.bare(errDataLF)
		r.state = inText
	default:
		r.state = inText
	}
	return true
}

func (r *DataReader) bare(err error) {
	if r.first == nil {
		r.first = err
	}
	if r.bad == nil {
		r.bad = err
	}
}

// DataWriter writes a message as DATA wants it: dots that begin a line are
// doubled, and Close ends it. A bare CR or LF is an error: it is never sent,
// since the next server might see an end of message in it.
type DataWriter struct {
	w     *bufio.Writer
	state dataState // atBegin, inText, atCR
	err   error
}

// NewDataWriter writes to w and never flushes it.
func NewDataWriter(w *bufio.Writer) *DataWriter { return &DataWriter{w: w} }

// Write takes the next part of the message. Its errors are ErrBareNewline and
// those of the underlying writer; after one the message must not be completed.
func (d *DataWriter) Write(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	total := len(p)
	for len(p) > 0 && d.err == nil {
		p = p[d.line(p):]
	}
	if d.err != nil {
		return 0, d.err
	}
	return total, nil
}

// line writes all of p up to the next line that begins with a dot.
func (d *DataWriter) line(p []byte) int {
	if d.state == atBegin && p[0] == '.' {
		d.writeString("..")
		d.state = inText
		return 1
	}
	if d.state == atCR {
		if p[0] != '\n' {
			d.err = errDataCR
			return 0
		}
		d.write(p[:1])
		d.state = atBegin
		return 1
	}
	n := d.run(p)
	d.write(p[:n])
	return n
}

// run is how much of p can be written as it stands; it begins within or at the
// start of a line.
func (d *DataWriter) run(p []byte) int {
	i := 0
	for {
		rest := p[i:]
		lf := bytes.IndexByte(rest, '\n')
		if lf >= 0 {
			rest = rest[:lf]
		}
		if cr := bytes.IndexByte(rest, '\r'); cr >= 0 && cr != len(rest)-1 {
			d.err = errDataCR
			return i
		}
		ended := len(rest) > 0 && rest[len(rest)-1] == '\r'
		switch {
		case lf >= 0 && !ended:
			d.err = errDataLF
			return i
		case lf < 0 && ended:
			d.state = atCR
			return len(p)
		case lf < 0:
			d.state = inText
			return len(p)
		}
		i += lf + 1
		if i == len(p) || p[i] == '.' {
			d.state = atBegin
			return i
		}
	}
}

func (d *DataWriter) write(p []byte) {
	if _, err := d.w.Write(p); err != nil && d.err == nil {
		d.err = err
	}
}

func (d *DataWriter) writeString(s string) {
	if _, err := d.w.WriteString(s); err != nil && d.err == nil {
		d.err = err
	}
}

// Close ends the message: it completes a last line that lacks its CRLF and
// writes the final dot. Without Close no receiver takes the message.
func (d *DataWriter) Close() error {
	if d.err != nil {
		return d.err
	}
	end := ".\r\n"
	switch d.state {
	case inText:
		end = "\r\n.\r\n"
	case atCR:
		d.err = errDataCR
		return d.err
	}
	if _, err := d.w.WriteString(end); err != nil {
		d.err = err
		return err
	}
	d.err = errClosed
	return nil
}

var errClosed = errors.New("message data is complete")

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// WriteData writes the whole of r as message data with its end, and returns
// how many octets of r were taken. It does not flush. After an error the
// connection must be closed, for the message stands there unfinished.
func WriteData(w *bufio.Writer, r io.Reader) (int64, error) {
	d := NewDataWriter(w)
	n, err := d.ReadFrom(r)
	if err != nil {
		return n, err
	}
	return n, d.Close()
}

// ReadFrom writes all that r holds, without ending the message.
func (d *DataWriter) ReadFrom(r io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	var n int64
	for {
		m, err := r.Read(buf[:])
		n += int64(m)
		if m > 0 {
			if _, werr := d.Write(buf[:m]); werr != nil {
				return n, werr
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// CheckLines reports ErrBareNewline unless every CR and LF of a whole message
// stands in a CRLF: what a BDAT chunk must hold, too, for the next server may
// pass it on with DATA (RFC 3030 §3).
func CheckLines(b []byte) error {
	for len(b) > 0 {
		lf := bytes.IndexByte(b, '\n')
		line := b
		if lf >= 0 {
			line = b[:lf]
		}
		cr := bytes.IndexByte(line, '\r')
		switch {
		case cr >= 0 && (lf < 0 || cr != len(line)-1):
			return errDataCR
		case lf >= 0 && cr < 0:
			return errDataLF
		case lf < 0:
			return nil
		}
		b = b[lf+1:]
	}
	return nil
}
