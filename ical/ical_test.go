package ical

import (
	"fmt"
	"strings"
	"testing"
)

const invitation = "BEGIN:VCALENDAR\r\nMETHOD:request\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n" +
	"BEGIN:VEVENT\r\nUID:1@a.test\r\nSEQUENCE:2\r\nSUMMARY:Lunch\\, with\r\n  friends\r\nLOCATION:The \\\"Fish\\\"\r\nDESCRIPTION:a\\nb\r\nDTSTART;TZID=Europe/Berlin:20261201T123000\r\nDTEND:20261201T123000Z\r\n" +
	"RRULE:FREQ=WEEKLY\r\nORGANIZER;CN=\"Ann; B: C\":mailto:ann@a.test\r\nATTENDEE;PARTSTAT=accepted;CN=Joe:MAILTO:joe@b.test\r\n" +
	"BEGIN:VALARM\r\nDESCRIPTION:no\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

// MAIL-2: what an invitation says.
func TestParse(t *testing.T) {
	t.Parallel()
	c, ok := Parse(invitation)
	if !ok || c.Method != "REQUEST" || len(c.Events) != 1 {
		t.Fatal(c, ok)
	}
	e := c.Events[0]
	if e.UID != "1@a.test" || e.Summary != "Lunch, with friends" || e.Description != "a\nb" || !e.Repeats || e.Sequence != "2" {
		t.Errorf("%+v", e)
	}
	if e.Start != (Moment{"2026-12-01 12:30", "Europe/Berlin", "20261201T123000"}) || e.End != (Moment{"2026-12-01 12:30", "UTC", "20261201T123000Z"}) {
		t.Errorf("%+v", e)
	}
	if e.Organizer != (Person{Name: "Ann; B: C", Address: "ann@a.test"}) || fmt.Sprint(e.Attendees) != "[{Joe joe@b.test ACCEPTED}]" {
		t.Errorf("%+v", e)
	}
	c, _ = Parse("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\nSTATUS:CANCELLED\nEND:VEVENT\n")
	if e := c.Events[0]; e.Start.Text != "2026-12-24" || !e.Cancelled {
		t.Errorf("%+v", e)
	}
	if _, ok := Parse("hello: you"); ok {
		t.Error("any text is a calendar")
	}
	c, _ = Parse("BEGIN:VCALENDAR\n" + strings.Repeat("BEGIN:VEVENT\nEND:VEVENT\n", 1000))
	if len(c.Events) != maxEvents {
		t.Error(len(c.Events))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(invitation)
	f.Add("BEGIN:VCALENDAR\nBEGIN:VEVENT\nATTENDEE;CN=\"a:b\n;:x\nDTSTART:T\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, _ := Parse(s)
		if len(c.Events) > maxEvents {
			t.Fatal(len(c.Events))
		}
	})
}
