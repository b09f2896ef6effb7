// Package renewal decides when a certificate is asked for, how long to wait after a
// failure, and when the operator must hear of it (CRT-1, CRT-6). It is pure.
//
// A certificate is renewed after less than a third of its life: so the authority may
// be away for two thirds of it, and nothing runs out. The authority's own wish (ARI,
// RFC 9773) can only make it sooner, as where it is about to revoke: a window later
// than that is one that it would suggest in good times.
package renewal

import "time"

// Cert is what is known of a certificate.
type Cert struct {
	NotBefore, NotAfter time.Time
	Window              Window  // suggested by the authority; zero: none
	Spread              float64 // 0 to 1, another for each certificate, so that not all are renewed at once
}

// Window is when the authority suggests to renew (RFC 9773 §4.2).
type Window struct{ Start, End time.Time }

// Tries are the attempts since the last certificate, or since it was first wanted.
type Tries struct {
	Failures int
	Since    time.Time // of the first of them
	Last     time.Time // of all: without failures, when the certificate was issued
	NotUntil time.Time // the authority said to come back then; zero: it did not
}

// Alert is what the operator must hear of a certificate; "" is nothing.
type Alert string

// The alerts, of rising urgency.
const (
	Never   Alert = "certificate-never-issued" // asked for in vain since it was first wanted
	Early   Alert = "certificate-early"        // it is not valid yet, by this machine's clock
	Late    Alert = "certificate-late"         // half its life is over, and it is not renewed
	Urgent  Alert = "certificate-urgent"       // a sixth of its life is left
	Expired Alert = "certificate-expired"
)

// Decision is what to do about a certificate.
type Decision struct {
	Renew bool
	At    time.Time // when to ask for it: now or before, if Renew
	Alert Alert
}

const (
	// The part of a certificate's life after which it is renewed lies between these.
	soonest = 0.28
	latest  = 0.32

	firstPause = 2 * time.Minute // so that five failures take an hour: the authority's usual bound
	mostPause  = 6 * time.Hour   // with a certificate
	emptyPause = time.Hour       // without
	mostWait   = 24 * time.Hour  // that the authority can ask for
	newPause   = 24 * time.Hour  // after one was issued
	patience   = 6 * time.Hour   // until a certificate that never came is told of
)

// Skew is how far a certificate's beginning may lie in the future: clocks differ.
const Skew = 5 * time.Minute

// Decide says when to ask for a certificate; c is nil where there is none yet.
func Decide(c *Cert, t Tries, now time.Time) Decision {
	var d Decision
	if c != nil {
		d.At = due(*c)
	}
	switch {
	case t.Failures > 0:
		d.At = later(d.At, again(c, t))
	case c != nil:
		d.At = later(d.At, rest(*c, t))
	}
	d.Renew = !now.Before(d.At)
	d.Alert = alert(c, t, now)
	return d
}

// due is when a certificate is renewed if all is well.
func due(c Cert) time.Time {
	life := c.NotAfter.Sub(c.NotBefore)
	at := c.NotBefore.Add(time.Duration((soonest + (latest-soonest)*c.Spread) * float64(life)))
	if w := c.Window; w.End.After(w.Start) {
		if wish := w.Start.Add(time.Duration(c.Spread * float64(w.End.Sub(w.Start)))); wish.Before(at) {
			return wish
		}
	}
	return at
}

// rest is until when a certificate that was just issued is left alone, due or not. One that
// is due at once (this clock is fast, or the authority suggests a time long ago) would
// else be asked for without end, until the authority's limit is used up.
func rest(c Cert, t Tries) time.Time {
	return t.Last.Add(min(newPause, c.NotAfter.Sub(c.NotBefore)/20))
}

// again is when to try anew after failures: later each time, never so late that it
// would cost a certificate its margin.
func again(c *Cert, t Tries) time.Time {
	most := emptyPause
	if c != nil {
		most = min(mostPause, c.NotAfter.Sub(c.NotBefore)/100)
	}
	at := t.Last.Add(min(firstPause<<min(t.Failures-1, 10), most)) // ten doublings are more than any bound
	if bound := t.Last.Add(mostWait); t.NotUntil.After(bound) {
		return later(at, bound)
	}
	return later(at, t.NotUntil)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func alert(c *Cert, t Tries, now time.Time) Alert {
	if c == nil {
		if t.Failures > 0 && now.Sub(t.Since) >= patience {
			return Never
		}
		return ""
	}
	life, left := c.NotAfter.Sub(c.NotBefore), c.NotAfter.Sub(now)
	switch {
	case c.NotBefore.After(now.Add(Skew)):
		return Early
	case left <= 0:
		return Expired
	case left < life/6:
		return Urgent
	case left < life/2:
		return Late
	}
	return ""
}

// Good says that a certificate is valid and in good time: one that a key may take over
// with. A key that took over with one that is late would bring its trouble along.
func Good(c *Cert, now time.Time) bool {
	return c != nil && !now.Before(c.NotBefore) && alert(c, Tries{}, now) == ""
}
