package dmarcreport

import (
	"context"
	"errors"
	"fmt"
	"io"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/internal/outbox"
)

// Published is what a domain says of where its DMARC reports shall go.
type Published struct {
	Domain   string             `json:"domain"`
	Name     string             `json:"name"` // where the record was looked for
	Texts    []string           `json:"texts"`
	Security string             `json:"dnssec"`
	Policy   string             `json:"policy,omitempty"`
	RUA      []PublishedAddress `json:"rua"`
	Faults   []string           `json:"faults,omitempty"`  // of the record, passed over
	Problem  string             `json:"problem,omitempty"` // addresses that get nothing, or why the domain gets no reports
}

// PublishedAddress is one report address.
type PublishedAddress struct {
	URI        string `json:"uri"`
	MaxSize    int64  `json:"max_size,omitempty"` // octets
	Suppressed bool   `json:"suppressed,omitempty"`
}

// Lookup reads the DMARC record of a policy domain as the daily run would, with the consent of
// report addresses elsewhere. The error is of DNS.
func (s *Service) Lookup(ctx context.Context, domain dns.Name) (Published, error) {
	p := Published{Domain: domain.ASCII(), Name: "_dmarc." + domain.ASCII(), RUA: []PublishedAddress{}}
	w := s.find(ctx, domain.ASCII())
	if w.state == outbox.Open {
		return p, fmt.Errorf("%w; the daily run would try again", errors.New(w.note))
	}
	p.Texts, p.Security, p.Problem = append([]string{}, w.answer.Records...), w.answer.Security.String(), w.note
	if w.record != nil {
		p.Policy, p.Faults = string(w.record.Policy), w.record.Problems
	}
	for _, d := range w.rua {
		a := PublishedAddress{URI: d.uri, MaxSize: d.maxSize}
		if s.Store != nil {
			var err error
			if a.Suppressed, err = s.Suppressed(ctx, d.uri); err != nil {
				return p, err
			}
		}
		p.RUA = append(p.RUA, a)
	}
	return p, nil
}

// Print writes it for people.
func (p *Published) Print(w io.Writer) {
	fmt.Fprintf(w, "%s (%s)\n", p.Name, p.Security)
	for _, t := range p.Texts {
		fmt.Fprintf(w, "  TXT  %s\n", foreign.Shown(t))
	}
	for _, a := range p.RUA {
		note := ""
		if a.MaxSize > 0 {
			note = fmt.Sprintf(", of %d octets at most", a.MaxSize)
		}
		if a.Suppressed {
			note += "  suppressed: see \"waxwing dmarc suppress list\""
		}
		fmt.Fprintf(w, "  reports go to %s%s\n", foreign.Shown(a.URI), note)
	}
	for _, f := range p.Faults {
		fmt.Fprintf(w, "  passed over: %s\n", foreign.Shown(f))
	}
	if p.Problem != "" {
		fmt.Fprintf(w, "  %s\n", foreign.Shown(p.Problem))
	}
}
