package tlsreport

import (
	"context"
	"fmt"

	"waxwing/dns"
	"waxwing/tlsrpt"
)

// Published is what a domain says of where its TLS reports shall go.
type Published struct {
	Domain      string             `json:"domain"`
	Name        string             `json:"name"` // where the record was looked for
	Texts       []string           `json:"texts"`
	Security    string             `json:"dnssec"`
	RUA         []PublishedAddress `json:"rua"`
	Unsupported []string           `json:"unsupported,omitempty"`
	Faulty      []string           `json:"faulty,omitempty"` // why addresses are passed over
	Extensions  map[string]string  `json:"extensions,omitempty"`
	Problem     string             `json:"problem,omitempty"` // why it gets no reports
}

// PublishedAddress is one report address.
type PublishedAddress struct {
	URI        string `json:"uri"`
	Suppressed bool   `json:"suppressed,omitempty"`
}

// Lookup reads the TLSRPT record of a policy domain as the daily run would
// (RPT-7). The error is of DNS; a record that is missing or wrong is a Problem.
func (s *Service) Lookup(ctx context.Context, domain dns.Name) (Published, error) {
	p := Published{Domain: domain.ASCII(), Texts: []string{}, RUA: []PublishedAddress{}}
	name, err := domain.Prefix("_smtp._tls")
	if err != nil {
		p.Problem = err.Error()
		return p, nil
	}
	p.Name = name.ASCII()
	answer, err := s.DNS.LookupTXT(ctx, name)
	if err != nil {
		return p, fmt.Errorf("look up %s: %w; the daily run would try again", p.Name, err)
	}
	p.Texts, p.Security = append(p.Texts, answer.Records...), answer.Security.String()
	rec, err := tlsrpt.ParseRecord(answer.Records)
	if err != nil {
		p.Problem = err.Error()
		return p, nil
	}
	p.Unsupported, p.Faulty = rec.Unsupported, rec.Faulty
	for _, e := range rec.Extensions {
		if p.Extensions == nil {
			p.Extensions = map[string]string{}
		}
		p.Extensions[e.Name] = e.Value
	}
	for i, uri := range rec.RUA {
		a := PublishedAddress{URI: uri}
		if s.Store != nil {
			if a.Suppressed, err = s.Suppressed(ctx, uri); err != nil {
				return p, err
			}
		}
		if i == maxRUA {
			p.Problem = fmt.Sprintf("more than %d addresses: the others are not sent to", maxRUA)
		}
		p.RUA = append(p.RUA, a)
	}
	if len(rec.RUA) == 0 {
		p.Problem = "no address in rua can be sent to"
	}
	return p, nil
}
