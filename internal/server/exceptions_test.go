package server

import (
	"strings"
	"testing"
	"time"

	"waxwing/internal/alert"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
)

const exceptions = `hostname = "mx.example.org"
[[listen]]
address = "127.0.0.1:0"
kind = "mx"
[[delivery.exceptions]]
domain = "a.example"
mta_sts = "tolerate"
dane = "off"
reason = "r"
until = "2027-01-31"
[[delivery.exceptions]]
domain = "b.example"
mta_sts = "off"
reason = "r"
until = "2027-03-01"
`

// TestException: an exception holds to the end of its last day, for its domain alone,
// and is told of from a week before (STS-13).
func TestException(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("w", []byte(exceptions))
	if err != nil {
		t.Fatal(err)
	}
	all := c.Delivery.Exceptions
	day := func(s string) time.Time {
		at, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	domain := func(s string) delivery.RecipientDomain {
		d, err := delivery.ParseRecipientDomain(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, tt := range []struct {
		domain, at string
		sts        delivery.STSException
		dane       bool
	}{
		{"a.example", "2027-01-31 23:59:59", delivery.STSTolerated, true},
		{"a.example", "2027-02-01 00:00:00", delivery.STSAsked, false},
		{"b.example", "2027-02-01 00:00:00", delivery.STSOff, false},
		{"sub.b.example", "2027-01-01 00:00:00", delivery.STSAsked, false},
		{"[192.0.2.1]", "2027-01-01 00:00:00", delivery.STSAsked, false},
	} {
		if got := exceptionFor(all, domain(tt.domain), day(tt.at)); got.STS != tt.sts || got.DANEOff != tt.dane || !got.IsZero() && got.Reason != "r" {
			t.Errorf("%s at %s: %+v", tt.domain, tt.at, got)
		}
	}
	for at, want := range map[string][2]int{"2027-01-20 00:00:00": {0, 0}, "2027-01-26 00:00:00": {1, 0}, "2027-02-01 00:00:00": {0, 1}, "2027-02-25 00:00:00": {1, 1}} {
		soon, over := config.EndingExceptions(all, day(at))
		if len(soon) != want[0] || len(over) != want[1] {
			t.Errorf("%s: %d end soon, %d are over; want %v", at, len(soon), len(over), want)
		}
	}
	for bad, want := range map[string]string{
		`until = "2027-01-31"`: `until`, `reason = "r"`: "reason", `domain = "a.example"`: "domain",
	} {
		text := strings.Replace(exceptions, bad, "", 1)
		if _, err := config.Parse("w", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", bad, err)
		}
	}
	for from, to := range map[string]string{`until = "2027-03-01"`: `until = "soon"`, `mta_sts = "off"`: `mta_sts = "maybe"`, `domain = "b.example"`: `domain = "a.example"`} {
		if _, err := config.Parse("w", []byte(strings.Replace(exceptions, from, to, 1))); err == nil {
			t.Errorf("%s is taken", to)
		}
	}
}

// What the postmaster is told names the domain, the day and the reason, and each
// exception by itself: one that is prolonged is told of again.
func TestEndingNotice(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("w", []byte(exceptions))
	if err != nil {
		t.Fatal(err)
	}
	a, b := alert.ExceptionEnds(c.Delivery.Exceptions[0]), alert.ExceptionEnds(c.Delivery.Exceptions[1])
	longer := c.Delivery.Exceptions[0]
	longer.Until = "2027-04-30"
	if a.What == b.What || a.What == alert.ExceptionEnds(longer).What || !strings.Contains(a.Subject, "a.example") || !strings.Contains(a.Text, "2027-01-31") || !strings.Contains(a.Text, "Reason: r\n") {
		t.Errorf("%+v, %+v", a, b)
	}
}
