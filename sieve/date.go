package sieve

import (
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/foreign"
)

var dateParts = []string{"year", "month", "day", "date", "julian", "hour", "minute", "second", "time", "iso8601", "std11", "zone", "weekday"}

func (c *compiler) checkDate(k *call) error {
	part := strings.ToLower(k.args[len(k.args)-2].strings[0])
	if !slices.Contains(dateParts, part) {
		return fault(k.line, "%q is no part of a date", foreign.Clip(part, 60))
	}
	if a, ok := k.tags["zone"]; ok {
		if _, err := zone(a.strings[0]); err != nil && !strings.Contains(a.strings[0], "${") {
			return fault(k.line, "%q is no time zone like +0100", foreign.Clip(a.strings[0], 60))
		}
	}
	if k.has("regex") {
		return c.compileRegex(k)
	}
	return nil
}

// zone reads "+hhmm".
func zone(s string) (*time.Location, error) {
	n, err := strconv.Atoi(strings.TrimLeft(s, "+-"))
	if err != nil || len(s) != 5 || s[0] != '+' && s[0] != '-' || n/100 > 23 || n%100 > 59 {
		return nil, fmt.Errorf("no zone")
	}
	seconds := (n/100*60 + n%100) * 60
	if s[0] == '-' {
		seconds = -seconds
	}
	return time.FixedZone("", seconds), nil
}

// inZone is a time in the zone that a test asks for: the account's by default.
func (r *run) inZone(k *call, t time.Time) time.Time {
	if k.has("originalzone") {
		return t
	}
	if a, ok := k.tags["zone"]; ok {
		if z, err := zone(r.expand(a.strings[0])); err == nil {
			return t.In(z)
		}
	}
	return t.In(r.env.Now.Location())
}

// dateValues is the part of a header's date (RFC 5260 §4). What follows the last
// semicolon is the date, as in Received.
func (r *run) dateValues(k *call) []string {
	var out []string
	for _, v := range pick(k, r.fields(r.expand(k.args[0].strings[0]))) {
		if r.spend(250 + len(v)/16) {
			return nil
		}
		v = unfold(v)
		v = v[strings.LastIndexByte(v, ';')+1:]
		t, err := mail.ParseDate(strings.TrimSpace(v))
		if err == nil {
			out = append(out, datePart(r.inZone(k, t), strings.ToLower(k.args[1].strings[0])))
		}
		if !k.has("index") {
			break // RFC 5260 §4: the first
		}
	}
	return out
}

// dateLayouts are the date-parts of RFC 5260 §4.2 that a layout gives.
var dateLayouts = map[string]string{
	"year":    "2006",
	"month":   "01",
	"day":     "02",
	"date":    "2006-01-02",
	"hour":    "15",
	"minute":  "04",
	"second":  "05",
	"time":    "15:04:05",
	"iso8601": "2006-01-02T15:04:05-07:00",
	"std11":   "Mon, 02 Jan 2006 15:04:05 -0700",
	"zone":    "-0700",
}

// datePart is one of the date-parts of RFC 5260 §4.2.
func datePart(t time.Time, part string) string {
	if layout := dateLayouts[part]; layout != "" {
		return t.Format(layout)
	}
	if part == "julian" { // the Modified Julian Day of the local date
		y, m, d := t.Date()
		return strconv.FormatInt(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix()/86400+40587, 10)
	}
	return strconv.Itoa(int(t.Weekday()))
}
