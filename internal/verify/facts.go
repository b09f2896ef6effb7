package verify

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/authres"
	"waxwing/dkim"
	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/disposition"
	"waxwing/internal/foreign"
	"waxwing/message"
	"waxwing/spf"
)

// Facts is what was found out about who sent a message. It is kept with the message as JSON.
type Facts struct {
	IP         netip.Addr           `json:"ip"`
	HELO       string               `json:"helo"`
	Sender     string               `json:"sender"` // the reverse-path; "" is the null one
	IPRev      IPRev                `json:"iprev"`
	SPF        []SPF                `json:"spf"` // of the HELO name, and of the reverse-path's domain where it has one
	DKIM       []Signature          `json:"dkim,omitempty"`
	Signatures []dkim.Verification  `json:"-"` // the same as package dkim has them: a key may be for TLS reports alone
	ARC        *ARC                 `json:"arc,omitempty"`
	Author     string               `json:"author,omitempty"`     // why the author is not known; "" where it is
	DMARC      []DMARC              `json:"dmarc,omitempty"`      // one for each domain in From
	Forwarders []dns.Name           `json:"trusted_by,omitempty"` // listed names that are authenticated
	Listed     disposition.Trust    `json:"-"`                    // by whom
	Decision   disposition.Decision `json:"decision"`
	Late       bool                 `json:"out_of_time,omitempty"` // what was not known in time is a temperror
}

// IPRev is whether the client's address has a name that leads back to it (RFC 8601 §3).
type IPRev struct {
	Result string   `json:"result"` // pass, fail, temperror, permerror; none: nobody looked
	Name   dns.Name `json:"name,omitzero"`
	Secure bool     `json:"dnssec"` // every answer it rests on was Secure
}

// SPF is one identity's result (RFC 7208).
type SPF struct {
	Identity  string     `json:"identity"` // "helo" or "mailfrom"
	Domain    string     `json:"domain"`
	Result    spf.Result `json:"result"`
	Mechanism string     `json:"mechanism,omitempty"`
	Problem   string     `json:"problem,omitempty"`
	Secure    bool       `json:"dnssec"`
}

// Signature is one DKIM signature (RFC 6376).
type Signature struct {
	Domain     dns.Name    `json:"domain,omitzero"`
	Selector   string      `json:"selector,omitempty"`
	Algorithm  string      `json:"algorithm,omitempty"`
	Bits       int         `json:"bits,omitempty"`
	Result     dkim.Result `json:"result"`
	Problem    string      `json:"problem,omitempty"`
	BodyLength bool        `json:"body_length,omitempty"` // l=: its end may be anybody's
	Testing    bool        `json:"testing,omitempty"`
	Expires    time.Time   `json:"expires,omitzero"`    // x=
	Start      string      `json:"signature,omitempty"` // of b=
	Secure     bool        `json:"dnssec"`
}

// ARC is a chain (RFC 8617): noted, and decides nothing.
type ARC struct {
	Result  dkim.Result `json:"result"`
	Sets    int         `json:"sets"`
	Sealer  dns.Name    `json:"sealer,omitzero"` // of the newest set
	Problem string      `json:"problem,omitempty"`
	Secure  bool        `json:"dnssec"`
}

// DMARC is the result for one domain of the From field (RFC 9989).
type DMARC struct {
	From        dns.Name      `json:"from"`
	Result      dmarc.Result  `json:"result"`
	At          dns.Name      `json:"policy_domain,omitzero"`
	Policy      dmarc.Policy  `json:"policy,omitempty"`
	Apply       dmarc.Policy  `json:"apply,omitempty"` // in test mode a level below
	AlignedSPF  bool          `json:"aligned_spf"`
	AlignedDKIM []dns.Name    `json:"aligned_dkim,omitempty"`
	Record      *dmarc.Record `json:"-"` // nil without one; reports are made by it
	Problem     string        `json:"problem,omitempty"`
	Secure      bool          `json:"dnssec"`
}

