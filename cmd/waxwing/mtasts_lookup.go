package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/server"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// stsAnswer is what "mtasts lookup" finds, as -json prints it.
type stsAnswer struct {
	Domain   string    `json:"domain"`
	Record   string    `json:"record,omitempty"` // the TXT record, as published
	Security string    `json:"security"`         // of its answer
	ID       string    `json:"id,omitempty"`
	Policy   string    `json:"policy,omitempty"` // the file, as served
	Mode     string    `json:"mode,omitempty"`
	MX       []string  `json:"mx,omitempty"`
	MaxAge   int64     `json:"max_age,omitempty"` // seconds
	Word     string    `json:"word,omitempty"`    // why there is no policy
	Failure  string    `json:"failure,omitempty"`
	Hosts    []stsHost `json:"hosts"`
	HostsBad string    `json:"hosts_failure,omitempty"`
	OK       bool      `json:"ok"` // there is a policy, and it lists every host
}

// stsHost is one MX host of the domain.
type stsHost struct {
	Host    string `json:"host"`
	Matches string `json:"matches,omitempty"` // the pattern; "": none
}

// lookupPolicy looks a domain's MTA-STS up as a stranger would, past the cache.
func lookupPolicy(ctx context.Context, e env, config string, domain dns.Name, asJSON bool) error {
	o, err := loadOptions(config)
	if err != nil {
		return err
	}
	look, err := server.Looking(o, 0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	a := findPolicy(ctx, look, domain)
	if asJSON {
		err = printJSON(e.stdout, a)
	} else {
		a.print(e.stdout)
	}
	if err == nil {
		err = a.trouble()
	}
	return err
}

// trouble is why the domain is not protected as it should be; nil: it is.
func (a stsAnswer) trouble() error {
	switch {
	case a.OK:
		return nil
	case a.Word == string(mtasts.NoRecord):
		return fmt.Errorf("%s has no MTA-STS", a.Domain)
	case a.Word != "":
		return fmt.Errorf("the MTA-STS of %s cannot be used: %s", a.Domain, a.Word)
	case a.HostsBad != "":
		return fmt.Errorf("the policy of %s cannot be held against its hosts: %s", a.Domain, a.HostsBad)
	}
	return fmt.Errorf("the policy of %s does not list every host", a.Domain)
}

func findPolicy(ctx context.Context, look *server.Look, domain dns.Name) stsAnswer {
	a := stsAnswer{Domain: domain.ASCII(), Hosts: []stsHost{}}
	txt, record, failed := mtasts.LookupRecord(ctx, look.DNS, domain)
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
		policy, raw, failed = look.Fetcher.Fetch(ctx, domain)
		a.Policy = string(raw)
	}
	if failed != nil {
		a.Word, a.Failure = string(failed.Word), failed.Detail
		return a
	}
	a.Mode, a.MX, a.MaxAge = string(policy.Mode), policy.Patterns(), int64(policy.MaxAge/time.Second)
	dest := look.Finder.Find(ctx, delivery.RecipientDomain{Name: domain})
	if dest.Fail != nil {
		a.HostsBad = dest.Fail.Text
	}
	a.OK = dest.Fail == nil
	for _, h := range dest.Hosts {
		x := stsHost{Host: h.Name.ASCII()}
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

func (a stsAnswer) print(w io.Writer) {
	if a.Record != "" {
		fmt.Fprintf(w, "_mta-sts.%s TXT (%s): %q\n", a.Domain, a.Security, a.Record)
	}
	if a.Word != "" {
		what := "its MTA-STS cannot be used"
		if a.Word == string(mtasts.NoRecord) {
			what = "it has no MTA-STS"
		}
		fmt.Fprintf(w, "%s: %s: %s: %s\n", a.Domain, what, a.Word, a.Failure)
	}
	if a.Policy != "" {
		fmt.Fprintf(w, "https://mta-sts.%s/.well-known/mta-sts.txt:\n", a.Domain)
		for _, l := range strings.Split(strings.TrimSpace(a.Policy), "\n") {
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
