package cli

import (
	"errors"
	"testing"
	"time"
)

func TestSplitPort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, host string
		port     uint16
		bad      bool
	}{{"mx.example.org", "mx.example.org", 0, false}, {"mx.example.org:1", "mx.example.org", 1, false}, {"mx.example.org:65535", "mx.example.org", 65535, false},
		{"mx.example.org:0", "", 0, true}, {"mx.example.org:65536", "", 0, true}, {"mx.example.org:", "", 0, true}, {"mx.example.org:smtp", "", 0, true}} {
		host, port, err := SplitPort(c.in)
		if host != c.host || port != c.port || (err != nil) != c.bad {
			t.Errorf("%s: %s, %d, %v", c.in, host, port, err)
		}
	}
}

func TestDay(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Time{"": {}, "2026-01-31": time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)} {
		var d Day
		if err := d.Set(in); err != nil || !time.Time(d).Equal(want) {
			t.Errorf("%q: %v, %v", in, time.Time(d), err)
		}
	}
	for _, in := range []string{"2026-02-30", "31.1.2026", "today"} {
		if err := new(Day).Set(in); err == nil {
			t.Errorf("%q is taken for a day", in)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	if err := Faults(nil); err != nil {
		t.Error(err)
	}
	err := Faults(errors.Join(errors.New("one"), errors.New("two")))
	var usage usageError
	if !errors.As(err, &usage) || err.Error() != "one; two" {
		t.Errorf("%v", err)
	}
}
