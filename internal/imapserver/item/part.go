package item

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"waxwing/imap"
	"waxwing/internal/criteria"
	"waxwing/structure"
)

// ErrNoSection is a section that the message does not have.
var ErrNoSection = errors.New("the message has no such section")

// Open reads a section, whose size it says too; nil is the whole message. ErrNoSection.
func (x *Item) Open(s *imap.Section) (io.ReadCloser, int64, error) {
	if s == nil {
		s = &imap.Section{}
	}
	text, fields := s.Text, false
	if strings.HasPrefix(text, "HEADER.FIELDS") {
		text, fields = "HEADER", true
	}
	r, ok := x.Built.Section(s.Part, text)
	if !ok {
		return nil, 0, ErrNoSection
	}
	r.End = min(r.End, x.Content.Size())
	if fields {
		out, err := x.fields(r, s)
		c := clip(structure.Range{End: int64(len(out))}, s)
		return io.NopCloser(bytes.NewReader(out[c.Start:c.End])), c.Size(), err
	}
	r = clip(r, s)
	if r.Size() <= 0 {
		return io.NopCloser(bytes.NewReader(nil)), 0, nil
	}
	body, err := criteria.Octets(x.Content, r)
	return body, r.Size(), err
}

// WriteSection writes a section, or NIL where there is none.
func (x *Item) WriteSection(s *imap.Section) {
	r, size, err := x.Open(s)
	switch {
	case errors.Is(err, ErrNoSection):
		x.W.Text("NIL")
	case err != nil:
		x.lost(err)
	case size == 0:
		x.W.Text(`""`)
		r.Close()
	default:
		x.W.Literal(noNUL{r}, size, false)
		r.Close()
	}
}

// WriteParts writes what URLFETCH wants of a section (RFC 5524 §3): items are BODYPARTSTRUCTURE, BODY, BINARY.
func (x *Item) WriteParts(s *imap.Section, items []string) {
	if s == nil {
		s = &imap.Section{}
	}
	space := ""
	for _, name := range []string{"BODYPARTSTRUCTURE", "BODY", "BINARY"} {
		if !slices.Contains(items, name) {
			continue
		}
		x.W.Text(space + "(" + name + " ")
		space = " "
		switch p := x.shown(s, slices.Contains(items, "BINARY")); {
		case name == "BODY":
			x.WriteSection(s)
		case name == "BINARY":
			x.binary(s)
		case p == nil:
			x.W.Text("NIL")
		default:
			x.W.Raw(p.AppendBody(nil, true, x.W.UTF8))
		}
		x.W.Text(")")
	}
	if space == "" {
		x.W.Text("NIL")
	}
}

// shown is a part as BODYPARTSTRUCTURE shows it: beside its decoded octets, as they are (RFC 5524 §3).
func (x *Item) shown(s *imap.Section, decoded bool) *structure.Part {
	p := x.Built.Part(s.Part)
	if p == nil || !decoded || p.IsMultipart() || p.IsMessage() {
		return p
	}
	m, err := x.measured(s)
	if err != nil {
		return p
	}
	out := *p
	out.Body, out.End, out.Lines, out.Encoding = 0, m.size, 0, "7bit"
	switch {
	case m.nul:
		out.Encoding = "binary"
	case m.high:
		out.Encoding = "8bit"
	}
	return &out
}
