// Package bars weighs, for whoever writes a mail, how it will travel to an address (MAIL-5): five bars, for STARTTLS, MTA-STS,
// DNSSEC, DANE and REQUIRETLS. They are made of the same Explanation that "waxwing explain" prints, and of what deliveries
// have shown of the domain. It is pure.
package bars

import (
	"strings"
	"time"

	"waxwing/internal/explain"
	"waxwing/internal/posture"
	"waxwing/internal/reason"
	"waxwing/mtasts"
)

// State is what a bar says at a glance.
type State string

// The states.
const (
	OK      State = "ok"      // it is there
	Bad     State = "bad"     // it is not there
	Error   State = "error"   // it is there, and broken
	Unknown State = "unknown" // nothing is known yet
)

// Word says why a bar is what it is. A page has a sentence for each.
type Word string

// The words.
const (
	Here       Word = "here"        // the address is of this server: the mail does not leave it
	Way        Word = "way"         // the mail goes to a relay, whatever the domain publishes
	Seen       Word = "seen"        // deliveries have shown it
	SeenPartly Word = "seen-partly" // on some hosts
	SeenNot    Word = "seen-not"    // they have shown that it is missing
	SeenBroken Word = "seen-broken" // or broken
	Unseen     Word = "unseen"      // no delivery has shown anything
	Published  Word = "published"   // in DNS, or as a policy
	Partly     Word = "partly"      // for some hosts
	Testing    Word = "testing"     // a policy that asks for nothing yet
	None       Word = "none"        // nothing is published
	Unusable   Word = "unusable"    // what is published cannot be used
	Failing    Word = "failing"     // it cannot be looked up, or not be verified
	NotLooked  Word = "not-looked"  // the look-up came to an end before
)

// Bar is one of the five.
type Bar struct {
	State  State     `json:"state"`
	Word   Word      `json:"word"`
	At     time.Time `json:"at,omitzero"`      // of what was seen
	Detail string    `json:"detail,omitempty"` // what went wrong, in the words of the decision
}

// Bars are those of one domain.
type Bars struct {
	StartTLS   Bar `json:"starttls"`
	MTASTS     Bar `json:"mta_sts"`
	DNSSEC     Bar `json:"dnssec"`
	DANE       Bar `json:"dane"`
	RequireTLS Bar `json:"requiretls"`
	// Whole: nothing of it is still being looked up.
	Whole bool `json:"whole"`
	// Capable: REQUIRETLS can be asked of mail to this domain, and the domain has DANE or enforces MTA-STS (RFC 8689 §4.2.1).
	Capable bool `json:"capable"`
	// Stop is why nothing would be dialled at all; nil: something would.
	Stop *explain.Reason `json:"stop,omitempty"`
}

// Of weighs what was found. hosted: the domain's mail stays here. Without an explanation, what was seen is all that is known.
func Of(e *explain.Explanation, seen *posture.Facts, hosted bool) Bars {
	if hosted {
		here := Bar{State: OK, Word: Here}
		return Bars{StartTLS: here, MTASTS: here, DNSSEC: here, DANE: here, RequireTLS: here, Whole: true, Capable: true}
	}
	var f posture.Facts
	if seen != nil {
		f = *seen
	}
	b := Bars{StartTLS: observed(f.StartTLS), RequireTLS: observed(f.RequireTLS)}
	if e == nil {
		b.MTASTS, b.DNSSEC, b.DANE = remembered(f.MTASTS), observed(f.DNSSEC), observed(f.DANE)
	} else {
		b.MTASTS, b.DNSSEC, b.DANE, b.Stop, b.Whole = policy(e), signed(e), records(e), e.Stop, true
		if relayed(e) {
			way := Bar{State: Unknown, Word: Way, Detail: e.Way.Transport}
			b = Bars{StartTLS: way, MTASTS: way, DNSSEC: way, DANE: way, RequireTLS: way, Whole: true}
		}
	}
	b.Capable = b.RequireTLS.State == OK && b.StartTLS.State == OK && (b.DANE.State == OK || b.MTASTS.State == OK) && b.Stop == nil
	return b
}

