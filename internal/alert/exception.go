package alert

import (
	"fmt"

	"waxwing/internal/config"
)

// ExceptionEnds is what the operator is told, once, a week before an exception ends.
func ExceptionEnds(e config.Exception) Notice {
	return Notice{
		What: "exception " + e.Domain.ASCII() + " " + e.Until, Event: "delivery.exception-ends",
		Subject: "The delivery exception for " + e.Domain.ASCII() + " ends on " + e.Until,
		Text: fmt.Sprintf("[[delivery.exceptions]] sets transport security aside for %s until %s (UTC).\n\nReason: %s\n\n"+
			"After that day mail to the domain waits again where the cause is not mended.\nSee: waxwing explain postmaster@%s\n",
			e.Domain.ASCII(), e.Until, e.Reason, e.Domain.ASCII()),
	}
}
