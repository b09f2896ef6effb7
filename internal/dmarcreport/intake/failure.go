package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"waxwing/arf"
	"waxwing/dns"
	"waxwing/internal/reportbox"
	"waxwing/message"
)

// FailureSort is that of DMARC failure reports.
func FailureSort() reportbox.Sort {
	return reportbox.Sort{Name: "DMARC failure report", Noun: "dmarc", Tables: "dmarc_failure"}
}

// takeFailure takes in a failure report (DMR-4), which somebody vouches for as for any other; is
// says that the mail is one.
func (s *Service) takeFailure(ctx context.Context, submitter dns.Name, recipient string, msg []byte) (is, taken bool, reason string, err error) {
	r, fault := arf.Parse(msg)
	if errors.Is(fault, arf.ErrNoReport) {
		return false, false, "", nil
	}
	taken, reason, err = s.Failures.TakeAll(submitter, recipient, func(one func(reportbox.One) error) error {
		if fault != nil {
			return fault
		}
		id := failureID(msg, r)
		return one(reportbox.One{ID: id, LeftOut: r.Notes, Keep: func() (string, error) { return s.keepFailure(ctx, submitter, id, r) }})
	})
	return true, taken, reason, err
}

// failureID names a report, which has no id of its own, by its mail: a second copy is known.
func failureID(msg []byte, r *arf.Report) string {
	if id := message.MessageID(msg); id != "" {
		return id
	}
	sum := sha256.Sum256(r.File())
	return hex.EncodeToString(sum[:16])
}

func (s *Service) keepFailure(ctx context.Context, submitter dns.Name, id string, r *arf.Report) (reason string, err error) {
	domain, reason, err := s.about(ctx, r.Domain)
	if reason != "" || err != nil {
		return reason, err
	}
	at := r.Arrival
	if at.IsZero() || at.After(s.Now()) {
		at = s.Now()
	}
	p := reportbox.Part{Domain: domain, ReportID: id, Organization: r.MTA, Begin: at, End: at, Failed: r.Incidents, File: r.File()}
	if r.Source.IsValid() {
		p.Contact = r.Source.String()
	}
	return s.Failures.Put(ctx, reportbox.Mail(submitter), []reportbox.Part{p}, nil)
}
