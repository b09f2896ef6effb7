package item

import (
	"errors"
	"io"

	"waxwing/imap"
	"waxwing/internal/criteria"
	"waxwing/structure"
)

// errEncoding is a transfer encoding that is not known (RFC 3516 §4.3, UNKNOWN-CTE).
var errEncoding = errors.New("the transfer encoding is not known")

// decoded reads a part as BINARY wants it: without its transfer encoding (RFC 3516). A
// part that is not there is an error of io.ErrUnexpectedEOF.
func (x *Item) decoded(s *imap.Section) (io.ReadCloser, error) {
	r, ok := x.Built.Section(s.Part, "")
	if !ok {
		return nil, io.ErrUnexpectedEOF
	}
	r.End = min(r.End, x.Content.Size())
	p := x.Built.Part(s.Part)
	encoding := p.Encoding
	if len(s.Part) == 0 || p.IsMessage() || p.IsMultipart() {
		encoding = ""
	}
	body, err := criteria.Octets(x.Content, r)
	if err != nil {
		return nil, err
	}
	plain, known := structure.Decoder(body, encoding)
	if !known {
		body.Close()
		return nil, errEncoding
	}
	return decoder{plain, body}, nil
}

type decoder struct {
	io.Reader
	io.Closer
}

// measure counts octets, and looks for NUL.
type measure struct {
	size int64
	nul  bool
	high bool // octets above 127
}

func (m *measure) Write(p []byte) (int, error) {
	m.size += int64(len(p))
	for _, c := range p {
		m.nul, m.high = m.nul || c == 0, m.high || c > 0x7f
	}
	return len(p), nil
}

// measured is how large a part is when it is decoded.
func (x *Item) measured(s *imap.Section) (m measure, err error) {
	r, err := x.decoded(s)
	if err != nil {
		return m, err
	}
	defer r.Close()
	_, err = io.Copy(&m, r)
	return m, err
}

// binarySize writes BINARY.SIZE[…].
func (x *Item) binarySize(i *imap.FetchItem) {
	m, err := x.measured(i.Section)
	x.note(err)
	x.W.Text(upper(i) + " ")
	x.W.Number(uint64(m.size))
}

// binary writes the value of BINARY[…].
func (x *Item) binary(s *imap.Section) {
	m, err := x.measured(s)
	var r io.ReadCloser
	if err == nil {
		r, err = x.decoded(s)
	}
	if err != nil {
		x.note(err)
		x.W.Text("NIL")
		return
	}
	defer r.Close()
	c := clip(structure.Range{End: m.size}, s)
	if c.Size() <= 0 {
		x.W.Text(`""`)
		return
	}
	if _, err := io.CopyN(io.Discard, r, c.Start); err != nil {
		x.lost(err)
		return
	}
	x.W.Literal(r, c.Size(), m.nul)
}

// note has the command answered NO for a part that cannot be decoded.
func (x *Item) note(err error) {
	if errors.Is(err, errEncoding) {
		x.UnknownEncoding = true
	}
}
