package ical

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is what somebody answers to an invitation (RFC 5545 §3.2.12).
type Status string

// The answers.
const (
	Accepted  Status = "ACCEPTED"
	Tentative Status = "TENTATIVE"
	Declined  Status = "DECLINED"
)

// Answer is an answer to an invitation.
type Answer struct {
	Address string // of the one who answers, as the invitation names it
	Status  Status
	Comment string // "": none
	Now     time.Time
	Product string // who writes it (PRODID)
}

// Errors of Reply.
var (
	ErrNoRequest  = errors.New("it is no invitation that can be answered: a REQUEST with an event, its UID and its organizer")
	ErrNotInvited = errors.New("the invitation does not name that address")
	ErrStatus     = errors.New("an answer is ACCEPTED, TENTATIVE or DECLINED")
)

// repeated are the properties of an event that an answer repeats (RFC 5546 §3.2.3): by them the organizer's calendar knows the event, and
// people what the answer is about.
var repeated = []string{"UID", "SEQUENCE", "RECURRENCE-ID", "DTSTART", "DTEND", "DURATION", "SUMMARY", "ORGANIZER"}

// maxLines is how many lines are repeated, of the event and of its time zones.
const maxLines = 2000

// Reply writes the answer to an invitation (RFC 5546 §3.2.3): of each event that invites the address and has the first one's UID.
func Reply(text string, a Answer) (string, error) {
	if a.Status != Accepted && a.Status != Tentative && a.Status != Declined {
		return "", ErrStatus
	}
	c, ok := Parse(text)
	if !ok || c.Method != "REQUEST" || len(c.Events) == 0 || c.Events[0].UID == "" || c.Events[0].Organizer.Address == "" {
		return "", ErrNoRequest
	}
	var w writer
	for _, l := range []string{"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:" + escape(a.Product), "METHOD:REPLY"} {
		w.line(l)
	}
	given := parts(text)
	for _, zone := range given.zones {
		for _, l := range zone {
			w.line(l)
		}
	}
	answered := false
	for i, e := range c.Events {
		at := slices.IndexFunc(e.Attendees, func(p Person) bool { return strings.EqualFold(p.Address, a.Address) })
		if e.UID != c.Events[0].UID || at < 0 || i >= len(given.events) {
			continue
		}
		answered = true
		w.event(given.events[i], e.Attendees[at], a)
	}
	if !answered {
		return "", ErrNotInvited
	}
	w.line("END:VCALENDAR")
	return w.String(), nil
}

// Invites tells whether an invitation that can be answered names an address, and is how it writes it.
func (c *Calendar) Invites(address string) (as string, ok bool) {
	if c.Method != "REQUEST" || len(c.Events) == 0 || c.Events[0].UID == "" || c.Events[0].Organizer.Address == "" {
		return "", false
	}
	for _, e := range c.Events {
		for _, p := range e.Attendees {
			if e.UID == c.Events[0].UID && strings.EqualFold(p.Address, address) {
				return p.Address, true
			}
		}
	}
	return "", false
}

// given are the lines of a calendar object that an answer may repeat.
type given struct {
	zones  [][]string // VTIMEZONE, whole
	events [][]string // of each VEVENT those that are repeated
}

// parts finds them, in the order and with the bounds of Parse.
func parts(text string) (g given) {
	if len(text) > MaxOctets {
		text = text[:MaxOctets]
	}
	var within []string
	var zone timezone
	left := maxLines
	for _, raw := range unfold(strings.ToValidUTF8(text, "\uFFFD")) {
		p, is := read(raw)
		if !is || left == 0 {
			continue
		}
		if p.name == "BEGIN" {
			if within = append(within, strings.ToUpper(p.value)); len(within) > 20 {
				return g
			}
			if slices.Equal(within, []string{"VCALENDAR", "VEVENT"}) {
				if len(g.events) == maxEvents {
					return g
				}
				g.events = append(g.events, nil)
			}
		}
		switch {
		case zone.take(within, p, raw):
			left--
		case slices.Equal(within, []string{"VCALENDAR", "VEVENT"}) && slices.Contains(repeated, p.name):
			n := len(g.events) - 1
			g.events[n], left = append(g.events[n], raw), left-1
		}
		if p.name != "END" {
			continue
		}
		if slices.Equal(within, []string{"VCALENDAR", "VTIMEZONE"}) {
			if !zone.broken && len(g.zones) < maxEvents {
				g.zones = append(g.zones, zone.lines)
			}
			zone = timezone{}
		}
		within = within[:max(0, len(within)-1)]
	}
	return g
}

// timezone is a VTIMEZONE as far as it was read.
type timezone struct {
	lines  []string
	broken bool // its parts end as others than they began
}

// ofZones are the properties of a time zone that are repeated (RFC 5545 §3.6.5).
var ofZones = []string{"TZID", "LAST-MODIFIED", "DTSTART", "TZOFFSETFROM", "TZOFFSETTO", "TZNAME", "RRULE", "RDATE"}

// take takes a line of a time zone; false: it is none that is repeated. Whoever invites has written the zone, and whoever answers signs it: it
// must hide no second answer, in a component that is none of a zone's, or behind an end that is not its own.
func (z *timezone) take(within []string, p property, raw string) bool {
	if len(within) < 2 || within[0] != "VCALENDAR" || within[1] != "VTIMEZONE" {
		return false
	}
	last := within[len(within)-1]
	if p.name == "END" && !strings.EqualFold(p.value, last) {
		z.broken = true
	}
	known := len(within) == 2 || len(within) == 3 && (last == "STANDARD" || last == "DAYLIGHT")
	if !known || p.name != "BEGIN" && p.name != "END" && !slices.Contains(ofZones, p.name) {
		return false
	}
	z.lines = append(z.lines, raw)
	return true
}

// writer writes content lines.
type writer struct{ strings.Builder }

// event writes one that is answered.
func (w *writer) event(lines []string, who Person, a Answer) {
	w.line("BEGIN:VEVENT")
	w.line("DTSTAMP:" + a.Now.UTC().Format("20060102T150405Z"))
	seen := map[string]bool{}
	for _, l := range lines {
		p, _ := read(l)
		if !seen[p.name] { // each of them stands once
			seen[p.name] = true
			w.line(l)
		}
	}
	name := ""
	if who.Name != "" {
		name = `;CN="` + strings.ReplaceAll(who.Name, `"`, "'") + `"`
	}
	w.line("ATTENDEE;PARTSTAT=" + string(a.Status) + name + ":mailto:" + who.Address)
	if a.Comment != "" {
		w.line("COMMENT:" + escape(cut(a.Comment)))
	}
	w.line("END:VEVENT")
}

// maxLine is how many octets a line has before it is folded (RFC 5545 §3.1).
const maxLine = 75

// line writes a content line, folded. Control characters, which would end it, are left out.
func (w *writer) line(s string) {
	n := 0
	for _, r := range s {
		if r < ' ' && r != '\t' || r == 0x7f {
			continue
		}
		if n+utf8.RuneLen(r) > maxLine {
			w.WriteString("\r\n ")
			n = 1
		}
		w.WriteRune(r)
		n += utf8.RuneLen(r)
	}
	w.WriteString("\r\n")
}

// escape writes a value of the type TEXT (RFC 5545 §3.3.11).
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`).Replace(s)
}
