// Package intake takes in the TLS reports (RFC 8460) that others send about domains
// of ours, and says what they come to.
//
// Take verifies a report mail (RPT-14), TakePost bounds what comes by HTTPS, for
// which nobody vouches (RPT-15). Both parse within bounds (RPT-16) and keep what is
// about domains of ours, once (RPT-17). Digest sums up what is kept, with advice
// (RPT-18, RPT-19).
package intake

import (
	"context"
	"fmt"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/alert"
	"waxwing/internal/delivery"
	"waxwing/internal/reportbox"
	"waxwing/tlsrpt"
)

// Verifier checks the DKIM signatures of a message.
type Verifier interface {
	Verify(ctx context.Context, msg []byte) ([]dkim.Verification, error)
}

// Service takes reports in. Its fields are set before its first use; its methods
// may be called from any goroutine. Box and DNS are needed.
type Service struct {
	*reportbox.Box
	DNS      dns.Resolver
	Verifier Verifier // nil: package dkim with DNS
	// Hosted says whether a domain is ours; nil: none is.
	Hosted    func(ctx context.Context, domain dns.Name) (bool, error)
	Hostname  dns.Name       // of this server
	HostNames []dns.Name     // further names of ours that are policy domains (RPT-17)
	Alerts    *alert.Service // hears of first failures; nil: nobody
}

// Sort is that of TLS reports.
func Sort() reportbox.Sort { return reportbox.Sort{Name: "TLS report", Noun: "tlsrpt", Tables: "tls"} }

// Show returns a received report by its id: as data (Report.Text for people) and as JSON.
func (s *Service) Show(ctx context.Context, id delivery.ID) (*tlsrpt.Report, []byte, error) {
	gz, err := s.File(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	r, err := tlsrpt.Stored(gz)
	if err != nil {
		return nil, nil, fmt.Errorf("stored report %s: %w", id, err)
	}
	j, err := r.JSON()
	return r, j, err
}
