package receive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"waxwing/dkim"
	"waxwing/internal/delivery"
	"waxwing/message"
)

// inMemory is how much of a message is held in memory; what is longer goes
// into a file without a name.
const inMemory = 1 << 20

// buffers are read into and given back: what goes to the queue is a copy of
// the right size.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 32<<10); return &b }}

// incoming is a message being taken in.
type incoming struct {
	header message.Header
	// odd is why the header ends where it does and not at an empty line: the line
	// that is no field and begins body.
	odd    error
	buf    *[]byte // the message, or its first part
	body   []byte  // of *buf: what follows the header, its empty line included
	edited bool    // header is to be written anew
	share  share   // of the memory for all

	file     *os.File // the message, if it is long: header (as edited), then body
	fileSize int64
	mapped   []byte
	eight    bool
	nul      bool
	long     bool
}

// read takes the message from r: whole, or its first octets and more = true. These
// are inMemory; where the memory for all is used up, only what each message has of
// its own, if that holds the header. The caller closes it.
func (d *Door) read(r io.Reader) (in *incoming, more bool, err error) {
	in = &incoming{buf: buffers.Get().(*[]byte), share: share{of: d.Memory}}
	b := (*in.buf)[:0]
	for len(b) < inMemory {
		if len(b) == cap(b) {
			size := ownMemory
			if cap(b) >= ownMemory {
				size = min(4*cap(b), inMemory)
			}
			if !in.share.resize(size) {
				break
			}
			b = append(make([]byte, 0, size), b...)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		*in.buf = b
		if err == io.EOF {
			in.begin()
			return in, false, nil
		}
		if err != nil {
			in.close()
			return nil, false, err
		}
	}
	if len(b) < inMemory && !wholeHeader(b) {
		in.close()
		return nil, false, errCrowded
	}
	in.begin()
	return in, true, nil
}

// begin looks at the first part of the message, or the whole.
func (in *incoming) begin() {
	b := *in.buf
	*in.buf = b[:copy(b, b[message.MboxLines(b):])]
	in.parse()
}

// parse finds where the header ends. A line that is no field ends it as an empty
// one does; head then writes the empty line, so that whoever reads the message
// later finds the same header as we do: what stands behind that line can pass
// for no field of ours (AUT-2), and needs none of our attention.
func (in *incoming) parse() {
	b := *in.buf
	h, _, err := message.SplitHeader(b)
	if err != nil {
		in.odd = err
		h = message.Header{}
		if syntax := (*message.SyntaxError)(nil); errors.As(err, &syntax) {
			// The lines before it are fields: this cannot fail.
			h, _, _ = message.SplitHeader(b[:lineStart(b, syntax.Line)])
			in.edited = true
		}
	}
	in.header = h
	// The empty line stays with the body; a message may end without one.
	n := 0
	for _, f := range h.Fields {
		n += len(f.Raw)
	}
	in.body = b[n:]
}

// lineStart is where the line begins; 1 is the first.
func lineStart(b []byte, line int) int {
	pos := 0
	for ; line > 1; line-- {
		i := bytes.IndexByte(b[pos:], '\n')
		if i < 0 {
			return len(b)
		}
		pos += i + 1
	}
	return pos
}

// close gives memory and file back. The content made from it is gone then,
// unless it was delivery.Bytes.
func (in *incoming) close() {
	if in.mapped != nil {
		syscall.Munmap(in.mapped)
	}
	if in.file != nil {
		in.file.Close()
	}
	in.giveBuffer()
	in.share.resize(0)
	*in = incoming{}
}

// head is the header as it will be sent.
func (in *incoming) head() []byte {
	if in.edited {
		h := in.header.Bytes()
		if len(in.body) == 0 || !bytes.HasPrefix(in.body, []byte("\r\n")) {
			h = append(h, "\r\n"...) // nothing ended the header
		}
		return h
	}
	b := *in.buf
	return b[:len(b)-len(in.body)]
}

// nameless makes a file that no crash leaves behind.
func nameless(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "waxwing-message-*")
	if err != nil {
		return nil, fmt.Errorf("temporary file for a long message: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("unlink the temporary file of a long message: %w", err)
	}
	return f, nil
}

// spill writes the message, with what r still holds, to a file that has no name.
func (in *incoming) spill(dir string, r io.Reader) error {
	f, err := nameless(dir)
	if err != nil {
		return err
	}
	in.file = f
	w := &counter{w: f}
	for _, part := range [][]byte{in.head(), in.body} {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("write a long message: %w", err)
		}
	}
	in.detach()
	if _, err := io.Copy(w, r); err != nil {
		return err // of the connection or of the disk
	}
	in.counted(w)
	return nil
}

