package email

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"waxwing/jmap"
	"waxwing/message"
)

// Draft is a mail that is to be written (RFC 8621 §4.6), with what it is made of.
type Draft struct {
	// Properties are those of the mail, but mailboxIds, keywords and receivedAt.
	Properties map[string]json.RawMessage
	// Blob reads what was uploaded, or lies in another mail; false: there is no such.
	Blob func(id jmap.ID) (data []byte, mediaType string, ok bool, err error)
	Max  int64 // octets of all blobs together
	// What is filled in where it is not given.
	Now       time.Time
	MessageID string

	values map[string]Value
	used   map[string]bool // parts of values
	top    map[string]bool // fields that the mail itself is given, in small letters
	size   int64
	failed error // of Blob
}

// Compose writes the message. The error is a *jmap.SetError of the client's, or Blob's.
func (d *Draft) Compose() ([]byte, error) {
	d.used = map[string]bool{}
	if raw, ok := d.Properties["bodyValues"]; ok && json.Unmarshal(raw, &d.values) != nil {
		return nil, bad("bodyValues", "bodyValues are objects with a value, by partId")
	}
	for id, v := range d.values {
		if v.EncodingProblem || v.Truncated {
			return nil, bad("bodyValues", "the value of part %.100q is not whole", id)
		}
	}
	fields, fault := d.header()
	if fault != nil {
		return nil, fault
	}
	body, fault := d.body()
	if d.failed != nil {
		return nil, d.failed
	}
	if fault != nil {
		return nil, fault
	}
	var out []byte
	for _, f := range fields {
		out = append(out, f.write()...)
	}
	out = append(out, "MIME-Version: 1.0\r\n"...)
	return append(out, body.Write()...), nil
}

func bad(property, format string, args ...any) *jmap.SetError {
	return jmap.SetErrorf(jmap.InvalidProperties, []string{property}, format, args...)
}

// written is a header field that is to be written.
type written struct {
	name, value string
	raw         bool // the value is folded already
}

func (f written) write() []byte {
	if f.raw {
		return []byte(f.name + ":" + f.value + "\r\n")
	}
	return message.Fold(f.name, f.value)
}

// order is that in which the fields of a header stand; others follow.
var order = []string{"sentAt", "from", "sender", "replyTo", "to", "cc", "bcc", "subject", "messageId", "inReplyTo", "references"}

// bodyProperties are those of the body, which header leaves alone.
var bodyProperties = []string{"bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"}

// header writes the fields of the header.
func (d *Draft) header() (out []written, fault *jmap.SetError) {
	var rest []string
	for name := range d.Properties {
		if !slices.Contains(order, name) && !slices.Contains(bodyProperties, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	seen := map[string]bool{}
	for _, name := range slices.Concat(order, rest) {
		raw, ok := d.Properties[name]
		if !ok || string(raw) == "null" {
			continue
		}
		h, isField := Convenient(name)
		if !isField {
			h, isField = ParseHeaderProperty(name)
		}
		key := strings.ToLower(h.Name)
		switch {
		case !isField:
			return nil, bad(name, "a new mail cannot have the property %.100q", name)
		case strings.HasPrefix(key, "content-") || key == "mime-version":
			return nil, bad(name, "the server writes this field")
		case seen[key]:
			return nil, bad(name, "the field %s is given twice", h.Name)
		}
		seen[key] = true
		some, fault := fieldsFrom(name, h, raw)
		if fault != nil {
			return nil, fault
		}
		out = append(out, some...)
	}
	d.top = seen
	if !seen["date"] {
		out = append(out, written{name: "Date", value: message.FormatDate(d.Now)})
	}
	if !seen["message-id"] {
		out = append(out, written{name: "Message-ID", value: d.MessageID})
	}
	return out, nil
}

// fieldsFrom writes the value of a property, or with ":all" each of its values.
func fieldsFrom(property string, h HeaderProperty, raw json.RawMessage) (out []written, fault *jmap.SetError) {
	values := []json.RawMessage{raw}
	if h.All {
		values = nil
		if json.Unmarshal(raw, &values) != nil {
			return nil, bad(property, "it is a list")
		}
	}
	for _, v := range values {
		f, ok := fieldFrom(h, v)
		if !ok {
			return nil, bad(property, "its value cannot be written as a header field")
		}
		out = append(out, f)
	}
	return out, nil
}

// maxListed is how many addresses or ids a field has.
const maxListed = 5000

func fieldFrom(h HeaderProperty, raw json.RawMessage) (f written, ok bool) {
	f.name = h.Name
	switch h.Form {
	case Raw:
		f.raw = true
		return f, json.Unmarshal(raw, &f.value) == nil && folded(f.value)
	case Text:
		var s string
		ok = json.Unmarshal(raw, &s) == nil
		f.value = message.EncodeWord(oneLine(s))
	case Date:
		var t jmap.Date
		ok = json.Unmarshal(raw, &t) == nil && t.Year() > 0 && t.Year() <= 9999
		f.value = message.FormatDate(t.Time)
	case Addresses:
		var list []Address
		ok = json.Unmarshal(raw, &list) == nil && len(list) > 0 && len(list) <= maxListed
		f.value, ok = listed(list, ok)
	case Grouped:
		f.value, ok = groups(raw)
	case MessageIDs, URLs:
		var list []string
		ok = json.Unmarshal(raw, &list) == nil && len(list) > 0 && len(list) <= maxListed
		for i, s := range list {
			ok = ok && s != "" && !strings.ContainsAny(s, "<> \t\r\n\x00")
			list[i] = "<" + s + ">"
		}
		f.value = strings.Join(list, map[Form]string{MessageIDs: " ", URLs: ", "}[h.Form])
	}
	return f, ok
}

// folded tells whether a value can stand in a header as it is: each line break is followed by white space and text
// (RFC 5322 §2.2.3), no line has more than 998 octets, and none of them is NUL.
func folded(s string) bool {
	if strings.ContainsRune(s, 0) {
		return false
	}
	for i, line := range strings.Split(s, "\r\n") {
		blank := strings.TrimLeft(line, " \t") == ""
		if strings.ContainsAny(line, "\r\n") || len(line) > 900 || i > 0 && (blank || line[0] != ' ' && line[0] != '\t') {
			return false
		}
	}
	return true
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// listed writes addresses.
func listed(list []Address, ok bool) (string, bool) {
	words := make([]string, len(list))
	for i, a := range list {
		email := strings.TrimSpace(a.Email)
		ok = ok && email != "" && !strings.ContainsAny(email, "<>\r\n\t\x00,;") && (!strings.Contains(email, " ") || strings.HasPrefix(email, `"`))
		if words[i] = email; a.Name != nil && *a.Name != "" {
			words[i] = message.EncodePhrase(oneLine(*a.Name)) + " <" + email + ">"
		}
	}
	return strings.Join(words, ", "), ok
}

func groups(raw json.RawMessage) (string, bool) {
	var all []group
	if json.Unmarshal(raw, &all) != nil || len(all) == 0 || len(all) > maxListed {
		return "", false
	}
	var words []string
	for _, g := range all {
		s, ok := listed(g.Addresses, len(g.Addresses) <= maxListed)
		if !ok {
			return "", false
		}
		if g.Name != nil {
			s = message.EncodePhrase(oneLine(*g.Name)) + ": " + s + ";"
		}
		if s != "" {
			words = append(words, s)
		}
	}
	return strings.Join(words, ", "), true
}
