package imap

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Writer writes responses. It buffers: nothing is sent before Flush, or before the
// buffer is full. Errors stick and come out of Flush. While nothing is buffered, it
// holds no buffer: thousands of sessions wait, and few speak.
type Writer struct {
	to   io.Writer
	bw   *bufio.Writer // nil: nothing is buffered
	UTF8 bool          // the client takes UTF-8 in quoted strings (RFC 9051, or UTF8=ACCEPT)
	err  error
	buf  []byte
}

// buffers are what all Writers with buffers of the usual size share.
var buffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, usualBuffer) }}

const usualBuffer = 16 << 10

// NewWriter writes to w through a buffer of 16 KiB.
func NewWriter(w io.Writer) *Writer { return &Writer{to: w} }

// SetOutput has what follows written to w. What was buffered is flushed before.
func (w *Writer) SetOutput(to io.Writer) error {
	err := w.Flush()
	w.to = to
	return err
}

// out is the buffer.
func (w *Writer) out() *bufio.Writer {
	if w.bw == nil {
		w.bw = buffers.Get().(*bufio.Writer)
		w.bw.Reset(w.to)
	}
	return w.bw
}

// Flush sends what was written.
func (w *Writer) Flush() error {
	if w.bw == nil {
		return w.err
	}
	if w.err == nil {
		w.err = w.bw.Flush()
	}
	w.bw.Reset(nil)
	buffers.Put(w.bw)
	w.bw = nil
	if cap(w.buf) > 4<<10 {
		w.buf = nil
	}
	return w.err
}

// Err is the first error of writing.
func (w *Writer) Err() error { return w.err }

// Raw writes octets as they are.
func (w *Writer) Raw(b []byte) {
	if w.err == nil {
		_, w.err = w.out().Write(b)
	}
}

// Text writes a string as it is.
func (w *Writer) Text(s string) {
	if w.err == nil {
		_, w.err = w.out().WriteString(s)
	}
}

// Line writes a whole response line, in which nothing is quoted.
func (w *Writer) Line(parts ...string) {
	for _, p := range parts {
		w.Text(p)
	}
	w.Text("\r\n")
}

// Status writes a tagged or untagged status response; code may be "". What is said
// to people is cleaned of line ends.
func (w *Writer) Status(tag, condition, code, text string) {
	w.Text(tag + " " + condition + " ")
	if code != "" {
		w.Text("[" + code + "] ")
	}
	w.Line(clean(text))
}

// clean replaces what may not stand in resp-text.
func clean(s string) string {
	if s == "" {
		return "." // RFC 9051 §9: resp-text has at least one character
	}
	return strings.Map(func(c rune) rune {
		if c == '\r' || c == '\n' || c == 0 {
			return ' '
		}
		return c
	}, s)
}

// String writes a string, quoted where it can be and else as a literal.
func (w *Writer) String(s string) {
	w.buf = AppendString(w.buf[:0], s, w.UTF8)
	w.Raw(w.buf)
}

// NString writes NIL for "" where nothing was there, else a string.
func (w *Writer) NString(s string, there bool) {
	if !there {
		w.Text("NIL")
		return
	}
	w.String(s)
}

// Number writes a number.
func (w *Writer) Number(n uint64) {
	w.buf = strconv.AppendUint(w.buf[:0], n, 10)
	w.Raw(w.buf)
}

// Literal writes size octets of r as a literal; binary marks one in which NUL may
// stand. Fewer octets are an error: the client waits for the rest.
func (w *Writer) Literal(r io.Reader, size int64, binary bool) {
	if binary {
		w.Text("~")
	}
	w.Text("{" + strconv.FormatInt(size, 10) + "}\r\n")
	if w.err == nil {
		_, w.err = io.CopyN(w.out(), r, size)
	}
}

// Date writes a date and time in quotes (INTERNALDATE).
func (w *Writer) Date(t time.Time) { w.Text(t.Format(`"_2-Jan-2006 15:04:05 -0700"`)) }

// Flags writes a list of flags.
func (w *Writer) Flags(flags []string) { w.Text("(" + strings.Join(flags, " ") + ")") }

// maxQuoted is how long a string may be in quotes; longer ones are literals.
const maxQuoted = 1000

// AppendString appends a quoted string, or a literal where s cannot be quoted
// (RFC 9051 §4.3). A NUL, which neither may hold, becomes a question mark.
func AppendString(b []byte, s string, utf8Too bool) []byte {
	quotable := len(s) <= maxQuoted
	for i := 0; i < len(s) && quotable; i++ {
		c := s[i]
		quotable = c != '\r' && c != '\n' && c != 0 && (c < 0x80 || utf8Too)
	}
	if quotable && utf8Too {
		quotable = utf8.ValidString(s)
	}
	if quotable {
		b = append(b, '"')
		for i := range len(s) {
			if s[i] == '"' || s[i] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, s[i])
		}
		return append(b, '"')
	}
	s = strings.ReplaceAll(s, "\x00", "?")
	b = append(b, '{')
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, "}\r\n"...)
	return append(b, s...)
}
