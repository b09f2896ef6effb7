package dispatch

import (
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/retry"
)

// lesson is what an attempt says of somebody who was contacted for it.
type lesson struct {
	to       delivery.Contact
	signal   retry.Signal
	answered bool // a host of it spoke
}

// lessons are what an attempt says of whom it contacted, and of the way there where
// several destinations share one (pure). A proxy that fails says nothing of the domains
// behind it; once it passed a connection on, it works.
func lessons(to delivery.Contact, res *delivery.Result) []lesson {
	if to.Local {
		return nil
	}
	way, shared := to.Shared()
	if !shared {
		return []lesson{{to, signalOf(res), spoke(res)}}
	}
	switch failed, passed := proxied(res); {
	case failed && !passed:
		return []lesson{{way, retry.Unreachable, false}}
	case passed:
		return []lesson{{way, retry.Good, true}, {to, signalOf(res), spoke(res)}}
	}
	return []lesson{{to, signalOf(res), spoke(res)}}
}

// Change is a contact that has closed, or opened again.
type Change struct {
	To   delivery.Contact
	Pace retry.Pace
	Why  delivery.Fact // why it is closed
}

func unreachable(res *delivery.Result) delivery.Fact {
	for _, r := range res.Recipients {
		if why := (delivery.Fact{Word: r.Word, Text: r.Text}); why != (delivery.Fact{}) {
			return why
		}
	}
	return delivery.Fact{Text: "it could not be reached"}
}

// spoke: a host greeted, now or when a connection that was kept was made.
func spoke(res *delivery.Result) bool {
	for _, a := range res.Visits {
		if slices.ContainsFunc(a.Sessions, func(s delivery.Session) bool { return s.Greeted }) {
			return true
		}
	}
	return slices.ContainsFunc(res.Recipients, func(r delivery.RecipientResult) bool { return r.Outcome == delivery.Delivered })
}

// proxied says whether the proxy failed, and whether it passed a connection on.
func proxied(res *delivery.Result) (failed, passed bool) {
	for _, a := range res.Visits {
		for _, s := range a.Sessions {
			failed = failed || s.Err != nil && s.Err.Word == reason.ProxyFailed
			passed = passed || s.Connected && !s.Reused
		}
	}
	return failed, passed
}

// signalOf says what an attempt means for the destination. It is pure.
func signalOf(res *delivery.Result) retry.Signal {
	dialled, greeted, broken, busy := false, false, false, false
	for _, a := range res.Visits {
		for _, s := range a.Sessions {
			if s.Err != nil && s.Err.Word == reason.AddressCrowded {
				continue // nobody was dialled
			}
			dialled = true
			greeted = greeted || s.Greeted
			broken = broken || s.Greeted && s.Err != nil && !ofMessage(s.Err.Word)
		}
	}
	for _, r := range res.Recipients {
		if r.Outcome == delivery.Delivered {
			return retry.Good
		}
		busy = busy || r.Reply != nil && r.Reply.Code == 421
	}
	switch {
	case dialled && !greeted, res.Transport == delivery.ByRelay && relayUnusable(res):
		return retry.Unreachable
	case busy || broken:
		return retry.Busy
	}
	return retry.Neutral
}

// CrowdedOut: nothing of the attempt came to a host, since the addresses of all of them
// hold up as many deliveries as they may. It was none, then (pure).
func CrowdedOut(res *delivery.Result) bool {
	n := 0
	for _, a := range res.Visits {
		for _, s := range a.Sessions {
			if n++; s.Err == nil || s.Err.Word != reason.AddressCrowded {
				return false
			}
		}
	}
	return n > 0
}

// ofMessage: what ended the session lies in the message, or here, and says nothing of
// the host.
func ofMessage(w reason.Word) bool {
	switch w {
	case reason.RequireTLSNotOffered, reason.Canceled, reason.LeaseLost, reason.ContentUnreadable, reason.BareNewline, reason.BadEnvelope:
		return true
	}
	return false
}

// relayUnusable: a relay let nobody come as far as to hear of a recipient: its name or
// TLSA records cannot be looked up, it refuses EHLO, TLS or the login, its certificate is
// not what was asked for, or it sends everybody away with 421. That is a fault of the
// relay or its set-up, the same for the next message: it closes like one that does not
// answer. What a message asked for and the relay does not have is not.
func relayUnusable(res *delivery.Result) bool {
	if res.Destination.Fail != nil {
		return true
	}
	if stop := res.Decision.Stop; stop != nil {
		return !stop.Permanent
	}
	heard := func(r delivery.RecipientResult) bool { return r.Reply != nil && r.Reply.Code != 421 || r.Unfit }
	if len(res.Visits) == 0 || slices.ContainsFunc(res.Recipients, heard) {
		return false
	}
	for _, a := range res.Visits {
		for i := range a.Sessions {
			if !unusable(&a.Sessions[i], res.Recipients) {
				return false
			}
		}
	}
	return true
}

// unusable: the session ended before MAIL for a cause that is not the message's, or
// with 421.
func unusable(s *delivery.Session, rs []delivery.RecipientResult) bool {
	switch {
	case s.Err == nil && s.TLSFailure != nil && s.TLS == nil: // TLS did not come about, or was not what was asked for
		return true
	case s.Err == nil:
		return slices.ContainsFunc(rs, func(r delivery.RecipientResult) bool { return r.Reply != nil && r.Reply.Code == 421 })
	}
	switch s.Err.Word {
	case reason.AuthRefused, reason.AuthUnusable, reason.AuthServer, reason.StartTLSNotOffered, reason.GreetingReply, reason.HelloReply,
		reason.ProtocolError, reason.ConnectRefused, reason.ConnectTimeout, reason.ConnectUnreachable, reason.ConnectFailed:
		return true
	}
	return !s.Greeted
}
