package handshakes

import "time"

// When the operator is told of a network: that many failures, over that long, with no success
// between, and one not too long before.
const (
	tellFailures = 5
	tellAfter    = 10 * time.Minute
	remembered   = 30 * 24 * time.Hour
)

// Standing is how the handshakes of one network go.
type Standing struct {
	Succeeded time.Time // zero: none has, as far as is known
	Failing   time.Time // since when they fail, with none that has succeeded; zero: they do not
	Failures  int       // in that time
	Alert     string    // why the last one failed
	Told      time.Time // zero: the operator was not told of it
}

// after is the standing after one more handshake, at now. alert is why it has failed; "": it has
// not. tell: the operator is to be told.
func (s Standing) after(alert string, now time.Time) (next Standing, tell bool) {
	if alert == "" {
		return Standing{Succeeded: now}, false
	}
	if s.Failing.IsZero() {
		s.Failing = now
	}
	s.Failures, s.Alert = s.Failures+1, alert
	tell = s.Told.IsZero() && !s.Succeeded.IsZero() && now.Sub(s.Succeeded) <= remembered &&
		s.Failures >= tellFailures && now.Sub(s.Failing) >= tellAfter
	if tell {
		s.Told = now
	}
	return s, tell
}
