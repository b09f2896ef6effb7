// Package disposition decides what becomes of a message that came from outside, by what is
// known of who sent it: taken, put into Junk, refused, or put off. It is the one place where
// that is chosen (AUT-1, AUT-3, AUT-5), and does no I/O.
package disposition

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"waxwing/dmarc"
	"waxwing/internal/reason"
)

// Author is what the From field comes to.
type Author uint8

// The kinds of author.
const (
	AuthorKnown      Author = iota // it names one domain, or several that were each looked at
	AuthorUnreadable               // there is none, there are several, or nobody could say whose it is
)

// Trust is who has listed the one who sends: a mailing list or a forwarder.
type Trust uint8

// The kinds of trust. A listed name counts only where it is authenticated: by a signature of
// its domain that passes, or as a sender for which SPF does.
const (
	Untrusted Trust = iota
	TrustedByAccount
	TrustedByOperator
)

// Facts are what the decision rests on.
type Facts struct {
	Author Author
	DMARC  dmarc.Result
	Policy dmarc.Policy // what the author's domain asks for; "" where it is not known
	Apply  dmarc.Policy // the same in test mode: a level below it
	Trust  Trust
	// OwnSPFFail: the reverse-path is of a domain that is hosted here, and its SPF record
	// says that the client may not use it.
	OwnSPFFail bool
	// PutOff: the sender's mail was put off for as long as it may be.
	PutOff bool
}

// Action is what is done with the message.
type Action uint8

// The actions, in growing severity but for Defer.
const (
	Deliver Action = iota
	Junk           // into the mailbox for junk
	Reject         // 5xx at the end of data
	Defer          // 4xx: it may come again
)

var actionWords = [...]string{"deliver", "junk", "reject", "defer"}

func (a Action) String() string { return actionWords[a] }

// MarshalText is String.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (a *Action) UnmarshalText(b []byte) error {
	i := slices.Index(actionWords[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown action %q (%s)", b, strings.Join(actionWords[:], ", "))
	}
	*a = Action(i)
	return nil
}

// Override is why the policy of the author's domain was not applied, in the words of RFC
// 9990's list; "" where it was, or there was nothing to apply.
type Override string

// The overrides.
const (
	TestMode         Override = "policy_test_mode"
	TrustedForwarder Override = "trusted_forwarder"
	LocalPolicy      Override = "local_policy"
)

// Decision is what becomes of a message, and why.
type Decision struct {
	Action   Action      `json:"action"`
	Word     reason.Word `json:"reason"`
	Override Override    `json:"override,omitempty"`
}

// Decide is the decision, for all facts there can be.
func Decide(f Facts) Decision {
	switch {
	case f.Author == AuthorUnreadable:
		return Decision{Action: Reject, Word: reason.AuthorUnreadable} // AUT-5: whoever wrote it, no reader could tell
	case f.DMARC == dmarc.Pass:
		return Decision{Action: Deliver, Word: reason.DMARCPass}
	case f.Trust != Untrusted:
		return trusted(f)
	case f.OwnSPFFail && f.DMARC == dmarc.TempError && !f.PutOff:
		return Decision{Action: Defer, Word: reason.DMARCTempError} // a signature may yet show that it is one of ours, forwarded
	case f.OwnSPFFail:
		return Decision{Action: Reject, Word: reason.OwnSPFFail} // what we publish for our own domains is honoured
	case f.DMARC == dmarc.TempError:
		return unknown(f)
	case f.DMARC == dmarc.Fail:
		return failed(f)
	}
	return Decision{Action: Deliver, Word: reason.DMARCNone}
}

// trusted is the decision for a listed mailing list or forwarder, which changes messages or
// sends them from where the author's domain does not.
func trusted(f Facts) Decision {
	d := Decision{Action: Deliver, Word: reason.TrustedForwarder}
	if asksForMore(f.Apply) {
		d.Override = TrustedForwarder
	}
	return d
}

// asksForMore is whether a policy wants something done about mail that is not authenticated.
func asksForMore(p dmarc.Policy) bool { return p == dmarc.PolicyReject || p == dmarc.PolicyQuarantine }

// unknown is the decision where a lookup failed that might have changed it. For good, it
// refuses nothing, and lets nothing into the inbox that the domain wants kept out.
func unknown(f Facts) Decision {
	switch {
	case f.Apply == dmarc.PolicyNone:
		return Decision{Action: Deliver, Word: reason.DMARCTempError} // whatever it comes to, it is let in
	case !f.PutOff:
		return Decision{Action: Defer, Word: reason.DMARCTempError}
	case asksForMore(f.Apply):
		return Decision{Action: Junk, Word: reason.DMARCTempError, Override: LocalPolicy}
	}
	return Decision{Action: Deliver, Word: reason.DMARCTempError, Override: LocalPolicy}
}

// failed is the decision where DMARC says that the author is not who the From field says.
func failed(f Facts) Decision {
	d := Decision{Action: Deliver, Word: reason.DMARCFail}
	switch f.Apply {
	case dmarc.PolicyReject:
		d = Decision{Action: Reject, Word: reason.DMARCReject}
	case dmarc.PolicyQuarantine:
		d = Decision{Action: Junk, Word: reason.DMARCQuarantine}
	}
	if f.Policy != f.Apply {
		d.Override = TestMode
	}
	return d
}

// Severest is the decision that keeps a message out the most: of several authors, each must
// be let in. It needs one decision at least.
func Severest(all []Decision) Decision {
	severity := [...]int{Deliver: 0, Junk: 1, Defer: 2, Reject: 3}
	return slices.MaxFunc(all, func(a, b Decision) int { return cmp.Compare(severity[a.Action], severity[b.Action]) })
}
