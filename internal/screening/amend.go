package screening

import (
	"slices"
	"strings"

	"waxwing/internal/foreign"
	"waxwing/message"
	"waxwing/milter"
	"waxwing/smtp"
)

// The words of changes that are not made.
const (
	BadName     = "bad-name"      // of a field: none, or with what a name must not hold
	BadValue    = "bad-value"     // of a field: control characters, or a line end on its own
	Reserved    = "reserved"      // a field that only this server writes, or by which it finds loops
	TooLarge    = "too-large"     // the header would have too many fields or octets
	BadAddress  = "unreadable"    // it cannot be read
	NotTaken    = "not-taken"     // a recipient who may not be added: nobody here, or one who takes no mail of this sender
	NotNow      = "not-now"       // a recipient who cannot be added at this moment
	TooMany     = "too-many"      // recipients
	NoSuchField = "no-such-field" // it is to be removed or changed, and is not there; or no such recipient
)

// NotDone is a change that was not made, and why.
type NotDone struct {
	Op   milter.Op
	Word string
	Text string // the name or address, bounded
}

// Amended is what a message becomes by a milter's changes.
type Amended struct {
	Header  message.Header
	Changed bool        // the header differs from what it was
	Done    []milter.Op // those of the header
	// Envelope are changes of sender and recipients, with addresses that can be read.
	Envelope []Envelope
	Astray   Astray // of recipients whose address cannot be read
	Aside    bool   // the message is to be put aside
	Why      string
	NotDone  []NotDone
}

// Envelope is one change of the envelope.
type Envelope struct {
	Op      milter.Op
	Address smtp.Address
	Written string // Address as it came, without brackets; "": the null reverse-path
}

// maxWhy bounds why a milter puts a message aside, in octets; maxSubject what is quoted of a change
// that is not made.
const (
	maxWhy     = 200
	maxSubject = 100
)

// RoomFields and RoomOctets are what a header that comes in leaves to milters of what a header may have.
const (
	RoomFields = 100
	RoomOctets = 16 << 10
)

// maxFieldSize is how large a field of a milter's may be, in octets.
const maxFieldSize = 64 << 10

// Amend makes a milter's changes, in their order, and says which it does not make. A field that is removed
// counts in the numbers of those after it, as in Sendmail: a milter numbers what it was shown.
func Amend(h message.Header, changes []milter.Change) Amended {
	m := amending{fields: slices.Clone(h.Fields), size: len(h.Bytes())}
	m.gone = make([]bool, len(m.fields))
	for _, c := range changes {
		word, subject := "", c.Name
		switch c.Op {
		case milter.AddField:
			word = m.insert(len(m.fields), c)
		case milter.InsertField:
			// A milter counts with our own Received, which stands above all that it was shown.
			word = m.insert(max(0, c.Index-1), c)
		case milter.ChangeField:
			word = m.change(c)
		case milter.Quarantine:
			m.out.Aside, m.out.Why = true, foreign.Text(foreign.Line(c.Value), maxWhy)
		default:
			word, subject = m.envelope(c), c.Value
		}
		if word != "" {
			m.out.Astray.Refused = m.out.Astray.Refused || c.Op == milter.AddRecipient
			m.out.NotDone = append(m.out.NotDone, NotDone{c.Op, word, foreign.Text(foreign.Line(subject), maxSubject)})
		}
	}
	m.out.Header.Fields = m.left()
	m.out.Changed = len(m.out.Done) > 0
	return m.out
}

// amending is a header while it is changed.
type amending struct {
	fields []message.Field
	gone   []bool // of fields: it was removed
	size   int    // of the header, in octets
	out    Amended
}

func (m *amending) left() (all []message.Field) {
	for i, f := range m.fields {
		if !m.gone[i] {
			all = append(all, f)
		}
	}
	return all
}

// reserved are fields that this server writes at delivery, or by which it finds loops (RFC 5321
// §6.3): none is added by a milter, and none taken away.
func reserved(name string) bool {
	return slices.ContainsFunc([]string{"Return-Path", "Waxwing-Junk", "Received", message.DeliveredTo}, func(r string) bool { return strings.EqualFold(r, name) })
}

// insert puts a new field where it has at fields above it; a word says why not.
func (m *amending) insert(at int, c milter.Change) string {
	f, word := newField(c)
	if word != "" {
		return word
	}
	if len(m.fields) >= message.MaxFields || m.size+len(f.Raw) > message.MaxHeader {
		return TooLarge
	}
	at = min(at, len(m.fields))
	m.fields, m.gone = slices.Insert(m.fields, at, f), slices.Insert(m.gone, at, false)
	m.size += len(f.Raw)
	m.out.Done = append(m.out.Done, c.Op)
	return ""
}

// change changes or removes a field. Where there is none of that number, a value makes a new one.
func (m *amending) change(c milter.Change) string {
	if reserved(c.Name) {
		return Reserved
	}
	n := 0
	at := slices.IndexFunc(m.fields, func(f message.Field) bool {
		if f.Is(c.Name) {
			n++
		}
		return n == max(1, c.Index)
	})
	switch {
	case at < 0 && c.Value == "":
		return NoSuchField
	case at < 0:
		return m.insert(len(m.fields), c)
	case m.gone[at]:
		return NoSuchField
	case c.Value == "":
		m.gone[at] = true
		m.size -= len(m.fields[at].Raw)
	default:
		f, word := newField(c)
		if word != "" {
			return word
		}
		grows := len(f.Raw) - len(m.fields[at].Raw)
		if m.size+grows > message.MaxHeader {
			return TooLarge
		}
		m.fields[at], m.size = f, m.size+grows
	}
	m.out.Done = append(m.out.Done, c.Op)
	return ""
}

// newField makes a field of a milter's text, which is folded with LF.
func newField(c milter.Change) (f message.Field, word string) {
	switch {
	case c.Name == "" || strings.ContainsFunc(c.Name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }):
		return f, BadName
	case reserved(c.Name):
		return f, Reserved
	case len(c.Name)+len(c.Value) > maxFieldSize:
		return f, TooLarge
	}
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(c.Value, "\r\n", "\n"), "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return f, BadValue
		}
		if line = strings.TrimRight(line, " \t"); line == "" && len(lines) > 0 {
			continue // a line of white space alone would end no header, and be obsolete (RFC 5322 §4.2)
		}
		if len(lines) > 0 && line[0] != ' ' && line[0] != '\t' {
			line = "\t" + line // else it would be a field of its own
		}
		lines = append(lines, line)
	}
	return message.Field{Name: c.Name, Raw: []byte(c.Name + ":" + strings.Join(lines, "\r\n") + "\r\n")}, ""
}

// envelope notes a change of sender or recipients, if the address can be read.
func (m *amending) envelope(c milter.Change) string {
	written := strings.TrimSpace(c.Value)
	if inner, ok := strings.CutPrefix(written, "<"); ok {
		if inner, ok = strings.CutSuffix(inner, ">"); !ok {
			return BadAddress
		}
		written = inner
	}
	e := Envelope{Op: c.Op, Written: written}
	if written == "" && c.Op == milter.ChangeSender {
		m.out.Envelope = append(m.out.Envelope, e)
		return ""
	}
	var err error
	// Whom the message goes to and comes from as a milter wants it, hosts without SMTPUTF8 must understand.
	if e.Address, err = smtp.ParseReceived(written, c.Op == milter.RemoveRecipient); err != nil {
		return BadAddress
	}
	m.out.Envelope = append(m.out.Envelope, e)
	return ""
}
