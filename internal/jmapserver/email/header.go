package email

import (
	"bytes"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"waxwing/jmap"
	"waxwing/structure"
)

// Header is the fields of a header, as they stand.
type Header []Field

// Field is one of them.
type Field struct {
	Name string `json:"name"`
	// Value is what stands behind the colon, with folding, without the last line end.
	Value string `json:"value"`
}

// ReadHeader takes the octets of a header apart. What is no field is left out.
func ReadHeader(b []byte) (h Header) {
	for len(b) > 0 {
		n := fieldEnd(b)
		line := bytes.TrimRight(b[:n], "\r\n")
		b = b[n:]
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			continue
		}
		if name := string(bytes.TrimRight(line[:colon], " \t")); fieldName(name) {
			h = append(h, Field{name, valid(string(line[colon+1:]))})
		}
	}
	return h
}

// fieldEnd is where the field ends with which b begins: before the next line that is no continuation.
func fieldEnd(b []byte) int {
	at := 0
	for {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			return len(b)
		}
		if at += n + 1; at >= len(b) || b[at] != ' ' && b[at] != '\t' {
			return at
		}
	}
}

// valid is a text without what JSON cannot have: octets that are no UTF-8, and NUL (RFC 8621 §4.1.2.1).
func valid(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// Property is the value of a property that stands for header fields: of the last one of the name, null where there is none;
// or of all.
func (h Header) Property(p HeaderProperty) any {
	values := []any{}
	for _, f := range h {
		if strings.EqualFold(f.Name, p.Name) {
			values = append(values, f.as(p.Form))
		}
	}
	switch {
	case p.All:
		return values
	case len(values) == 0:
		return nil
	}
	return values[len(values)-1]
}

func (f Field) as(form Form) any {
	value := unfold(f.Value)
	switch form {
	case Text:
		return TextOf(value)
	case Addresses:
		return AddressesOf(structure.Addresses(value))
	case Grouped:
		return groupsOf(structure.Addresses(value))
	case MessageIDs:
		return idsOf(value)
	case Date:
		e := structure.Envelope{Date: strings.TrimSpace(value), Present: structure.HasDate}
		return dateOf(&e)
	case URLs:
		return URLsIn(value)
	}
	return f.Value
}

var unfolding = strings.NewReplacer("\r\n", "", "\n", "", "\r", "")

func unfold(s string) string { return unfolding.Replace(s) }

// TextOf is the text of a field as people read it (RFC 8621 §4.1.2.2).
func TextOf(value string) string {
	return norm.NFC.String(valid(strings.TrimLeft(structure.DecodeHeader(value), " \t")))
}

// Address is one address (RFC 8621 §4.1.2.3).
type Address struct {
	Name  *string `json:"name"`
	Email string  `json:"email"`
}

// group is a group of addresses (RFC 8621 §4.1.2.4).
type group struct {
	Name      *string   `json:"name"`
	Addresses []Address `json:"addresses"`
}

func addressOf(a *structure.Address) Address {
	out := Address{Email: valid(a.Text())}
	if name := strings.TrimSpace(TextOf(a.Name)); name != "" {
		out.Name = &name
	}
	return out
}

// AddressesOf are addresses, without their groups.
func AddressesOf(list []structure.Address) []Address {
	out := []Address{}
	for i := range list {
		if list[i].Kind == structure.Mailbox {
			out = append(out, addressOf(&list[i]))
		}
	}
	return out
}

// groupsOf are addresses in their groups; those in none stand in groups without names.
func groupsOf(list []structure.Address) []group {
	out := []group{}
	in := false
	for i := range list {
		a := &list[i]
		switch a.Kind {
		case structure.GroupStart:
			name := strings.TrimSpace(TextOf(a.Mailbox))
			out, in = append(out, group{&name, []Address{}}), true
		case structure.GroupEnd:
			in = false
		default:
			if n := len(out); n == 0 || !in && out[n-1].Name != nil {
				out = append(out, group{nil, []Address{}})
			}
			g := &out[len(out)-1]
			g.Addresses = append(g.Addresses, addressOf(a))
		}
	}
	return out
}

// idsOf are message ids without angle brackets; nil: there are none that can be read.
func idsOf(value string) []string {
	ids := structure.MessageIDs(value)
	for i := range ids {
		ids[i] = valid(ids[i])
	}
	return ids
}

// dateOf is null where there is no date that can be read.
func dateOf(e *structure.Envelope) any {
	t, ok := e.Sent()
	if !ok || t.Year() < 0 || t.Year() > 9999 {
		return nil
	}
	return jmap.Date{Time: t}
}

// URLsIn are those in angle brackets (RFC 2369 §2); nil: there are none.
func URLsIn(value string) (out []string) {
	for {
		_, rest, ok := strings.Cut(value, "<")
		if !ok {
			return out
		}
		url, after, ok := strings.Cut(rest, ">")
		if !ok {
			return out
		}
		out, value = append(out, valid(strings.Map(noSpace, url))), after
	}
}

func noSpace(r rune) rune {
	if r == ' ' || r == '\t' {
		return -1
	}
	return r
}

// Values are what the fields of a name say, as people read them.
func (m *Message) Values(name string) (out []string, err error) {
	all, err := m.fields()
	for _, f := range all {
		if strings.EqualFold(f.Name, name) {
			out = append(out, TextOf(unfold(f.Value)))
		}
	}
	return out, err
}

// ReceivedAt is the date at the end of a Received field (RFC 5322 §3.6.7).
func ReceivedAt(value string) (time.Time, bool) {
	i := strings.LastIndexByte(value, ';')
	if i < 0 {
		return time.Time{}, false
	}
	e := structure.Envelope{Date: strings.TrimSpace(value[i+1:]), Present: structure.HasDate}
	t, ok := e.Sent()
	return t, ok && t.Year() > 1970 && t.Year() < 2262
}
