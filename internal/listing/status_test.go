package listing

import (
	"strings"
	"testing"
	"time"

	"waxwing/internal/health"
)

// JNK-3: status tells of each milter whether it answers, and what came of the last message, if there was one.
func TestStatusMilters(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	s := StatusOf("mx.here.test", health.Facts{Now: now, LastBackup: now, Milters: []health.Milter{
		{Name: "av", About: "servers", Last: &health.MilterAnswer{At: now.Add(-3 * time.Minute), Result: "refused", Took: 12345 * time.Microsecond}},
		{Name: "new", About: "accounts", Trouble: "connection refused", Failure: "accept"},
	}})
	var b strings.Builder
	s.Print(&b)
	const want = "milter        av, asked about mail of servers; answers\n              the last message: refused, 3m ago, within 12ms\nmilter        new, asked about mail of accounts; does not answer\n"
	if !strings.Contains(b.String(), want) {
		t.Errorf("got\n%s\nwithout\n%s", b.String(), want)
	}
}
