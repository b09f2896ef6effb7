// Package posture remembers what deliveries have shown of recipient domains:
// whether their hosts take STARTTLS, MTA-STS, DNSSEC, DANE and REQUIRETLS, and
// when that was last seen (SES-10). It is for people who ask what to expect of a
// domain; no decision is made from it, and a delivery never fails because of it.
package posture

import (
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// Word is what an attempt showed of one mechanism.
type Word string

// The words. MTA-STS has its modes besides: none, testing, enforce.
const (
	Unknown Word = ""       // the attempt did not come so far
	Yes     Word = "yes"    // it works, on every host that was seen
	Partly  Word = "partly" // on some hosts only
	No      Word = "no"     // it is not there
	Broken  Word = "broken" // it is there, and faulty
)

// Fact is one word with the time of the attempt that showed it last.
type Fact struct {
	Word Word      `json:"word"`
	At   time.Time `json:"at,omitzero"`
}

// Facts is what is known of one recipient domain.
type Facts struct {
	StartTLS   Fact `json:"starttls"`
	MTASTS     Fact `json:"mta_sts"`
	DNSSEC     Fact `json:"dnssec"` // of the answer that names the hosts
	DANE       Fact `json:"dane"`
	RequireTLS Fact `json:"requiretls"`
}

// fields are the facts in the order of their columns.
func (f *Facts) fields() [5]*Fact {
	return [5]*Fact{&f.StartTLS, &f.MTASTS, &f.DNSSEC, &f.DANE, &f.RequireTLS}
}

// Known reports that there is something in f.
func (f Facts) Known() bool {
	for _, x := range f.fields() {
		if x.Word != Unknown {
			return true
		}
	}
	return false
}

// Seen is the time of the newest fact.
func (f Facts) Seen() time.Time {
	var t time.Time
	for _, x := range f.fields() {
		if x.At.After(t) {
			t = x.At
		}
	}
	return t
}

// Merge is f with what is newer in g. What g does not know stays.
func (f Facts) Merge(g Facts) Facts {
	to, from := f.fields(), g.fields()
	for i, x := range from {
		if x.Word != Unknown && !x.At.Before(to[i].At) {
			*to[i] = *x
		}
	}
	return f
}

// Observe is what one attempt shows of its recipient domain; nothing for mail
// that went another way than to the domain's own hosts. It is pure.
func Observe(res *delivery.Result) Facts {
	var f Facts
	if res.Transport != delivery.ByDirect {
		return f
	}
	f.StartTLS.Word, f.RequireTLS.Word = sessions(res.Visits)
	f.DNSSEC.Word = dnssec(res.Destination)
	f.DANE.Word = daneOf(res)
	f.MTASTS.Word = mtaSTS(res)
	for _, x := range f.fields() {
		if x.Word != Unknown {
			x.At = res.Ended
		}
	}
	return f
}

// sessions sums up STARTTLS and REQUIRETLS over all hosts that answered.
func sessions(visits []delivery.Visit) (startTLS, requireTLS Word) {
	for _, a := range visits {
		for _, s := range a.Sessions {
			switch {
			case s.Plaintext, !s.Greeted: // the retry without TLS shows nothing; nor does who says nothing
			case s.TLS != nil:
				startTLS = and(startTLS, Yes)
				requireTLS = and(requireTLS, yes(s.RequireTLS))
			case s.TLSFailure != nil && s.TLSFailure.Word == reason.StartTLSNotOffered:
				startTLS = and(startTLS, No)
			case s.TLSFailure == nil, passing(s.TLSFailure.Word):
			case refusedBy(s.DANE, s.TLSFailure), refusedBy(s.PKIX, s.TLSFailure):
				startTLS = and(startTLS, Yes) // TLS came about: the certificate, or a record about it, is at fault
			default:
				startTLS = and(startTLS, Broken)
			}
		}
	}
	return startTLS, requireTLS
}

// refusedBy reports that a session ended because a verification went against it.
func refusedBy(v *delivery.Verification, f *delivery.TLSFailure) bool {
	return v != nil && v.Failure != nil && v.Failure.Word == f.Word
}

// passing reports a failure that may be nobody's fault but the moment's.
func passing(w reason.Word) bool {
	return w == reason.StartTLSTimeout || w == reason.StartTLSLost || w == reason.TLSTimeout
}

func dnssec(d delivery.Destination) Word {
	switch {
	case d.Domain.IsLiteral():
		return Unknown
	case d.Fail != nil && d.Fail.Word == reason.DNSBogus:
		return Broken
	case d.Fail != nil && !d.Fail.Permanent, len(d.Hosts) == 0:
		return Unknown
	}
	return yes(d.MXSecure)
}

// daneOf sums up the TLSA records of all hosts, and what certificates showed.
func daneOf(res *delivery.Result) Word {
	w := Unknown
	for _, h := range res.Destination.Hosts {
		switch h.DANE.State {
		case delivery.DANEUsable:
			w = and(w, Yes)
		case delivery.DANENone:
			if h.Fail == nil {
				w = and(w, No)
			}
		case delivery.DANEUnusable:
			w = and(w, Broken)
		case delivery.DANEFailed: // a lookup that failed may be nobody's fault but the moment's
			if h.DANE.Fail != nil && h.DANE.Fail.Word == reason.DNSBogus {
				w = and(w, Broken)
			}
		}
	}
	for _, a := range res.Visits {
		for _, s := range a.Sessions {
			if s.DANE != nil && s.DANE.Failure != nil {
				return Broken
			}
		}
	}
	return w
}

func mtaSTS(res *delivery.Result) Word {
	f := res.Finding
	switch {
	case res.Destination.Domain.IsLiteral(), res.Destination.Fail != nil, f.Defer:
		return Unknown
	case f.Policy != nil:
		return Word(f.Policy.Mode)
	case f.Failure != nil:
		return Broken
	}
	return No
}

func yes(b bool) Word {
	if b {
		return Yes
	}
	return No
}

// and joins what two hosts showed: a fault anywhere is a fault.
func and(a, b Word) Word {
	switch {
	case a == Unknown || a == b:
		return b
	case a == Broken || b == Broken:
		return Broken
	}
	return Partly
}
