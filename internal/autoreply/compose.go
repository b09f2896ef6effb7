package autoreply

import (
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/message"
)

// Mail is a message that a script says something by.
type Mail struct {
	From, To string // an address, or with a name before it; they have been read
	Subject  string // decoded
	Text     string // of the body, in UTF-8; with MIME, a MIME entity with its fields
	MIME     bool
	// InReplyTo and References are those of the message that it is about, as they stand there.
	InReplyTo, References string
	Submitted             string         // value of Auto-Submitted
	More                  []message.Pair // further fields
	Now                   time.Time
	Hostname              dns.Name
	Seed                  [64]byte // random
}

// Subject is that of an answer (RFC 5230 §5.3): what the script wants, or the one of the message.
func Subject(wanted, original string) string {
	if wanted != "" {
		return foreign.Clip(wanted, maxSubject)
	}
	return foreign.Clip("Auto: "+strings.TrimSpace(message.DecodeWords(original)), maxSubject)
}

const maxSubject = 500

// References are those of an answer (RFC 5322 §3.6.4), bounded.
func References(h message.Header) (inReplyTo, references string) {
	id := ids(h.Get("Message-ID"))
	if len(id) != 1 {
		return "", ""
	}
	all := ids(h.Get("References"))
	if len(all) == 0 {
		if all = ids(h.Get("In-Reply-To")); len(all) != 1 {
			all = nil
		}
	}
	if len(all) > maxReferences {
		all = append(all[:1:1], all[len(all)-maxReferences+1:]...)
	}
	return id[0], strings.Join(append(all, id[0]), " ")
}

const maxReferences = 20

// ids are the message identifiers in a field.
func ids(v string) []string {
	var out []string
	for len(out) < 1000 {
		_, rest, ok := strings.Cut(v, "<")
		id, after, end := strings.Cut(rest, ">")
		if !ok || !end {
			return out
		}
		if v = after; id != "" && len(id) < 500 && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' }) {
			out = append(out, "<"+id+">")
		}
	}
	return out
}

// Compose writes the message, with CRLF line ends. It is US-ASCII but for what the addresses hold.
func Compose(m Mail) []byte {
	var b []byte
	field := func(name, value string) { b = append(b, message.Fold(name, value)...) }
	field("From", m.From)
	field("To", m.To)
	field("Subject", message.EncodeWord(m.Subject))
	field("Date", message.FormatDate(m.Now))
	field("Message-ID", message.NewMessageID(m.Now, strings.NewReader(string(m.Seed[:32])), m.Hostname))
	if m.InReplyTo != "" {
		field("In-Reply-To", m.InReplyTo)
	}
	if m.References != "" {
		field("References", m.References)
	}
	field("Auto-Submitted", m.Submitted)
	for _, p := range m.More {
		field(p.Name, p.Value)
	}
	field("MIME-Version", "1.0")
	return append(b, m.entity()...)
}

// entity is the body with the fields that say what it is.
func (m *Mail) entity() []byte {
	if m.MIME {
		if fields, body, ok := mimeParts(m.Text); ok {
			return append(append(fields, "\r\n"...), body...)
		}
	}
	return message.Entity{Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Body: message.ToCRLF(m.Text)}.Write()
}

// mimeParts takes the reason of "vacation :mime" apart (RFC 5230 §4.3): it may bring fields that say
// what its body is, and no others. Octets above 127 are written so that any host takes them.
func mimeParts(text string) (fields, body []byte, ok bool) {
	whole, ok := onlyContent(message.ToCRLF(text))
	if !ok {
		return nil, nil, false
	}
	if whole, err := message.To7Bit(slices.Concat(whole.fields, []byte("\r\n"), whole.body)); err == nil {
		out, ok := onlyContent(whole) // MIME-Version comes from the conversion, too
		return out.fields, out.body, ok && len(out.fields) > 0
	}
	return nil, nil, false
}

// entity is the text of a MIME entity, taken apart.
type entity struct{ fields, body []byte }

func onlyContent(text []byte) (entity, bool) {
	h, body, err := message.SplitHeader(text)
	if err != nil {
		return entity{}, false
	}
	out := entity{body: body}
	for _, f := range h.Fields {
		if strings.HasPrefix(strings.ToLower(f.Name), "content-") && !message.EightBit(f.Raw) {
			out.fields = append(out.fields, f.Raw...)
		}
	}
	return out, true
}
