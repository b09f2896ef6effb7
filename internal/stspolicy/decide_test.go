package stspolicy

import (
	"fmt"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
)

// space is every kind of row: what is cached, and what failed lately.
func space(now time.Time) map[string]*Entry {
	out := map[string]*Entry{"nothing": nil}
	for _, mode := range []mtasts.Mode{"", mtasts.ModeNone, mtasts.ModeTesting, mtasts.ModeEnforce} {
		for _, valid := range []time.Duration{-time.Second, 0, time.Second} {
			for _, failed := range []string{"", "same", "new"} {
				for _, backoff := range []time.Duration{0, time.Second} {
					e := &Entry{Domain: dns.MustParse("a.test")}
					if mode != "" {
						e.Policy = &mtasts.Policy{Mode: mode, MaxAge: time.Hour}
						e.ID, e.Fetched, e.ValidUntil = "same", now.Add(valid-time.Hour), now.Add(valid)
					}
					if failed != "" {
						e.FailedID, e.Failures, e.BackoffUntil = failed, 1, now.Add(backoff)
						e.Failure = &mtasts.Error{Word: reason.STSFetch}
					}
					out[fmt.Sprint("mode ", mode, ", valid ", valid, ", failed ", failed, ", backoff ", backoff)] = e
				}
			}
		}
	}
	return out
}

// TestDecide goes through the whole input space (STS-6 to STS-9).
func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	lookups := map[string]lookup{
		"same": {record: &mtasts.Record{ID: "same"}},
		"new":  {record: &mtasts.Record{ID: "new"}},
	}
	for _, w := range []reason.Word{reason.STSNoRecord, reason.STSMultipleRecords, reason.STSRecordSyntax, reason.STSLookupFailed} {
		lookups[string(w)] = lookup{err: &mtasts.Error{Word: w}}
	}
	for row, e := range space(now) {
		for rec, l := range lookups {
			v := decide(e, l, now)
			for _, broken := range violations(e, l, v, now) {
				t.Errorf("%s; record %s: %s: %+v", row, rec, broken, v)
			}
		}
	}
}

// violations names the rules that a course breaks.
func violations(e *Entry, l lookup, v course, now time.Time) (out []string) {
	rule := func(ok bool, text string) {
		if !ok {
			out = append(out, text)
		}
	}
	valid := e != nil && e.Policy != nil && now.Before(e.ValidUntil)
	strict := valid && e.Policy.Mode != mtasts.ModeNone
	temporary := l.err != nil && l.err.Word == reason.STSLookupFailed
	f := v.finding
	rule(!strict || v.fetch || f.Policy == e.Policy, "STS-8: a policy in force is lost")
	rule(!strict || !v.drop, "STS-8: the row of a policy in force is dropped")
	rule(valid || f.Policy == nil, "a policy that has run out is used")
	rule(f.Defer == (temporary && !valid), "STS-6: Defer is wrong")
	rule(!f.Defer || f.Failure != nil, "STS-6: Defer without a failure")
	rule(!v.fetch || l.record != nil, "STS-6: fetched without a record")
	rule(!f.Fresh || l.record != nil && l.record.ID == f.ID, "RFC 8461 §5.1: Fresh without the policy's record")
	rule(!v.drop || l.err != nil && l.err.Word == reason.STSNoRecord, "dropped though there is a record")
	if l.err != nil {
		noFailure := l.err.Word == reason.STSNoRecord || temporary && valid
		rule((f.Failure == nil) == noFailure, "STS-6: the failure is wrong")
		return out
	}
	current := valid && e.ID == l.record.ID
	waiting := e != nil && e.FailedID == l.record.ID && now.Before(e.BackoffUntil)
	rule(v.fetch == (!current && !waiting), "STS-7, STS-8: whether to fetch is wrong")
	rule(f.BackOff == (!current && waiting) && f.BackOff == (f.Failure != nil), "STS-7: BackOff is wrong")
	return out
}

// TestBackoff covers the times of STS-7.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{1: 5, 2: 10, 3: 20, 4: 40, 5: 60, 6: 60, 1 << 30: 60} {
		if got := backoff(n); got != want*time.Minute {
			t.Errorf("backoff(%d) = %v", n, got)
		}
	}
}

// TestRefreshAfter covers the times of STS-10: whatever the jitter, a fetch is
// tried twice at least before the policy runs out.
func TestRefreshAfter(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_800_000_000, 0)
	for _, maxAge := range []time.Duration{time.Second, time.Hour, 24 * time.Hour, 25 * time.Hour, 49 * time.Hour, 7 * 24 * time.Hour, mtasts.MaxAge} {
		for _, r := range []float64{0, 0.5, 0.999} {
			d := refreshAfter(maxAge, r)
			if limit := min(24*time.Hour, maxAge/2); d > limit || d < limit*9/10 {
				t.Errorf("max_age %v, jitter %v: refresh after %v", maxAge, r, d)
			}
			e := success(Entry{}, fetched{&mtasts.Policy{MaxAge: maxAge}, nil, "id", r}, start)
			for now := e.Due; ; now = nextDue(&e, now, r) {
				if needsFetch(&e, "id", now) {
					if now.After(start.Add(maxAge/2 + 24*time.Hour)) {
						t.Errorf("max_age %v, jitter %v: fetched only after %v", maxAge, r, now.Sub(start))
					}
					if left := e.ValidUntil.Sub(now); left < maxAge/2-maxAge/20 && left < 24*time.Hour {
						t.Errorf("max_age %v, jitter %v: %v before the end", maxAge, r, left)
					}
					break
				}
			}
		}
	}
}

// TestFailureKeeps: a failed fetch leaves the policy and its dates alone.
func TestFailureKeeps(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	e := Entry{Policy: &mtasts.Policy{Mode: mtasts.ModeEnforce}, ID: "a", Fetched: now, ValidUntil: now.Add(time.Hour)}
	got := failure(e, "b", &mtasts.Error{Word: reason.STSNoPolicy}, now)
	if got.Policy != e.Policy || got.ID != "a" || got.Fetched != now || got.ValidUntil != e.ValidUntil || got.Failures != 1 || got.FailedID != "b" {
		t.Errorf("got %+v", got)
	}
	if again := failure(got, "c", got.Failure, now); again.Failures != 1 {
		t.Errorf("the backoff of id b counts for c: %+v", again)
	}
	var none delivery.Finding
	if f := inForce(&got, now.Add(time.Hour)); f != none {
		t.Errorf("after valid-until: %+v", f)
	}
}
