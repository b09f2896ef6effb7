package delivery

import "time"

// STSException is what an operator sets aside of a domain's MTA-STS (STS-13).
type STSException uint8

// The exceptions, the milder first.
const (
	STSAsked     STSException = iota // nothing
	STSTolerated                     // a lookup of the record that fails counts as none
	STSOff                           // not asked
)

// Exception is what an operator sets aside for one recipient domain, for a reason
// and until a day (STS-13). The zero value sets nothing aside.
type Exception struct {
	STS     STSException
	DANEOff bool
	Reason  string
	Until   time.Time // the first moment at which it holds no more
}

// IsZero reports that nothing is set aside.
func (e Exception) IsZero() bool { return e.STS == STSAsked && !e.DANEOff }
