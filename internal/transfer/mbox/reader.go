package mbox

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"time"
)

// Reader reads the messages of a file, one after the other.
type Reader struct {
	br      *bufio.Reader
	quoting Quoting
	off     int64 // octets that were read
	err     error // of the file, once it has ended

	next   []byte // the line with which the next message begins; nil: not known, or none
	begun  bool
	inText bool // a message is being read
	mid    bool // a piece of this line came before

	pending []byte // lines of the message that were read
	out     []byte // what Read gives before anything else; of pending, where that was read
	blank   []byte // an empty line, which is the message's if another of its lines follows
	fresh   bool   // the line before was empty
}

// NewReader reads a file.
func NewReader(r io.Reader, q Quoting) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, 64<<10), quoting: q}
}

// Next goes to the next message, whose text Read then gives: its lines as they end in the file,
// without the quoting. io.EOF behind the last, ErrFormat.
func (r *Reader) Next() (m Message, err error) {
	r.out = nil
	for r.inText {
		r.pending = r.pending[:0]
		if err := r.line(); err != nil && err != io.EOF {
			return m, err
		}
	}
	if !r.begun {
		if err := r.first(); err != nil {
			return m, err
		}
	}
	if r.next == nil {
		return m, r.err
	}
	m.Sender, m.Date, _ = postmark(r.next)
	m.Offset = r.off
	r.next, r.inText, r.fresh, r.blank, r.pending = nil, true, true, nil, r.pending[:0]
	return m, r.header(&m)
}

// first finds the line with which the file begins.
func (r *Reader) first() error {
	r.begun = true
	for {
		line, _ := r.piece()
		switch {
		case bytes.HasPrefix(line, []byte("From ")) && !r.mid:
			r.next = slices.Clone(line)
			return nil
		case len(line) == 0:
			return r.err
		case !empty(line):
			r.err = ErrFormat
			return r.err
		}
	}
}

// piece reads a line, or a piece of one that is long; r.mid then says that more of it follows.
// Nothing is returned behind the end.
func (r *Reader) piece() (line []byte, begins bool) {
	begins = !r.mid
	if r.err != nil {
		return nil, begins
	}
	line, err := r.br.ReadSlice('\n')
	r.off += int64(len(line))
	r.mid = err == bufio.ErrBufferFull
	if err != nil && !r.mid {
		r.err = err
	}
	return line, begins
}

// header reads the header, for its flags.
func (r *Reader) header(m *Message) error {
	var head []byte
	for r.inText && len(head) < maxHeader {
		if err := r.line(); err != nil && err != io.EOF {
			return err
		}
		head = append(head, r.pending...)
		r.pending = r.pending[:0]
		if r.blank != nil { // the line behind the header
			break
		}
	}
	if len(head) < maxHeader {
		head, m.Flags = takeStatus(head)
	}
	r.out = head
	return nil
}

// line reads a line of the message into pending, or ends the message.
func (r *Reader) line() error {
	line, begins := r.piece()
	if len(line) == 0 {
		r.inText, r.blank = false, nil
		return r.err
	}
	if begins && r.fresh && bytes.HasPrefix(line, []byte("From ")) {
		if _, _, ok := postmark(line); ok && !r.mid {
			r.next, r.inText, r.blank = slices.Clone(line), false, nil
			return nil
		}
	}
	r.pending = append(r.pending, r.blank...)
	r.blank = nil
	r.fresh = begins && empty(line)
	switch {
	case r.fresh:
		r.blank = slices.Clone(line)
	case begins:
		r.pending = append(r.pending, r.unquoted(line)...)
	default:
		r.pending = append(r.pending, line...)
	}
	return nil
}

func (r *Reader) unquoted(line []byte) []byte {
	if line[0] != '>' {
		return line
	}
	text := bytes.TrimLeft(line, ">")
	if !bytes.HasPrefix(text, []byte("From ")) || r.quoting == None || r.quoting == O && len(line)-len(text) > 1 {
		return line
	}
	return line[1:]
}

// atOnce is how many octets of lines Read reads at least, if there are so many.
const atOnce = 16 << 10

// Read reads the text of the message at hand.
func (r *Reader) Read(p []byte) (int, error) {
	if len(r.out) == 0 {
		r.pending = r.pending[:0]
		for r.inText && len(r.pending) < atOnce {
			if err := r.line(); err != nil && err != io.EOF {
				return 0, err
			}
		}
		if r.out = r.pending; len(r.out) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

func empty(line []byte) bool { return string(line) == "\n" || string(line) == "\r\n" }

// dates are how the end of a line that begins a message may be written, with single spaces.
var dates = []string{"Mon Jan 2 15:04:05 2006", "Mon Jan 2 15:04:05 2006 -0700", "Mon Jan 2 15:04:05 -0700 2006", "Mon Jan 2 15:04:05 MST 2006", "Mon Jan 2 15:04 2006",
	"Mon Jan 2 15:04:05 2006 MST", "Mon, 2 Jan 2006 15:04:05 -0700"}

// postmark reads a line that begins a message; false for one without a date.
func postmark(line []byte) (sender string, date time.Time, ok bool) {
	words := strings.Fields(strings.TrimPrefix(string(line[:min(len(line), 1000)]), "From "))
	if i := slices.Index(words, "remote"); i > 0 { // "remote from HOST", of UUCP
		words = words[:i]
	}
	for n := 5; n <= 6; n++ {
		if len(words) < n {
			break
		}
		at := len(words) - n
		for _, layout := range dates {
			if t, err := time.Parse(layout, strings.Join(words[at:], " ")); err == nil {
				return known(words[:at]), t.UTC(), true
			}
		}
	}
	return known(words[:min(1, len(words))]), date, false
}

func known(sender []string) string {
	s := strings.Join(sender, " ")
	if s == nobody || s == "-" {
		return ""
	}
	return s
}
