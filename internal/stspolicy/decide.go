package stspolicy

import (
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
)

// lookup is what the TXT lookup of a domain's record came to: a record or an error.
type lookup struct {
	record *mtasts.Record
	err    *mtasts.Error
}

// course is what to do about a row and a lookup.
type course struct {
	finding delivery.Finding // where fetch is false
	fetch   bool             // a policy is to be fetched for the record
	drop    bool             // the row has no more use
}

// decide says what the cache and the record say together (STS-6 to STS-9,
// pure). e is nil where nothing is cached.
func decide(e *Entry, l lookup, now time.Time) course {
	old := inForce(e, now)
	if l.err != nil {
		return decideNoRecord(e, old, l.err)
	}
	if old.Policy != nil && e.ID == l.record.ID {
		old.Fresh = true
		return course{finding: old}
	}
	if e.backingOff(l.record.ID, now) {
		old.Failure, old.BackOff = e.Failure, true
		return course{finding: old}
	}
	return course{fetch: true}
}

// decideNoRecord is decide where no record was found.
func decideNoRecord(e *Entry, old delivery.Finding, err *mtasts.Error) course {
	switch {
	case err.Word == reason.STSLookupFailed && old.Policy == nil:
		// Nobody can say whether a policy applies.
		return course{finding: delivery.Finding{Failure: err, Defer: true}}
	case err.Word == reason.STSLookupFailed:
		return course{finding: old}
	case err.Word != reason.STSNoRecord:
		// A faulty record is the domain's to mend, and so told (STS-12).
		old.Failure = err
		return course{finding: old}
	case old.Policy == nil || old.Policy.Mode == mtasts.ModeNone:
		// STS-9: with its record gone, a policy of no restriction goes too.
		return course{drop: e != nil}
	}
	return course{finding: old}
}

// inForce is the finding that the cache alone gives.
func inForce(e *Entry, now time.Time) delivery.Finding {
	if e == nil || e.Policy == nil || !now.Before(e.ValidUntil) {
		return delivery.Finding{}
	}
	return delivery.Finding{Policy: e.Policy, ID: e.ID, Fetched: e.Fetched}
}

// backingOff reports whether a fetch for the record id failed so lately that
// none is tried now (STS-7).
func (e *Entry) backingOff(id string, now time.Time) bool {
	return e != nil && e.Failure != nil && e.FailedID == id && now.Before(e.BackoffUntil)
}

const (
	firstBackoff = 5 * time.Minute
	maxBackoff   = time.Hour
)

// backoff is the pause after n failed fetches (STS-7).
func backoff(n int) time.Duration {
	d := firstBackoff
	for range n - 1 {
		if d *= 2; d >= maxBackoff {
			return maxBackoff
		}
	}
	return d
}

const (
	refreshEvery = 24 * time.Hour
	unusedAfter  = 180 * 24 * time.Hour
	// dnsRetry is when a refresh whose record lookup failed is tried again.
	dnsRetry = time.Hour
)

// refreshAfter is how long after a fetch or check a row is due again (STS-10):
// at most min(24 h, max_age/2), up to a tenth sooner, r in [0, 1).
func refreshAfter(maxAge time.Duration, r float64) time.Duration {
	d := min(refreshEvery, maxAge/2)
	return d - time.Duration(r*float64(d)/10)
}

// nextDue is when a row that was checked now is due again. The day of the next
// fetch, when half of max_age has gone, is not passed over.
func nextDue(e *Entry, now time.Time, r float64) time.Time {
	due := now.Add(refreshAfter(e.maxAge(), r))
	if half := e.Fetched.Add(e.maxAge() / 2); half.After(now) && half.Before(due) {
		return half
	}
	return due
}

// needsFetch reports whether a refresh that found the record fetches over
// HTTPS too: the id is new, or half of max_age has gone (STS-10).
func needsFetch(e *Entry, id string, now time.Time) bool {
	return e.Policy == nil || e.ID != id || !now.Before(e.Fetched.Add(e.Policy.MaxAge/2))
}

// success is e after a fetch that brought a policy.
func success(e Entry, f fetched, now time.Time) Entry {
	e.Policy, e.Text, e.ID = f.policy, f.text, f.id
	e.Fetched, e.LastChecked, e.ValidUntil = now, now, now.Add(f.policy.MaxAge)
	e.Due = nextDue(&e, now, f.jitter)
	e.Failure, e.FailedID, e.Failures, e.BackoffUntil = nil, "", 0, time.Time{}
	return e
}

// failure is e after a failed fetch for the record id. A policy it holds stays.
func failure(e Entry, id string, err *mtasts.Error, now time.Time) Entry {
	if e.FailedID != id {
		e.Failures = 0
	}
	e.Failures++
	e.Failure, e.FailedID = err, id
	e.BackoffUntil = now.Add(backoff(e.Failures))
	e.Due, e.LastChecked = e.BackoffUntil, now
	return e
}

// fetched is a policy that came, for a record id.
type fetched struct {
	policy *mtasts.Policy
	text   []byte
	id     string
	jitter float64
}
