// Package ical reads what people are invited to out of a calendar object (RFC 5545, with the methods of RFC 5546): the
// events with their times, and who takes part. Recurrence, time zones and alarms are left to calendars.
package ical

import (
	"slices"
	"strings"
)

// Bounds of what is read.
const (
	MaxOctets    = 1 << 20
	maxEvents    = 20
	maxAttendees = 200
	maxValue     = 4000 // octets of one text
)

// Calendar is a calendar object.
type Calendar struct {
	Method string  `json:"method"` // REQUEST, REPLY, CANCEL, PUBLISH; in capitals
	Events []Event `json:"events"`
}

// Event is a VEVENT.
type Event struct {
	UID         string   `json:"uid"`
	Sequence    string   `json:"sequence,omitempty"`
	Summary     string   `json:"summary"`
	Location    string   `json:"location,omitempty"`
	Description string   `json:"description,omitempty"`
	Start       Moment   `json:"start"`
	End         Moment   `json:"end,omitzero"`
	Repeats     bool     `json:"repeats,omitempty"`
	Cancelled   bool     `json:"cancelled,omitempty"`
	Organizer   Person   `json:"organizer,omitzero"`
	Attendees   []Person `json:"attendees,omitempty"`
}

// Moment is a time as it is written: in UTC, in a zone by name, or wherever one is.
type Moment struct {
	Text string `json:"text"` // "2026-12-01 10:00", or "2026-12-01" of a whole day
	Zone string `json:"zone,omitempty"`
	Raw  string `json:"raw"` // of a calendar: 20261201T100000Z
}

// Person takes part.
type Person struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
	Status  string `json:"status,omitempty"` // ACCEPTED, DECLINED, TENTATIVE, NEEDS-ACTION
}

// property is a content line (RFC 5545 §3.1).
type property struct {
	name, value string
	params      map[string]string
}

// Parse reads a calendar object as far as it can be read; false: it is none.
func Parse(text string) (c Calendar, ok bool) {
	if len(text) > MaxOctets {
		text = text[:MaxOctets]
	}
	var within []string
	for _, raw := range unfold(strings.ToValidUTF8(text, "\uFFFD")) {
		p, is := read(raw)
		if !is {
			continue
		}
		switch {
		case p.name == "BEGIN":
			if within = append(within, strings.ToUpper(p.value)); len(within) > 20 {
				return c, ok
			}
			ok = ok || within[0] == "VCALENDAR"
			if slices.Equal(within, []string{"VCALENDAR", "VEVENT"}) {
				if len(c.Events) == maxEvents {
					return c, ok
				}
				c.Events = append(c.Events, Event{})
			}
		case p.name == "END":
			within = within[:max(0, len(within)-1)]
		case len(within) == 1 && p.name == "METHOD":
			c.Method = strings.ToUpper(clean(p.value))
		case slices.Equal(within, []string{"VCALENDAR", "VEVENT"}):
			c.Events[len(c.Events)-1].set(p)
		}
	}
	return c, ok
}

// unfold puts folded lines together.
func unfold(text string) (lines []string) {
	var b strings.Builder
	for l := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if l != "" && (l[0] == ' ' || l[0] == '\t') {
			b.WriteString(l[1:])
			continue
		}
		if b.Len() > 0 {
			lines = append(lines, b.String())
			b.Reset()
		}
		b.WriteString(l)
	}
	if b.Len() > 0 {
		lines = append(lines, b.String())
	}
	return lines
}

// read parts a line into name, parameters and value. Quotes hide what parts them.
func read(line string) (p property, ok bool) {
	quoted, colon := false, -1
	for i := 0; i < len(line) && colon < 0; i++ {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ':' && !quoted:
			colon = i
		}
	}
	if colon < 0 {
		return p, false
	}
	p.params = map[string]string{}
	head := line[:colon]
	p.value = line[colon+1:]
	for i, one := range fields(head) {
		if i == 0 {
			p.name = strings.ToUpper(one)
			continue
		}
		name, value, _ := strings.Cut(one, "=")
		if len(p.params) < 30 {
			p.params[strings.ToUpper(name)] = strings.Trim(value, `"`)
		}
	}
	return p, p.name != ""
}

// fields parts at semicolons that are not in quotes.
func fields(s string) (out []string) {
	quoted, from := false, 0
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}

func (e *Event) set(p property) {
	switch p.name {
	case "UID":
		e.UID = clean(p.value)
	case "SEQUENCE":
		e.Sequence = clean(p.value)
	case "SUMMARY":
		e.Summary = text(p.value)
	case "LOCATION":
		e.Location = text(p.value)
	case "DESCRIPTION":
		e.Description = text(p.value)
	case "DTSTART":
		e.Start = moment(p)
	case "DTEND":
		e.End = moment(p)
	case "RRULE", "RDATE":
		e.Repeats = true
	case "STATUS":
		e.Cancelled = strings.EqualFold(strings.TrimSpace(p.value), "CANCELLED")
	case "ORGANIZER":
		e.Organizer = person(p)
	case "ATTENDEE":
		if len(e.Attendees) < maxAttendees {
			e.Attendees = append(e.Attendees, person(p))
		}
	}
}

// clean is a value on one line.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, cut(s)))
}

func cut(s string) string {
	if len(s) > maxValue {
		return strings.ToValidUTF8(s[:maxValue], "")
	}
	return s
}

// text is a value of the type TEXT (RFC 5545 §3.3.11).
func text(s string) string {
	return strings.TrimSpace(strings.NewReplacer(`\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";", `\\`, `\`).Replace(cut(s)))
}

func person(p property) Person {
	address := clean(p.value)
	if len(address) > 7 && strings.EqualFold(address[:7], "mailto:") {
		address = address[7:]
	}
	return Person{Name: clean(p.params["CN"]), Address: address, Status: strings.ToUpper(clean(p.params["PARTSTAT"]))}
}

// moment reads a date, with a time or without.
func moment(p property) Moment {
	raw := clean(p.value)
	m := Moment{Raw: raw, Text: raw, Zone: clean(p.params["TZID"])}
	s, utc := strings.CutSuffix(raw, "Z")
	if utc {
		m.Zone = "UTC"
	}
	day, hour, timed := strings.Cut(s, "T")
	if len(day) != 8 || timed && len(hour) < 4 || strings.Trim(day+hour, "0123456789") != "" {
		return m
	}
	m.Text = day[:4] + "-" + day[4:6] + "-" + day[6:]
	if timed {
		m.Text += " " + hour[:2] + ":" + hour[2:4]
	}
	return m
}
