// Package reportdoor says which mail comes to report addresses, who takes it as a report, and who reads what is none
// (RPT-14, RPT-21, DMR-6).
package reportdoor

import (
	"context"
	"strings"

	"waxwing/dns"
	"waxwing/internal/config"
	dmarcintake "waxwing/internal/dmarcreport/intake"
	"waxwing/internal/mailbox"
	"waxwing/internal/receive"
	"waxwing/internal/reportbox"
	"waxwing/internal/tlsreport/intake"
)

// Door plugs the reports into the mail that comes in. Its fields are set before its first use.
type Door struct {
	TLS   *intake.Service
	DMARC *dmarcintake.Service
	// To is where reports of a sort come to at a domain, as the configuration has it.
	To func(of config.ReportSort, domain dns.Name) config.ReportsTo
	// IsOurs says of a domain that it is hosted here, or the host's own name.
	IsOurs func(ctx context.Context, domain dns.Name) bool
}

// Take takes a report, or a bounce of one of ours.
func (r *Door) Take(ctx context.Context, m receive.Report) (bool, string, error) {
	local, at, _ := strings.Cut(m.Recipient, "@")
	domain, _ := dns.ParseName(at) // what cannot be read has no address for itself
	ofDMARC, err := comesTo(ctx, r.DMARC.Box, local, domain)
	if err != nil {
		return false, "", err
	}
	if ofDMARC {
		return r.DMARC.Take(ctx, m.Recipient, m.Message, m.Facts)
	}
	if m.Facts != nil {
		return r.TLS.TakeVerified(ctx, m.Recipient, m.Message, m.Facts.Signatures)
	}
	return r.TLS.Take(ctx, m.Recipient, m.Message)
}

// comesTo says of an address that reports of a sort come to it, or bounces of ours.
func comesTo(ctx context.Context, box *reportbox.Box, local string, domain dns.Name) (bool, error) {
	_, back, err := box.Outbox.Returned(ctx, local)
	if back || err != nil {
		return back, err
	}
	return box.Addresses.Takes(ctx, local, domain)
}

// Reader is who reads what comes to a report address and is none, where, and whether reports are
// delivered too.
func (r *Door) Reader(ctx context.Context, local string, domain dns.Name) receive.ReportReader {
	of := config.TLSReports
	if is, err := comesTo(ctx, r.DMARC.Box, local, domain); err == nil && is {
		of = config.DMARCReports
	}
	to := r.To(of, domain)
	out := receive.ReportReader{Address: to.Reader, Keep: to.Keep}
	if to.Mailbox != "" {
		out.Mailbox, _ = mailbox.CleanName(to.Mailbox) // the configuration has none with a fault
	}
	return out
}

// IsReport says of an address that reports come to it, or bounces of our own: at
// every hosted domain and at the host's own name (RPT-14, DMR-6).
func (r *Door) IsReport(ctx context.Context, local string, domain dns.Name) bool {
	for _, box := range []*reportbox.Box{r.TLS.Box, r.DMARC.Box} {
		if is, err := comesTo(ctx, box, local, domain); err == nil && is {
			return r.IsOurs(ctx, domain)
		}
	}
	return false
}