// relayed tells whether the hosts of the domain are not what the mail is handed to.
func relayed(e *explain.Explanation) bool {
	return e.Way != nil && !e.Way.Direct()
}

// observed is a fact that deliveries have shown.
func observed(f posture.Fact) Bar {
	b := Bar{At: f.At}
	switch f.Word {
	case posture.Yes:
		b.State, b.Word = OK, Seen
	case posture.Partly:
		b.State, b.Word = Bad, SeenPartly
	case posture.No:
		b.State, b.Word = Bad, SeenNot
	case posture.Broken:
		b.State, b.Word = Error, SeenBroken
	default:
		b.State, b.Word = Unknown, Unseen
	}
	return b
}

// remembered is a domain's MTA-STS as deliveries have met it.
func remembered(f posture.Fact) Bar {
	switch string(f.Word) {
	case string(mtasts.ModeEnforce):
		return Bar{State: OK, Word: Seen, At: f.At}
	case string(mtasts.ModeTesting):
		return Bar{State: Bad, Word: Testing, At: f.At}
	case string(mtasts.ModeNone):
		return Bar{State: Bad, Word: None, At: f.At}
	}
	return observed(f)
}

// policy is whether the domain enforces MTA-STS.
func policy(e *explain.Explanation) Bar {
	m := e.MTASTS
	switch {
	case !m.Looked:
		return Bar{State: Unknown, Word: NotLooked}
	case m.Mode == string(mtasts.ModeEnforce):
		return Bar{State: OK, Word: Published}
	case m.Mode == string(mtasts.ModeTesting):
		return Bar{State: Bad, Word: Testing}
	case m.Failure != "" && m.Failure != string(reason.STSNoRecord):
		return Bar{State: Error, Word: Failing, Detail: strings.TrimSuffix(m.Failure+": "+m.Detail, ": ")}
	}
	return Bar{State: Bad, Word: None}
}

// signed is whether DNSSEC secures the answer that names the domain's hosts.
func signed(e *explain.Explanation) Bar {
	switch {
	case e.Signed:
		return Bar{State: OK, Word: Published}
	case e.Stop != nil && e.Stop.Word == reason.DNSBogus:
		return Bar{State: Error, Word: Failing, Detail: detail(e.Stop)}
	case len(e.Hosts) == 0 && !answered(e.Stop):
		return Bar{State: Unknown, Word: NotLooked, Detail: detail(e.Stop)}
	}
	return Bar{State: Bad, Word: None}
}

// answered tells whether what stops the mail is an answer of DNS, and not that there was none.
func answered(r *explain.Reason) bool {
	return r != nil && (r.Word == reason.NoSuchDomain || r.Word == reason.NullMX || r.Word == reason.MXSelf || r.Word == reason.MXUnusable)
}

func detail(r *explain.Reason) string {
	if r == nil {
		return ""
	}
	return strings.TrimSuffix(string(r.Word)+": "+r.Text, ": ")
}

// records sums up the TLSA records of all hosts.
func records(e *explain.Explanation) Bar {
	with, without := 0, 0
	for _, h := range e.Hosts {
		switch h.DANE {
		case "usable":
			with++
		case "unusable":
			return Bar{State: Error, Word: Unusable, Detail: h.Name}
		case "failed":
			return Bar{State: Error, Word: Failing, Detail: strings.TrimSpace(h.Name + " " + detail(h.Skip))}
		default:
			if h.Fail == nil {
				without++
			}
		}
	}
	switch {
	case with > 0 && without == 0:
		return Bar{State: OK, Word: Published}
	case with > 0:
		return Bar{State: Bad, Word: Partly}
	case without > 0, answered(e.Stop):
		return Bar{State: Bad, Word: None}
	}
	return Bar{State: Unknown, Word: NotLooked}
}
