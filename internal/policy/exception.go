package policy

import (
	"fmt"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// except sets aside what the operator's exception for the domain says (STS-13), and
// tells what that was: facts for the basis, the log and the metric. What is left is a
// domain that has not published it: where the sender (REQUIRETLS) or the operator's
// minimum wants a name or a certificate that only this vouched for, mail is refused.
func except(in Input) (Input, []delivery.Fact) {
	e := in.Exception
	if in.Domain.IsZero() {
		return in, nil // an address literal publishes nothing
	}
	var aside []delivery.Fact
	tell := func(w reason.Word, what string) {
		aside = append(aside, delivery.Fact{Word: w, Text: fmt.Sprintf("%s; by the operator until %s: %s", what, e.Until.UTC().Format(time.DateOnly), e.Reason)})
	}
	switch {
	case e.STS == delivery.STSOff:
		in.Finding = delivery.Finding{}
		tell(reason.ExceptSTS, "MTA-STS is not asked")
	case e.STS == delivery.STSTolerated && in.Finding.Defer:
		in.Finding = delivery.Finding{}
		tell(reason.ExceptSTSLookup, "the MTA-STS record could not be looked up, and counts as none")
	}
	if e.DANEOff {
		in.Destination.Hosts = slices.Clone(in.Destination.Hosts)
		for i := range in.Destination.Hosts {
			in.Destination.Hosts[i].DANE = delivery.DANE{}
		}
		tell(reason.ExceptDANE, "DANE is not asked")
	}
	return in, aside
}
