package policy

import (
	"waxwing/internal/delivery"
)

// Happened is what came of one host under RequireTLS.
type Happened uint8

// What can come of a host, from the least to the most that a later attempt could change.
const (
	Unqualified  Happened = iota // no verified TLS: skipped by the plan, no TLS, or verification failed
	NoRequireTLS                 // verified TLS, but REQUIRETLS was not offered
	MayWork                      // unreachable, 4xx, DNS error, or a policy not checked in this attempt
)

// Tried is one host with what came of it.
type Tried struct {
	Host     delivery.MXHost
	Happened Happened
	Reason   delivery.Reason // why, one word
	Text     string          // why, for people
}

// Judge reads from a plan that was skipped or tried what Verdict needs. A
// host that was not tried has no sessions.
func Judge(in Input, a delivery.Attempt) Tried { return Tried{} }

// Verdict says what becomes of a RequireTLS message that no host took (POL-4):
// nil to keep it waiting, or the permanent failure 5.7.30 or 5.7.10.
func Verdict(tried []Tried) *delivery.Failure { return nil }
