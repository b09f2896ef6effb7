package structure

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"sync"
)

// Parse reads a message to its end. The error is the reader's: there is no message that
// cannot be read.
func Parse(r io.Reader) (*Message, error) {
	p := parsers.Get().(*parser)
	defer p.giveBack()
	p.start(r)
	for {
		line, err := p.br.ReadSlice('\n')
		if len(line) > 0 {
			p.line(line)
		}
		switch err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			return p.finish(), nil
		default:
			return nil, err
		}
	}
}

// parsers are kept for their buffers.
var parsers = sync.Pool{New: func() any { return &parser{br: bufio.NewReaderSize(nil, 16<<10)} }}

// parser reads a message line by line. A line longer than the buffer comes in pieces.
type parser struct {
	br  *bufio.Reader
	msg *Message

	off   int64 // octets before the line at hand
	lines int64 // line ends before it
	last  int64 // octets of the line end before it
	mid   bool  // a piece of this line came before
	cr    bool  // and ended with CR
	skip  bool  // the line is a boundary
	then  step  // what is to be done behind it

	open    []open
	parts   int
	pending field  // the field that is being read
	value   []byte // and what is known of its value

	text      int // octets that may yet be kept
	addresses int // addresses that may yet be kept

	sample  []byte // of the part from which a preview is made
	scratch []byte // for decoding it
}

type step uint8

const (
	stay      step = iota
	beginPart      // a part of the multipart that is read begins
	beginBody      // the body of the part that is read begins
)

// open is a part whose end has not come. The last one of parser.open is where lines go.
type open struct {
	part     *Part
	env      *Envelope // where the fields of a message's header go; nil in a part of a multipart
	boundary string    // of a multipart whose end has not come
	header   bool      // its header is being read
	typed    bool      // a Content-Type field was there
	digest   bool      // of a multipart: its parts are messages unless they say otherwise (RFC 2046 §5.1.5)
	sample   int       // octets of the body that are still wanted for the preview
	lines    int64     // line ends before the body
}

func (p *parser) start(r io.Reader) {
	p.br.Reset(r)
	*p = parser{br: p.br, open: p.open[:0], value: p.value[:0], sample: p.sample[:0], scratch: p.scratch}
	p.text, p.addresses = maxText, maxAddresses
	p.msg = &Message{Root: &Part{}}
	p.push(open{part: p.msg.Root, env: &p.msg.Envelope})
}

func (p *parser) giveBack() {
	p.br.Reset(nil)
	clear(p.open[:cap(p.open)])
	p.msg = nil
	if cap(p.value) > 64<<10 {
		p.value = nil
	}
	parsers.Put(p)
}

func (p *parser) finish() *Message {
	if p.then == beginPart {
		p.beginPart()
	}
	p.close(0, p.off, p.lines)
	return p.msg
}

func (p *parser) top() *open { return &p.open[len(p.open)-1] }

// push makes a part the one that is read, beginning with the next octet.
func (p *parser) push(o open) {
	o.header = true
	o.part.Start = p.off
	p.parts++
	p.open = append(p.open, o)
}

// line takes a line with its end, or a piece of one.
func (p *parser) line(line []byte) {
	if !p.mid {
		p.skip = false
		if len(line) > 1 && line[0] == '-' && line[1] == '-' {
			p.skip = p.boundary(line)
		}
	}
	if !p.skip {
		p.content(line)
	}
	n := len(line)
	p.off += int64(n)
	if line[n-1] != '\n' {
		p.cr, p.mid = line[n-1] == '\r', true
		return
	}
	p.last = 1
	if n > 1 && line[n-2] == '\r' || n == 1 && p.mid && p.cr {
		p.last = 2
	}
	p.lines++
	p.mid = false
	switch p.then {
	case beginPart:
		p.beginPart()
	case beginBody:
		p.beginBody()
	}
	p.then = stay
}

// content takes a line that is no boundary.
func (p *parser) content(line []byte) {
	o := p.top()
	switch {
	case o.header:
		p.headerLine(o, line)
	case o.sample > 0:
		n := min(o.sample, len(line))
		p.sample = append(p.sample, line[:n]...)
		o.sample -= n
	}
}

