package mbox

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// Writer writes a file.
type Writer struct {
	bw   *bufio.Writer
	crlf bool
}

// NewWriter writes a file whose lines end with LF, as programs that read mbox files expect, or with crlf
// as they do in the messages.
func NewWriter(w io.Writer, crlf bool) *Writer {
	return &Writer{bufio.NewWriterSize(w, 64<<10), crlf}
}

func (w *Writer) end() string {
	if w.crlf {
		return "\r\n"
	}
	return "\n"
}

// Write writes a message, whose lines end with CRLF.
func (w *Writer) Write(m Message, text io.Reader) error {
	sender := strings.Join(strings.Fields(m.Sender), "")
	if sender == "" {
		sender = nobody
	}
	w.bw.WriteString("From " + sender + " " + m.Date.UTC().Format("Mon Jan _2 15:04:05 2006") + w.end())
	t := textWriter{w: w, header: true, begins: true, flags: m.Flags}
	br := bufio.NewReaderSize(text, 64<<10)
	for {
		line, err := br.ReadSlice('\n')
		if n := len(line); err == bufio.ErrBufferFull && line[n-1] == '\r' { // the LF may follow
			br.UnreadByte()
			line = line[:n-1]
		}
		t.piece(line)
		if err == io.EOF {
			break
		}
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
	}
	if !t.begins {
		w.bw.WriteString(w.end())
	}
	if t.header {
		w.bw.Write(appendStatus(nil, m.Flags, w.end()))
	}
	_, err := w.bw.WriteString(w.end())
	return err
}

// Flush writes out what is held back.
func (w *Writer) Flush() error { return w.bw.Flush() }

// textWriter writes the text of one message.
type textWriter struct {
	w      *Writer
	header bool // not behind it yet
	begins bool // a line begins
	flags  []string
}

// piece writes a line or a piece of one. Errors are told by Flush.
func (t *textWriter) piece(line []byte) {
	if len(line) == 0 {
		return
	}
	if t.begins && t.header && empty(line) {
		t.header = false
		t.w.bw.Write(appendStatus(nil, t.flags, t.w.end()))
	}
	if t.begins && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
		t.w.bw.WriteByte('>')
	}
	t.begins = line[len(line)-1] == '\n'
	if text, ok := bytes.CutSuffix(line, []byte("\r\n")); ok && !t.w.crlf {
		t.w.bw.Write(text)
		line = []byte("\n")
	}
	t.w.bw.Write(line)
}