// counted notes what was written to the file.
func (in *incoming) counted(w *counter) {
	in.fileSize, in.eight, in.nul, in.long = w.n, w.eight, w.nul, w.lines.Long
}

// counter counts what goes through and looks for octets above 127, for NUL and for
// lines that are too long.
type counter struct {
	w     io.Writer
	n     int64
	eight bool
	nul   bool
	lines message.LineMeter
}

func (c *counter) Write(p []byte) (int, error) {
	c.eight = c.eight || message.EightBit(p)
	c.nul = c.nul || hasNUL(p)
	_, _ = c.lines.Write(p)
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// signed is the message for whoever verifies its signatures; nil where its header cannot be
// read. A long one is read from its file in pieces: many of them at once would fill the memory.
func (in *incoming) signed() (*dkim.Message, error) {
	var m *dkim.Message
	var err error
	if in.file != nil {
		m, err = dkim.ReadFrom(io.NewSectionReader(in.file, 0, in.fileSize))
	} else {
		var msg []byte
		if msg, err = in.whole(); err == nil {
			m, err = dkim.Read(msg)
		}
	}
	if syntax := (*message.SyntaxError)(nil); errors.As(err, &syntax) || errors.Is(err, message.ErrTooManyFields) {
		return nil, nil
	}
	return m, err
}

// whole is the message in one piece, for signing and for report sinks. A long
// one is mapped from its file. It is valid until close.
func (in *incoming) whole() ([]byte, error) {
	switch {
	case in.file == nil && !in.edited:
		return *in.buf, nil
	case in.file == nil:
		return append(in.head(), in.body...), nil
	case in.mapped != nil:
		return in.mapped, nil
	case in.fileSize == 0:
		return nil, errors.New("empty file")
	}
	m, err := syscall.Mmap(int(in.file.Fd()), 0, int(in.fileSize), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map a long message: %w", err)
	}
	in.mapped = m
	return m, nil
}

// content is the message with prefix before it. Short ones are copied, so that
// the queue may keep them.
func (in *incoming) content(prefix []byte) delivery.Content {
	if in.file != nil {
		return &fileContent{prefix: prefix, f: in.file, size: in.fileSize}
	}
	head := in.head()
	b := make([]byte, 0, len(prefix)+len(head)+len(in.body))
	b = append(b, prefix...)
	b = append(b, head...)
	b = append(b, in.body...)
	return delivery.Bytes(b)
}

// eightBit reports octets above 127 anywhere in the message.
func (in *incoming) eightBit() bool {
	if in.file != nil {
		return in.eight
	}
	return message.EightBit(in.head()) || message.EightBit(in.body)
}

// longLine reports a line that SMTP cannot carry on.
func (in *incoming) longLine() bool {
	if in.file != nil {
		return in.long
	}
	return message.LongLine(in.head()) || message.LongLine(in.body)
}

// sevenBits rewrites a message with octets above 127 into one without, and says
// whether it did. One that cannot be stays as it is.
func (in *incoming) sevenBits(dir string) (done bool, err error) {
	if !in.eightBit() {
		return false, nil
	}
	cannot, err := in.convert(message.Need{SevenBit: true}, dir)
	return cannot == nil && err == nil, err
}

// convert rewrites the message as needed, a long one to a new file in dir. cannot
// says why the message cannot be converted, err what failed here; after either it
// is what it was.
func (in *incoming) convert(need message.Need, dir string) (cannot, err error) {
	msg, err := in.whole()
	if err != nil {
		return nil, err
	}
	if in.file == nil {
		var b bytes.Buffer
		if err := message.Convert(&b, msg, need); err != nil {
			return err, nil
		}
		text := b.Bytes()
		*in = incoming{buf: &text, share: in.share}
		in.parse()
		return nil, nil
	}
	f, err := nameless(dir)
	if err != nil {
		return nil, err
	}
	w := &counter{w: f}
	bw := bufio.NewWriterSize(w, 64<<10)
	cannot = message.Convert(bw, msg, need)
	if err = bw.Flush(); err != nil || cannot != nil {
		f.Close()
		return cannot, err
	}
	syscall.Munmap(in.mapped)
	in.file.Close()
	in.file, in.mapped = f, nil
	in.counted(w)
	return nil, nil
}

func hasNUL(b []byte) bool { return bytes.IndexByte(b, 0) >= 0 }

// fileContent is a long message: what was put before it, and its file.
type fileContent struct {
	prefix []byte
	f      *os.File
	size   int64
}

func (c *fileContent) Size() int64 { return int64(len(c.prefix)) + c.size }

func (c *fileContent) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(c.prefix), io.NewSectionReader(c.f, 0, c.size))), nil
}
