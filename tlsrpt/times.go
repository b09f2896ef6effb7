package tlsrpt

import (
	"fmt"
	"strings"
	"time"

	"waxwing/internal/foreign"
)

// parseTime reads a time of RFC 3339 as it is really written (RPT-26): "t" and "z" in
// lower case, a blank for the T, second 60, hour 24, no seconds, a zone without colon
// or none at all, which is UTC; or a day alone. A leap second is the one before it.
func parseTime(name, s string) (time.Time, error) {
	bad := fmt.Errorf("%s %q is not a time", name, foreign.Clip(s, 80))
	text := strings.ToUpper(strings.TrimSpace(s))
	if len(text) < len(time.DateOnly) {
		return time.Time{}, bad
	}
	day, rest := text[:len(time.DateOnly)], strings.TrimSpace(text[len(time.DateOnly):])
	t, err := time.Parse(time.DateOnly, day)
	if err != nil || t.Year() < 1990 || t.Year() >= 2200 {
		return time.Time{}, bad
	}
	if rest == "" {
		return t, nil
	}
	clock, zone := cutZone(strings.TrimSpace(strings.TrimPrefix(rest, "T")))
	at, ok := clockTime(clock)
	if !ok {
		return time.Time{}, bad
	}
	offset, ok := zoneOffset(zone)
	if !ok {
		return time.Time{}, bad
	}
	return t.Add(at - offset), nil
}

// cutZone parts the zone, with its sign, from the time of day.
func cutZone(s string) (clock, zone string) {
	i := strings.IndexAny(s+"Z", "Z+-UG ")
	return strings.TrimSpace(s[:i]), strings.TrimSpace(s[i:])
}

// clockTime is how long after midnight the clock shows s.
func clockTime(s string) (time.Duration, bool) {
	s, fraction, fractional := strings.Cut(strings.ReplaceAll(s, ",", "."), ".")
	if fractional && (fraction == "" || len(fraction) > 18 || strings.Trim(fraction, "0123456789") != "") {
		return 0, false
	}
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || fractional && len(parts) < 3 {
		return 0, false
	}
	var n [3]int
	for i, p := range parts {
		if len(p) != 2 || strings.Trim(p, "0123456789") != "" {
			return 0, false
		}
		n[i] = int(p[0]-'0')*10 + int(p[1]-'0')
	}
	hour, minute, second := n[0], n[1], n[2]
	midnight := hour == 24 && minute == 0 && second == 0
	if hour > 23 && !midnight || minute > 59 || second > 60 {
		return 0, false
	}
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(min(second, 59))*time.Second, true
}

// zoneOffset is how far a zone is ahead of UTC.
func zoneOffset(s string) (time.Duration, bool) {
	switch s {
	case "", "Z", "UTC", "GMT":
		return 0, true
	}
	digits := s[1:]
	switch {
	case len(digits) == 2:
		digits += "00"
	case len(digits) == 5 && digits[2] == ':':
		digits = digits[:2] + digits[3:]
	}
	if s[0] != '+' && s[0] != '-' || len(digits) != 4 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	hours, minutes := int(digits[0]-'0')*10+int(digits[1]-'0'), int(digits[2]-'0')*10+int(digits[3]-'0')
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}
