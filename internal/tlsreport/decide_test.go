package tlsreport

import (
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// RPT-8, RPT-3.
func TestWorth(t *testing.T) {
	t.Parallel()
	row := func(p tlsrpt.PolicyType, okMail, failed int64) []tlsresult.Row {
		return []tlsresult.Row{{Type: p, OK: 3, OKMail: okMail, Failed: failed}}
	}
	for _, tt := range []struct {
		name                  string
		rows                  []tlsresult.Row
		policy, always, never bool
	}{
		{"nothing", nil, false, false, false},
		{"clean, no policy", row(tlsrpt.PolicyNone, 1, 0), false, true, false},
		{"clean, sts", row(tlsrpt.PolicySTS, 1, 0), true, true, false},
		{"clean, tlsa", row(tlsrpt.PolicyTLSA, 1, 0), true, true, false},
		{"failed", row(tlsrpt.PolicyNone, 0, 1), true, true, true},
		{"only DMARC reports, clean", row(tlsrpt.PolicySTS, 0, 0), false, false, false},
		{"only DMARC reports, failed", row(tlsrpt.PolicySTS, 0, 1), true, true, true},
	} {
		for mode, want := range map[Success]bool{"": tt.policy, SuccessPolicy: tt.policy, SuccessAlways: tt.always, SuccessNever: tt.never} {
			if got := worth(tt.rows, mode); got != want {
				t.Errorf("%s, %q: %v", tt.name, mode, got)
			}
		}
	}
}

// RPT-5: 4 to 6 minutes after the day's end; over at most 4 hours, at most 5 minutes apart.
func TestTimes(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for day := range int64(300) {
		off := begin(day, dns.MustParse("mx.example")).Sub(tlsresult.Start(day + 1))
		if off < 4*time.Minute || off >= 6*time.Minute {
			t.Fatalf("day %d begins %v after midnight", day, off)
		}
		seen[off] = true
	}
	if len(seen) < 250 {
		t.Errorf("%d different moments in 300 days", len(seen))
	}
	for n, want := range map[int]time.Duration{0: 0, 1: 0, 2: 5 * time.Minute, 48: 5 * time.Minute, 4800: 3 * time.Second} {
		if got := spread(n); got != want {
			t.Errorf("%d reports: %v apart, want %v", n, got, want)
		}
	}
}

func TestRetryLookup(t *testing.T) {
	t.Parallel()
	day := tlsresult.Day(saturday)
	end := saturday.Add(48 * time.Hour)
	for _, tt := range []struct {
		tries   int
		now     time.Time
		pause   time.Duration
		expired bool
	}{
		{1, end.Add(-time.Hour), 10 * time.Minute, false},
		{4, end.Add(-time.Second), 80 * time.Minute, false},
		{90, end.Add(-time.Second), 4 * time.Hour, false},
		{3, end, 0, true},
		{1, end.Add(48 * time.Hour), 10 * time.Minute, false}, // caught up late: a few tries
	} {
		due, expired := retryLookup(&unit{day: day, tries: tt.tries}, tt.now)
		if expired != tt.expired || !expired && due.Sub(tt.now) != tt.pause {
			t.Errorf("%+v: %v, %v", tt, due.Sub(tt.now), expired)
		}
	}
}

// RPT-10.
func TestJudge(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{200: "accepted", 201: "accepted", 204: "accepted", 301: "failed", 307: "failed", 400: "failed", 404: "failed",
		413: "failed", 429: "waiting", 500: "waiting", 503: "waiting"} {
		if got := judge(status); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}

// RPT-12: a time that grows.
func TestPenalty(t *testing.T) {
	t.Parallel()
	for times, days := range map[int]int{0: 3, 1: 6, 4: 48, 9: 48} {
		if got := penalty(times); got != time.Duration(days)*24*time.Hour {
			t.Errorf("%d times: %v", times, got)
		}
	}
}
