package delivery

import "waxwing/dmarcrpt"

// Evaluation is what DMARC came to for one message and one domain of its From field, as a
// report to that domain says it (RFC 9990 §3.1.1).
type Evaluation struct {
	Policy dmarcrpt.Policy // as it was published; its domain is who gets the report
	Record dmarcrpt.Record // without a count
	// Report: the message was itself a report; such messages alone make no report (DMR-1).
	Report bool
	// Hours: the domain asks for reports of parts of a day of so many hours; 0: of whole days.
	Hours int
}
