package ical

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)

// MAIL-2: an answer has what RFC 5546 §3.2.3 wants of it, and reads as what was answered.
func TestReply(t *testing.T) {
	t.Parallel()
	s, err := Reply(invitation, Answer{Address: "Joe@B.test", Status: Accepted, Comment: "gladly;\nsee you", Now: now, Product: "a,b"})
	if err != nil {
		t.Fatal(err)
	}
	want := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:a\\,b\r\nMETHOD:REPLY\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n" +
		"BEGIN:VEVENT\r\nDTSTAMP:20261130T080000Z\r\nUID:1@a.test\r\nSEQUENCE:2\r\nSUMMARY:Lunch\\, with friends\r\nDTSTART;TZID=Europe/Berlin:20261201T123000\r\nDTEND:20261201T123000Z\r\n" +
		"ORGANIZER;CN=\"Ann; B: C\":mailto:ann@a.test\r\nATTENDEE;PARTSTAT=ACCEPTED;CN=\"Joe\":mailto:joe@b.test\r\nCOMMENT:gladly\\;\\nsee you\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	if s != want {
		t.Errorf("the answer is\n%s\nand not\n%s", s, want)
	}
	c, ok := Parse(s)
	if !ok || c.Method != "REPLY" || len(c.Events) != 1 || c.Events[0].Attendees[0] != (Person{Name: "Joe", Address: "joe@b.test", Status: "ACCEPTED"}) {
		t.Errorf("%+v", c)
	}
	for _, tt := range []struct {
		text   string
		answer Answer
		err    error
	}{
		{invitation, Answer{Address: "eve@b.test", Status: Declined}, ErrNotInvited},
		{invitation, Answer{Address: "joe@b.test", Status: "MAYBE"}, ErrStatus},
		{s, Answer{Address: "joe@b.test", Status: Declined}, ErrNoRequest},
		{strings.Replace(invitation, "UID:1@a.test\r\n", "", 1), Answer{Address: "joe@b.test", Status: Declined}, ErrNoRequest},
		{"hello", Answer{Address: "joe@b.test", Status: Tentative}, ErrNoRequest},
	} {
		if _, err := Reply(tt.text, tt.answer); !errors.Is(err, tt.err) {
			t.Errorf("%v: %v", tt.answer, err)
		}
	}
	for address, want := range map[string]bool{"JOE@b.test": true, "eve@b.test": false, "": false} {
		if c, _ := Parse(invitation); want != func() bool { _, ok := c.Invites(address); return ok }() {
			t.Errorf("%q is invited: not %v", address, want)
		}
	}
}

// A single occurrence that was moved is answered with the series; another event is not.
func TestReplyToSeveral(t *testing.T) {
	t.Parallel()
	one := func(uid, more string) string {
		return "BEGIN:VEVENT\nUID:" + uid + "\nORGANIZER:mailto:ann@a.test\nATTENDEE:mailto:joe@b.test\n" + more + "END:VEVENT\n"
	}
	s, err := Reply("BEGIN:VCALENDAR\nMETHOD:REQUEST\n"+one("1", "RRULE:FREQ=DAILY\n")+one("1", "RECURRENCE-ID:20261202T100000Z\nRECURRENCE-ID:20261203T100000Z\n")+one("2", "")+"END:VCALENDAR\n", Answer{Address: "joe@b.test", Status: Declined, Now: now})
	if err != nil || strings.Count(s, "UID:1") != 2 || strings.Count(s, "RECURRENCE-ID") != 1 || strings.Contains(s, "UID:2") {
		t.Errorf("%v\n%s", err, s)
	}
}

// MAIL-2: whoever invites writes the time zone that an answer repeats, and hides no answer to another invitation in it.
func TestReplyHidesNoOther(t *testing.T) {
	t.Parallel()
	const other = "UID:other@a.test\nORGANIZER:mailto:boss@b.test\nATTENDEE;PARTSTAT=ACCEPTED:mailto:joe@b.test\n"
	for what, zone := range map[string]string{
		"in the zone":               "BEGIN:VEVENT\n" + other + "END:VEVENT\n",
		"behind an end of the zone": "BEGIN:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\n" + other + "END:VEVENT\nBEGIN:VTIMEZONE\nEND:VTIMEZONE\n",
		"behind what is left out":   "EN\x01D:VTIMEZONE\nBEG\x01IN:VEVENT\n" + other + "EN\x01D:VEVENT\nBEG\x01IN:VTIMEZONE\n",
		"in words of the zone":      "BEGIN:STANDARD\nEND:V\x01TIMEZONE\nBEGIN:V\x01EVENT\n" + other + "END:V\x01EVENT\n",
	} {
		s, err := Reply("BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VTIMEZONE\nTZID:x\n"+zone+"END:VTIMEZONE\n"+
			"BEGIN:VEVENT\nUID:1\nORGANIZER:mailto:ann@a.test\nATTENDEE:mailto:joe@b.test\nEND:VEVENT\nEND:VCALENDAR\n", Answer{Address: "joe@b.test", Status: Declined, Now: now})
		if err != nil || strings.Contains(s, "other@") || strings.Contains(s, "boss@") || strings.Count(s, "BEGIN:VEVENT") != 1 {
			t.Errorf("%s: %v\n%s", what, err, s)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add(invitation, "joe@b.test", "why")
	f.Add("BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VTIMEZONE\nBEGIN:VEVENT\nUID:x\nORGANIZER:o\nATTENDEE;CN=\"a:b\n;:x\n", "x", "\r\nBEGIN:VEVENT")
	f.Fuzz(func(t *testing.T, s, address, comment string) {
		out, err := Reply(s, Answer{Address: address, Status: Declined, Comment: comment, Now: now})
		if err != nil {
			return
		}
		c, ok := Parse(out)
		if !ok || c.Method != "REPLY" || len(c.Events) == 0 {
			t.Fatalf("%q is no answer: %+v", out, c)
		}
		for _, l := range strings.Split(out, "\r\n") {
			if len(l) > maxLine+4 || strings.ContainsAny(l, "\r\n\x00") {
				t.Fatalf("a line of %d octets: %q", len(l), l)
			}
		}
	})
}