// Authenticated are the domains that vouch for the message: of signatures that are valid,
// and the reverse-path's where SPF passed.
func (f *Facts) Authenticated() []dns.Name {
	var out []dns.Name
	for _, s := range f.DKIM {
		if s.Result == dkim.Pass && !slices.Contains(out, s.Domain) {
			out = append(out, s.Domain)
		}
	}
	for _, n := range f.SPFPassed() {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// SPFPassed is the reverse-path's domain where SPF passed, alone or none.
func (f *Facts) SPFPassed() (out []dns.Name) {
	for _, s := range f.SPF {
		if s.Identity == MailFrom && s.Result == spf.Pass {
			if n, err := dns.ParseName(s.Domain); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// Results are the facts for the header of the message (AUT-2, AUT-8).
func (f *Facts) Results(id string) authres.Results {
	r := authres.Results{ID: id}
	add := func(method, value, reason string, secure bool, properties ...authres.Property) {
		comment := "no dnssec"
		if secure {
			comment = "dnssec"
		}
		r.Results = append(r.Results, authres.Result{Method: method, Value: value, Reason: reason, Properties: properties, Comment: comment})
	}
	if f.IPRev.Result != "none" { // RFC 8601 §2.7.3 has no word for it
		add("iprev", f.IPRev.Result, "", f.IPRev.Secure, authres.Property{Type: "policy", Name: "iprev", Value: f.IP.String()})
	}
	for _, s := range f.SPF {
		p := authres.Property{Type: "smtp", Name: s.Identity, Value: s.Domain}
		if s.Identity == MailFrom && f.Sender != "" {
			p.Value = f.Sender
		}
		problem := s.Problem
		if s.Result == spf.None {
			problem = "" // that there is no record is said
		}
		add("spf", string(s.Result), problem, s.Secure, p)
	}
	if len(f.DKIM) == 0 {
		add("dkim", "none", "", false)
	}
	for _, s := range f.DKIM {
		add("dkim", string(s.Result), s.Problem, s.Secure, s.properties()...)
	}
	for _, d := range f.DMARC {
		add("dmarc", string(d.Result), d.Problem, d.Secure, d.properties()...)
	}
	if f.Author != "" {
		add("dmarc", "permerror", f.Author, false)
	}
	if f.ARC != nil {
		add("arc", string(f.ARC.Result), f.ARC.Problem, f.ARC.Secure, authres.Property{Type: "arc", Name: "chain", Value: strconv.Itoa(f.ARC.Sets)})
	}
	return r
}

// ReceivedSPF are the Received-SPF fields of a message that host has checked (AUT-2).
func (f *Facts) ReceivedSPF(host string) (out []byte) {
	for _, s := range f.SPF {
		r := spf.Received{Result: s.Result, Identity: s.Identity, Receiver: host, ClientIP: f.IP, Sender: f.Sender, HELO: f.HELO, Mechanism: s.Mechanism, Problem: s.Problem}
		out = append(out, message.Fold("Received-SPF", r.Value())...)
	}
	return out
}

// strongBits is the size from which an RSA key is not weak (RFC 8301 §3.2: signers should have as much).
const strongBits = 2048

// notes are what weakens a signature, whether it is valid or not (AUT-1).
func (s *Signature) notes() (out []string) {
	if s.Bits > 0 && s.Bits < strongBits {
		out = append(out, fmt.Sprintf("[an RSA key of %d bits]", s.Bits))
	}
	if s.BodyLength {
		out = append(out, "[its author lets others add to the body: l=]")
	}
	if s.Testing {
		out = append(out, "[the key is in test mode: t=y]")
	}
	if !s.Expires.IsZero() {
		out = append(out, "[valid until "+s.Expires.UTC().Format(time.RFC3339)+": x=]")
	}
	return out
}

// properties are those of RFC 8601 §2.7.1 and RFC 6008.
func (s *Signature) properties() []authres.Property {
	var out []authres.Property
	add := func(name, value string) {
		if value != "" {
			out = append(out, authres.Property{Type: "header", Name: name, Value: value})
		}
	}
	if !s.Domain.IsZero() {
		add("d", s.Domain.ASCII())
	}
	add("s", s.Selector)
	add("a", s.Algorithm)
	add("b", s.Start)
	return out
}

func (d *DMARC) properties() []authres.Property {
	out := []authres.Property{{Type: "header", Name: "from", Value: d.From.ASCII()}}
	if d.Apply != "" { // RFC 9989 §9.1: after the record's options have been processed
		out = append(out, authres.Property{Type: "policy", Name: "dmarc", Value: string(d.Apply)})
	}
	return out
}

// Why is the facts for people: one line each, the decision first.
func (f *Facts) Why() string {
	var b strings.Builder
	line := func(what string, words ...string) {
		b.WriteString(what + ":")
		for _, w := range words {
			if w != "" {
				b.WriteString(" " + foreign.Shown(w)) // much of it is the sender's
			}
		}
		b.WriteString("\n")
	}
	override := ""
	if f.Decision.Override != "" {
		override = "(" + string(f.Decision.Override) + ")"
	}
	line("decided", f.Decision.Action.String()+",", string(f.Decision.Word), override, "–", f.Decision.Word.Meaning())
	signatures := f.DKIM
	for _, x := range f.Results("").Results {
		words := []string{x.Value}
		for _, p := range x.Properties {
			words = append(words, p.Name+"="+p.Value)
		}
		if x.Reason != "" {
			words = append(words, "– "+x.Reason)
		}
		if x.Method == "dkim" && len(signatures) > 0 {
			words = append(words, signatures[0].notes()...)
			signatures = signatures[1:]
		}
		line(x.Method, append(words, "("+x.Comment+")")...)
	}
	return b.String()
}
