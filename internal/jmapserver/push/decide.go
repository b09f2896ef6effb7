package push

import (
	"net/http"
	"time"
)

// Times of what fails.
const (
	giveUp     = 3 * 24 * time.Hour // a verified address may fail for so long
	maxTries   = 5                  // of posting a verification
	longestGap = time.Hour
	pace       = 2 * time.Second // between two posts to an address that takes them
)

// answer is what came of a post.
type answer struct {
	status  int           // 0: there was none
	barred  bool          // the address may not be posted to
	after   time.Duration // Retry-After
	explain string        // for the log
}

// standing is what was known of a subscription before.
type standing struct {
	verified bool
	failures int       // since the last success
	failing  time.Time // since when; zero: it was not
}

// ruling is what follows.
type ruling struct {
	took     bool // the address has taken it
	remove   bool
	due      time.Time // nothing is posted before
	failures int
	failing  time.Time
}

// decide says what becomes of a subscription. It is pure.
//
// 429 is a failure like others: the next post comes later, and tells of all that has changed until then (RFC 8620 §7.2).
func decide(a answer, s standing, now time.Time) ruling {
	if a.status/100 == 2 {
		return ruling{took: true, due: now.Add(pace)}
	}
	r := ruling{failures: s.failures + 1, failing: s.failing}
	if r.failing.IsZero() {
		r.failing = now
	}
	r.due = now.Add(max(gap(r.failures), min(a.after, longestGap)))
	switch {
	case a.status == http.StatusNotFound, a.status == http.StatusGone: // RFC 8030 §7.3: it has ended
		r.remove = true
	case a.barred:
		r.remove = true
	case !s.verified:
		// RFC 9749 §6, RFC 8620 §8.6: a code that the address has refused is not posted again.
		r.remove = r.failures >= maxTries || refuses(a.status)
	default:
		r.remove = now.Sub(r.failing) >= giveUp
	}
	return r
}

// refuses tells whether a status means that the same would be refused again.
func refuses(status int) bool {
	return status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}

// gap is how long is waited after so many failures.
func gap(failures int) time.Duration {
	gaps := []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 20 * time.Minute, longestGap}
	return gaps[min(max(failures, 1), len(gaps))-1]
}