// boundary ends what a boundary line ends, and tells whether the line is one. The
// innermost multipart comes first; only the beginning of the line must be the boundary, so
// that of several the longest one counts (RFC 2046 §5.1.1).
func (p *parser) boundary(line []byte) bool {
	rest := bytes.TrimSuffix(bytes.TrimSuffix(line[2:], []byte("\n")), []byte("\r"))
	found := -1
	for i := len(p.open) - 1; i >= 0; i-- {
		b := p.open[i].boundary
		if b == "" || len(b) > len(rest) || string(rest[:len(b)]) != b || found >= 0 && len(b) <= len(p.open[found].boundary) {
			continue
		}
		found = i
		if tail := rest[len(b):]; len(tail) == 0 || string(tail) == "--" {
			break // there cannot be a better one
		}
	}
	if found < 0 {
		return false
	}
	end := bytes.HasPrefix(rest[len(p.open[found].boundary):], []byte("--"))
	if !end && p.parts >= MaxParts {
		return false
	}
	// The line end before the boundary belongs to it.
	p.close(found+1, p.off-p.last, p.lines-1)
	if end {
		p.open[found].boundary = "" // what follows is its epilogue
	} else {
		p.then = beginPart
	}
	return true
}

func (p *parser) beginPart() {
	part := &Part{}
	parent := p.top().part
	parent.Parts = append(parent.Parts, part)
	p.push(open{part: part})
}

// beginBody ends the header of the part that is read.
func (p *parser) beginBody() {
	p.endField()
	o := p.top()
	part := o.part
	o.header = false
	part.Body, o.lines = p.off, p.lines
	inDigest := len(p.open) > 1 && p.open[len(p.open)-2].digest
	switch {
	case !o.typed && inDigest:
		part.Type, part.Subtype = "message", "rfc822"
	case !o.typed:
		part.Type, part.Subtype = "text", "plain"
	}
	o.digest = part.Is("multipart/digest")
	if !part.IsMultipart() || len(p.open) > MaxDepth {
		o.boundary = ""
	}
	switch {
	case part.Is("message/rfc822") || part.Is("message/global"):
		part.Envelope = &Envelope{}
		if len(p.open) <= MaxDepth && p.parts < MaxParts {
			child := &Part{}
			part.Parts = []*Part{child}
			p.push(open{part: child, env: part.Envelope})
		}
	case p.msg.Preview == "" && o.boundary == "":
		o.sample = sampleSize(part)
		p.sample = p.sample[:0]
	}
}

// close ends all parts but the first keep.
func (p *parser) close(keep int, at, lines int64) {
	for len(p.open) > keep {
		if p.top().header { // it has no body
			n := len(p.open)
			p.beginBody()
			if len(p.open) > n {
				continue // a message, which is empty
			}
		}
		o := p.top()
		part := o.part
		part.Body = min(part.Body, max(at, part.Start)) // even a blank line's end may be the boundary's
		part.End = max(at, part.Body)
		part.Lines = max(lines-o.lines, 0)
		if len(p.sample) > 0 && o.boundary == "" && len(part.Parts) == 0 && p.msg.Preview == "" {
			p.msg.Preview = p.preview(part)
			p.sample = p.sample[:0]
		}
		p.open = p.open[:len(p.open)-1]
	}
}

// headerLine takes a line of a header.
func (p *parser) headerLine(o *open, line []byte) {
	switch {
	case p.mid || line[0] == ' ' || line[0] == '\t':
		p.more(line)
	case line[0] == '\n', line[0] == '\r' && len(line) == 2 && line[1] == '\n':
		p.then = beginBody
	default:
		p.endField()
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			return
		}
		p.pending = fieldOf(bytes.TrimRight(line[:colon], " \t"), o.env != nil)
		p.more(line[colon+1:])
	}
}

// more keeps a piece of the value of the field that is read.
func (p *parser) more(b []byte) {
	if p.pending != 0 {
		p.value = append(p.value, b[:min(len(b), maxField-len(p.value))]...)
	}
}

// endField ends the field that is read.
func (p *parser) endField() {
	kind := p.pending
	if kind == 0 {
		return
	}
	p.pending = 0
	value := p.value[:min(len(p.value), p.text)]
	p.value = p.value[:0]
	p.text -= len(value)
	p.set(p.top(), kind, strings.TrimSpace(unfold(value)))
}
