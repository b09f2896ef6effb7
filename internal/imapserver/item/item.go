// Package item writes what FETCH returns of a message (RFC 9051 §7.5.2).
package item

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"waxwing/imap"
	"waxwing/internal/criteria"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/structure"
)

// Item is one message of which items are written. What Needs says is wanted must be there.
type Item struct {
	W       *imap.Writer
	UID     uint32
	Flags   string // in parentheses
	ModSeq  uint64
	Mail    *mailbox.Message
	Content delivery.Content
	Built   *structure.Message
	// EmailID and ThreadID are the ids as they are written.
	EmailID, ThreadID string

	// UnknownEncoding: a part could not be decoded (RFC 3516 §4.3).
	UnknownEncoding bool
	// Err is why a response was not brought to its end; the writer has failed, too.
	Err error
}

// NeedsStructure reports an item for which it must be known how the message is built.
func NeedsStructure(i imap.FetchItem) bool {
	return i.Section != nil || slices.Contains([]string{"ENVELOPE", "BODY", "BODYSTRUCTURE", "PREVIEW", "RFC822.HEADER", "RFC822.TEXT"}, i.Name)
}

// NeedsContent reports an item for which the message itself is read.
func NeedsContent(i imap.FetchItem) bool {
	return i.Section != nil || slices.Contains([]string{"RFC822", "RFC822.HEADER", "RFC822.TEXT"}, i.Name)
}

// Write writes one item with its name.
func (x *Item) Write(i *imap.FetchItem) {
	w := x.W
	switch i.Name {
	case "BODY", "BINARY":
		if i.Section != nil {
			x.section(i)
			return
		}
	case "BINARY.SIZE":
		x.binarySize(i)
		return
	case "PREVIEW":
		w.Text("PREVIEW ")
		w.NString(x.Built.Preview, true)
		return
	}
	w.Text(i.Name + " ")
	switch i.Name {
	case "FLAGS":
		w.Text(x.Flags)
	case "UID":
		w.Number(uint64(x.UID))
	case "MODSEQ":
		w.Text("(")
		w.Number(x.ModSeq)
		w.Text(")")
	case "INTERNALDATE":
		w.Date(x.Mail.Received)
	case "RFC822.SIZE":
		w.Number(uint64(x.Mail.Size))
	case "SAVEDATE":
		w.Date(x.Mail.Entry.Saved)
	case "EMAILID":
		w.Text("(" + x.EmailID + ")")
	case "THREADID":
		w.Text("(" + x.ThreadID + ")")
	case "ENVELOPE":
		w.Raw(x.Built.AppendEnvelope(nil, w.UTF8))
	case "BODY", "BODYSTRUCTURE":
		w.Raw(x.Built.AppendBody(nil, i.Name == "BODYSTRUCTURE", w.UTF8))
	case "RFC822":
		x.octets(structure.Range{End: x.Content.Size()})
	case "RFC822.HEADER", "RFC822.TEXT":
		r, _ := x.Built.Section(nil, strings.TrimPrefix(i.Name, "RFC822."))
		x.octets(r)
	}
}

// section writes BODY[…] or BINARY[…].
func (x *Item) section(i *imap.FetchItem) {
	x.W.Text(upper(i) + " ")
	s := i.Section
	if i.Name == "BINARY" {
		x.binary(s)
		return
	}
	text, fields := s.Text, false
	if strings.HasPrefix(text, "HEADER.FIELDS") {
		text, fields = "HEADER", true
	}
	r, ok := x.Built.Section(s.Part, text)
	r.End = min(r.End, x.Content.Size())
	switch {
	case !ok:
		x.W.Text("NIL")
	case fields:
		x.headerFields(r, s)
	default:
		x.octets(clip(r, s))
	}
}

// clip is the octets of a range that a partial fetch wants.
func clip(r structure.Range, s *imap.Section) structure.Range {
	if !s.Partial {
		return r
	}
	size := uint64(max(r.Size(), 0))
	from := min(s.Offset, size)
	n := min(s.Count, size-from)
	return structure.Range{Start: r.Start + int64(from), End: r.Start + int64(from+n)}
}

// octets writes octets of the message as a literal.
func (x *Item) octets(r structure.Range) {
	if r.Size() <= 0 {
		x.W.Text(`""`)
		return
	}
	body, err := criteria.Octets(x.Content, r)
	if err != nil {
		x.lost(err)
		return
	}
	defer body.Close()
	x.W.Literal(noNUL{body}, r.Size(), false)
}

// lost ends a session that has begun a response and cannot end it.
func (x *Item) lost(err error) {
	x.Err = err
	x.W.Literal(bytes.NewReader(nil), 1, false) // which fails
}

// maxHeader is how much of a header is searched for fields.
const maxHeader = 4 << 20

// headerFields writes some fields of a header.
func (x *Item) headerFields(r structure.Range, s *imap.Section) {
	out, err := x.fields(r, s)
	if err != nil {
		x.lost(err)
		return
	}
	c := clip(structure.Range{End: int64(len(out))}, s)
	x.W.Literal(noNUL{bytes.NewReader(out[c.Start:c.End])}, c.Size(), false)
}

// fields are some fields of a header.
func (x *Item) fields(r structure.Range, s *imap.Section) ([]byte, error) {
	r.End = min(r.End, r.Start+maxHeader)
	body, err := criteria.Octets(x.Content, r)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	header, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	out := structure.HeaderFields(header, s.Fields, s.Text == "HEADER.FIELDS.NOT")
	if !bytes.HasSuffix(out, []byte("\r\n\r\n")) && !bytes.Equal(out, []byte("\r\n")) {
		out = append(out, "\r\n"...) // RFC 9051 §6.4.5.1: the blank line is there
	}
	return out, nil
}

// noNUL replaces what no literal can hold (RFC 9051 §9, CHAR8), as Dovecot does.
type noNUL struct{ io.Reader }

func (n noNUL) Read(p []byte) (int, error) {
	k, err := n.Reader.Read(p)
	for i, c := range p[:k] {
		if c == 0 {
			p[i] = 0x80
		}
	}
	return k, err
}

// upper is the name of an item as it stands in a response.
func upper(i *imap.FetchItem) string {
	if i.Section == nil {
		return i.Name
	}
	return strings.ToUpper(i.Name) + i.Section.String()
}
