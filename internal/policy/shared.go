package policy

import (
	"waxwing/internal/delivery"
	"waxwing/mtasts"
)

// Level is what an MTA is told that takes one level for all hosts of a domain, and
// verifies by DANE or by MTA-STS but never both: a Postfix (CMP-3).
type Level uint8

// The levels, in Postfix's words where it has one.
const (
	LevelOwn      Level = iota // what it does by itself
	LevelMay                   // TLS where it is offered, even if it would ask for more by itself
	LevelDANE                  // DANE, host by host: TLS without verification where no record is usable, and as it comes where there is none
	LevelDANEOnly              // DANE at every host
	LevelSecure                // MTA-STS: a host of the policy, with a certificate for its name
	LevelWait                  // the mail waits
)

var levelWords = [...]string{"its own level", "may", "dane", "dane-only", "secure", "wait"}

func (l Level) String() string { return levelWords[l] }

// Shared is one decision for all hosts of a domain.
type Shared struct {
	Level    Level
	Text     string               // of LevelWait: why
	Policy   *mtasts.Policy       // MTA-STS in mode enforce or testing; nil: none
	Fault    *delivery.TLSFailure // of the domain's MTA-STS, as it is reported; nil: none
	SetAside []delivery.Fact
}

// DecideShared makes the decision for an ordinary message. It is never weaker than
// Decide's for any host that can be reached, but for the two limits of Level.
func DecideShared(in Input) Shared {
	off := in.Exception.DANEOff
	in, aside := except(in)
	r := newRules(in)
	s := Shared{Policy: r.policy, SetAside: aside}
	if r.failure != nil {
		s.Fault = stsFailure(r.failure)
	}
	s.Level, s.Text = r.level()
	if s.Level == LevelOwn && off {
		s.Level = LevelMay // its own may be DANE
	}
	return s
}

func (r *rules) level() (Level, string) {
	if f := r.in.Destination.Fail; f != nil && !f.Permanent {
		return LevelWait, f.Text
	}
	var by [delivery.DANEFailed + 1]int
	for _, h := range r.in.Destination.Hosts {
		if h.Fail != nil {
			continue // nor can the MTA connect to it
		}
		s := r.subject(h)
		if s.dane.State == delivery.DANEFailed {
			// RFC 7672 §2.1.2. An MTA would pass over this host alone, but by what it
			// finds at the others it could lose an enforced MTA-STS policy.
			return LevelWait, s.daneText()
		}
		by[s.dane.State]++
	}
	usable, unusable := by[delivery.DANEUsable], by[delivery.DANEUnusable]
	switch f := r.deferred(); {
	case usable > 0 && by[delivery.DANENone]+unusable == 0:
		return LevelDANEOnly, ""
	case r.enforced():
		return LevelSecure, ""
	case f != nil:
		return LevelWait, f.Text
	case usable+unusable > 0:
		return LevelDANE, ""
	}
	return LevelOwn, ""
}
