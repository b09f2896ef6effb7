package explain

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
	"waxwing/internal/reason"
	"waxwing/internal/stspolicy"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// FoundSTS is what a stranger finds of a domain's MTA-STS.
type FoundSTS struct {
	Domain   string         `json:"domain"`
	Record   string         `json:"record,omitempty"` // the TXT record, as published
	Security string         `json:"security"`         // of its answer
	ID       string         `json:"id,omitempty"`
	Policy   string         `json:"policy,omitempty"` // the file, as served
	Mode     string         `json:"mode,omitempty"`
	MX       []string       `json:"mx,omitempty"`
	MaxAge   int64          `json:"max_age,omitempty"` // seconds
	Word     string         `json:"word,omitempty"`    // why there is no policy
	Failure  string         `json:"failure,omitempty"`
	Hosts    []FoundSTSHost `json:"hosts"`
	HostsBad string         `json:"hosts_failure,omitempty"`
	OK       bool           `json:"ok"` // there is a policy, and it lists every host
}

// FoundSTSHost is one MX host of the domain.
type FoundSTSHost struct {
	Host    string `json:"host"`
	Matches string `json:"matches,omitempty"` // the pattern; "": none
}

// Trouble is why the domain is not protected as it should be; nil: it is.
func (a *FoundSTS) Trouble() error {
	switch {
	case a.OK:
		return nil
	case a.Word == string(reason.STSNoRecord):
		return fmt.Errorf("%s has no MTA-STS", a.Domain)
	case a.Word != "":
		return fmt.Errorf("the MTA-STS of %s cannot be used: %s", a.Domain, a.Word)
	case a.HostsBad != "":
		return fmt.Errorf("the policy of %s cannot be held against its hosts: %s", a.Domain, a.HostsBad)
	}
	return fmt.Errorf("the policy of %s does not list every host", a.Domain)
}

// FindSTS looks a domain's MTA-STS up as a stranger would, past every cache.
func FindSTS(ctx context.Context, r dns.Resolver, f stspolicy.Fetcher, finder *destination.Finder, domain dns.Name) FoundSTS {
	a := FoundSTS{Domain: domain.ASCII(), Hosts: []FoundSTSHost{}}
	txt, record, failed := mtasts.LookupRecord(ctx, r, domain)
	a.Security = txt.Security.String()
	if record != nil {
		a.ID = record.ID
	}
	a.Record = strings.Join(txt.Records, " | ")
	if len(a.Record) > 1000 {
		a.Record = a.Record[:1000] + "…"
	}
	var policy *mtasts.Policy
	if failed == nil {
		var raw []byte
		policy, raw, failed = f.Fetch(ctx, domain)
		a.Policy = string(raw)
	}
	if failed != nil {
		a.Word, a.Failure = string(failed.Word), failed.Detail
		return a
	}
	a.Mode, a.MX, a.MaxAge = string(policy.Mode), policy.Patterns(), int64(policy.MaxAge/time.Second)
	dest := finder.Find(ctx, delivery.RecipientDomain{Name: domain})
	if dest.Fail != nil {
		a.HostsBad = dest.Fail.Text
	}
	a.OK = dest.Fail == nil
	for _, h := range dest.Hosts {
		x := FoundSTSHost{Host: h.Name.ASCII()}
		for _, p := range policy.MX {
			if (&mtasts.Policy{MX: []mtasts.Pattern{p}}).Matches(h.Name.Name) {
				x.Matches = p.String()
				break
			}
		}
		a.OK = a.OK && (x.Matches != "" || policy.Mode == mtasts.ModeNone)
		a.Hosts = append(a.Hosts, x)
	}
	return a
}

// Print writes it for people.
func (a *FoundSTS) Print(w io.Writer) {
	if a.Record != "" {
		fmt.Fprintf(w, "_mta-sts.%s TXT (%s): %q\n", a.Domain, a.Security, a.Record)
	}
	if a.Word != "" {
		what := "its MTA-STS cannot be used"
		if a.Word == string(reason.STSNoRecord) {
			what = "it has no MTA-STS"
		}
		fmt.Fprintf(w, "%s: %s: %s: %s\n", a.Domain, what, a.Word, a.Failure)
	}
	if a.Policy != "" {
		fmt.Fprintf(w, "https://mta-sts.%s/.well-known/mta-sts.txt:\n", a.Domain)
		for l := range strings.SplitSeq(strings.TrimSpace(a.Policy), "\n") {
			fmt.Fprintf(w, "  %s\n", tlsrpt.Printable(strings.TrimRight(l, "\r")))
		}
	}
	if a.HostsBad != "" {
		fmt.Fprintf(w, "hosts: %s\n", a.HostsBad)
	}
	for _, h := range a.Hosts {
		if h.Matches == "" {
			fmt.Fprintf(w, "MX %s: not in the policy\n", h.Host)
		} else {
			fmt.Fprintf(w, "MX %s: matches %s\n", h.Host, h.Matches)
		}
	}
}
