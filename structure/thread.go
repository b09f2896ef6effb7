package structure

import (
	"strings"
	"time"
)

// BaseSubject is what SORT and THREAD compare of a subject (RFC 5256 §2.1), as it stands in the header
// or decoded. reply says that something was taken off that makes it a reply or a forward.
func BaseSubject(subject string) (base string, reply bool) {
	s := strings.Join(strings.Fields(DecodeHeader(subject)), " ") // (1)
	for {
		var cut bool
		s, cut = cutTrailers(s) // (2)
		reply = reply || cut
		s, cut = cutLeaders(s)
		reply = reply || cut
		if len(s) < 6 || !equalFold(s[:5], "[fwd:") || s[len(s)-1] != ']' {
			return s, reply
		}
		s, reply = s[5:len(s)-1], true // (6)
	}
}

// cutTrailers takes off "(fwd)" and white space at the end.
func cutTrailers(s string) (string, bool) {
	reply := false
	for {
		s = strings.TrimRight(s, " \t")
		if n := len(s) - 5; n < 0 || !equalFold(s[n:], "(fwd)") {
			return s, reply
		}
		s, reply = s[:len(s)-5], true
	}
}

// cutLeaders takes off "Re:", "[list] fwd:", and "[list]" where something follows it: steps (3) to (5).
func cutLeaders(s string) (string, bool) {
	reply := false
	for {
		s = strings.TrimLeft(s, " \t")
		if rest, ok := cutReply(s); ok {
			s, reply = rest, true
			continue
		}
		// No reply stands behind the blobs, so none stands behind the last of them.
		for {
			rest, ok := cutBlob(s)
			if !ok || rest == "" {
				return s, reply
			}
			s = rest
		}
	}
}

// cutBlob takes off "[text]" and the white space behind it.
func cutBlob(s string) (string, bool) {
	if s == "" || s[0] != '[' {
		return s, false
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] == '[' {
		return s, false
	}
	return strings.TrimLeft(s[end+2:], " \t"), true
}

// cutReply takes off *subj-blob subj-refwd.
func cutReply(s string) (string, bool) {
	rest := s
	for {
		next, ok := cutBlob(rest)
		if !ok {
			break
		}
		rest = next
	}
	n := 0
	switch {
	case len(rest) >= 3 && equalFold(rest[:3], "fwd"):
		n = 3
	case len(rest) >= 2 && (equalFold(rest[:2], "re") || equalFold(rest[:2], "fw")):
		n = 2
	default:
		return s, false
	}
	rest = strings.TrimLeft(rest[n:], " \t")
	rest, _ = cutBlob(rest)
	if rest == "" || rest[0] != ':' {
		return s, false
	}
	return rest[1:], true
}

// MessageIDs are the message identifiers in a field, without angle brackets, each in one form however
// it is quoted (RFC 5256 §3, "REFERENCES").
func MessageIDs(value string) (ids []string) {
	for {
		begin := strings.IndexByte(value, '<')
		if begin < 0 {
			return ids
		}
		value = value[begin+1:]
		a := addressReader{scanner: scanner{s: value}}
		local := a.local()
		if local == "" || !a.take('@') {
			continue
		}
		host := a.domain()
		if a.space(); host == "" || !a.take('>') {
			continue
		}
		ids = append(ids, local+"@"+host)
		value = value[a.i:]
	}
}

// Thread is what THREAD=REFERENCES asks of a message: its identifier, "" if it has none, and those of
// the messages that it follows, the oldest one first.
func (m *Message) Thread() (id string, references []string) {
	if ids := MessageIDs(m.Envelope.MessageID); len(ids) > 0 {
		id = ids[0]
	}
	references = MessageIDs(m.References)
	if len(references) == 0 {
		if ids := MessageIDs(m.Envelope.InReplyTo); len(ids) > 0 {
			references = ids[:1]
		}
	}
	return id, references
}

// Sent is the date in the Date field (RFC 5256 §2.2), with its zone. It is not ok where there is none;
// a time or zone that cannot be read is midnight or UTC.
func (e *Envelope) Sent() (t time.Time, ok bool) {
	d := dateReader{scanner{s: e.Date}}
	d.space()
	if isLetter(d.peek()) { // the day of the week
		d.token()
		d.space()
		d.take(',')
	}
	day, _ := d.number()
	d.take('-')
	month := d.month()
	d.take('-')
	year, digits := d.number()
	switch {
	case digits == 2 && year < 50:
		year += 2000
	case digits == 2 || digits == 3:
		year += 1900
	}
	if month == 0 || day < 1 || day > 31 || year < 1 || year > 9999 {
		return time.Time{}, false
	}
	hour, minute, second := d.clock()
	offset := d.zone()
	return time.Date(year, month, day, hour, minute, second, 0, time.FixedZone("", offset)), true
}

type dateReader struct{ scanner }

// number reads digits behind white space.
func (d *dateReader) number() (n, digits int) {
	for d.space(); d.peek() >= '0' && d.peek() <= '9'; d.i++ {
		if digits++; digits > 9 {
			return -1, digits
		}
		n = n*10 + int(d.peek()-'0')
	}
	return n, digits
}

func (d *dateReader) letters() string {
	d.space()
	from := d.i
	for isLetter(d.peek()) {
		d.i++
	}
	return d.s[from:d.i]
}

func (d *dateReader) month() time.Month {
	word := d.letters()
	for m := time.January; m <= time.December; m++ {
		if len(word) >= 3 && equalFold(word[:3], m.String()[:3]) {
			return m
		}
	}
	return 0
}

// clock reads "15:04:05"; what is no time is midnight.
func (d *dateReader) clock() (hour, minute, second int) {
	from := d.i
	hour, digits := d.number()
	d.space()
	if digits == 0 || !d.take(':') {
		d.i = from
		return 0, 0, 0
	}
	minute, _ = d.number()
	d.space()
	if d.take(':') {
		second, _ = d.number()
	}
	if hour > 23 || minute > 59 || second > 60 || minute < 0 || second < 0 {
		return 0, 0, 0
	}
	return hour, minute, min(second, 59)
}

// zones are the obsolete ones that mean something (RFC 5322 §4.3), in hours.
var zones = map[string]int{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}

// zone reads a zone in seconds east; what is none is UTC.
func (d *dateReader) zone() int {
	d.space()
	sign := 1
	switch {
	case d.take('+'):
	case d.take('-'):
		sign = -1
	default:
		return zones[strings.ToUpper(d.letters())] * 3600
	}
	n, digits := d.number()
	if digits != 4 || n%100 > 59 {
		return 0
	}
	return sign * (n/100*3600 + n%100*60)
}

// Answers are the messages that this one answers, as References and In-Reply-To name them, the
// nearest last. A notification that names none answers the message that it returns (RFC 3464 §2): so
// it stands beside that one.
func (m *Message) Answers() []string {
	ids := MessageIDs(m.References)
	if parent := MessageIDs(m.Envelope.InReplyTo); len(parent) > 0 && (len(ids) == 0 || ids[len(ids)-1] != parent[0]) {
		ids = append(ids, parent[0])
	}
	if len(ids) == 0 && m.Root.Is("multipart/report") && equalFold(m.Root.Param("report-type"), "delivery-status") {
		for _, p := range m.Root.Parts {
			if p.Envelope != nil && len(ids) == 0 {
				ids = MessageIDs(p.Envelope.MessageID)
			}
		}
	}
	return ids
}
