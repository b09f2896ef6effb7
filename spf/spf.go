package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"waxwing/dns"
)

// Result is the result of a check (RFC 7208 §2.6).
type Result string

// The results.
const (
	None      Result = "none"
	Neutral   Result = "neutral"
	Pass      Result = "pass"
	Fail      Result = "fail"
	SoftFail  Result = "softfail"
	TempError Result = "temperror"
	PermError Result = "permerror"
)

// The limits of RFC 7208 §4.6.4, and on what a check may take or return.
const (
	maxLookups     = 10
	maxVoid        = 2
	maxHosts       = 10 // of one mx mechanism, or of one reverse lookup
	maxDepth       = maxLookups + 1
	maxExplanation = 500 // octets
	timeout        = 20 * time.Second
)

// Checker checks hosts. Its fields are not changed once it is in use; it is
// safe for concurrent use.
type Checker struct {
	Resolver dns.Resolver
	Receiver string           // for the macro "r"; "": unknown
	Now      func() time.Time // for the macro "t"
}

// Query is what is checked: may IP use the name that Helo or MailFrom gives?
type Query struct {
	IP       netip.Addr
	Helo     string // as given in EHLO
	MailFrom string // reverse-path without brackets; "": the HELO identity is checked (RFC 7208 §2.4)
}

// Outcome is what a check came to.
type Outcome struct {
	Result Result
	// Domain is the domain that was checked; "" where there is none to check.
	Domain string
	// Mechanism is the term that decided, as written in the record at At: "-all",
	// "redirect=…" never; "" where none did (no record, an error, no match).
	Mechanism string
	At        string
	// Problem says in words what is wrong, for None, TempError and PermError.
	Problem string
	// Explanation is the domain owner's text for a Fail (RFC 7208 §6.2): printable
	// ASCII, at most 500 octets; "" without one. It is a stranger's text.
	Explanation string
	Secure      bool // every answer that the result rests on was Secure
	Lookups     int  // terms that asked DNS
	Void        int  // lookups without an answer
}

// Check evaluates the record of the query's domain. It takes 20 s at most; what
// is not known by then is a TempError.
func (c *Checker) Check(ctx context.Context, q Query) Outcome {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	local, domain := identity(q)
	e := &evaluation{c: c, ctx: ctx, q: q, ip: q.IP.Unmap().WithZone(""), local: local, sender: domain, secure: true}
	out := Outcome{Domain: domain}
	name, err := multiLabel(domain)
	if err != nil {
		out.Result, out.Problem = None, err.Error()
		return out
	}
	v := e.checkHost(name, 0)
	if v.result == Fail && v.record != nil && v.record.Exp != nil {
		out.Explanation = e.explain(v.record.Exp, v.at)
	}
	out.Result, out.Mechanism, out.Problem = v.result, v.term, v.problem
	out.At = v.at.ASCII()
	out.Secure = e.secure
	out.Lookups, out.Void = e.lookups, e.void
	return out
}

// identity splits the reverse-path; without one the HELO name is checked with
// the local part postmaster (RFC 7208 §2.4, §4.3).
func identity(q Query) (local, domain string) {
	domain = q.Helo
	if i := strings.LastIndexByte(q.MailFrom, '@'); i >= 0 {
		local, domain = q.MailFrom[:i], q.MailFrom[i+1:]
	} else if q.MailFrom != "" {
		domain = q.MailFrom
	}
	if local == "" {
		local = "postmaster"
	}
	return local, domain
}

// multiLabel is RFC 7208 §4.3: a domain to be checked is a name of at least two labels.
func multiLabel(s string) (dns.Name, error) {
	n, err := dns.ParseLax(s)
	if err != nil {
		return n, err
	}
	if n.Parent().IsZero() {
		return dns.Name{}, fmt.Errorf("%q is no domain of several labels", s)
	}
	return n, nil
}

// evaluation is one check under way.
type evaluation struct {
	c       *Checker
	ctx     context.Context
	q       Query
	ip      netip.Addr
	local   string
	sender  string // the domain of the identity
	secure  bool
	lookups int
	void    int
	names   []dns.Name // validated names of ip, once asked for
	named   bool
}

// ruling is what one record came to.
type ruling struct {
	result  Result
	term    string // that decided
	at      dns.Name
	record  *Record // whose exp counts
	problem string
}

func (e *evaluation) ruling(r Result, at dns.Name, problem string) ruling {
	return ruling{result: r, at: at, problem: problem}
}

// stop is an error that ends the whole check.
type stop struct {
	result Result
	text   string
}

func (s *stop) Error() string { return s.text }

func permanent(format string, args ...any) error {
	return &stop{PermError, fmt.Sprintf(format, args...)}
}

// checkHost is check_host() of RFC 7208 §4.
func (e *evaluation) checkHost(domain dns.Name, depth int) ruling {
	record, v := e.record(domain)
	if record == nil {
		return v
	}
	if depth > maxDepth { // the limit of lookups comes first; this is for the reader
		return e.ruling(PermError, domain, "records include each other too deeply")
	}
	for i := range record.Terms {
		t := &record.Terms[i]
		match, err := e.match(t, domain, depth)
		var s *stop
		switch {
		case errors.As(err, &s):
			return e.ruling(s.result, domain, s.text)
		case err != nil:
			return e.ruling(TempError, domain, err.Error())
		case match:
			return ruling{result: t.Qualifier, term: t.Text, at: domain, record: record}
		}
	}
	if record.Redirect == nil {
		return ruling{result: Neutral, at: domain, record: record}
	}
	return e.redirect(record.Redirect, domain, depth)
}

// redirect is RFC 7208 §6.1.
func (e *evaluation) redirect(to Macro, domain dns.Name, depth int) ruling {
	if err := e.count(); err != nil {
		return e.ruling(PermError, domain, err.Error())
	}
	target, ok, err := e.target(to, domain)
	var s *stop
	switch {
	case errors.As(err, &s):
		return e.ruling(s.result, domain, s.text)
	case err != nil:
		return e.ruling(TempError, domain, err.Error())
	case !ok:
		return e.ruling(PermError, domain, "redirect leads to what is no domain name")
	}
	v := e.checkHost(target, depth+1)
	if v.result == None {
		return e.ruling(PermError, domain, fmt.Sprintf("redirect leads to %s, which has no SPF record", target))
	}
	return v
}

// record fetches and parses the record of a domain (RFC 7208 §4.4 to §4.6). A
// nil record comes with the ruling.
func (e *evaluation) record(domain dns.Name) (*Record, ruling) {
	a, err := e.c.Resolver.LookupTXT(e.ctx, domain)
	if err != nil {
		return nil, e.ruling(TempError, domain, err.Error())
	}
	e.rests(a.Security)
	var found []string
	for _, text := range a.Records {
		if isRecord(text) {
			found = append(found, text)
		}
	}
	switch {
	case len(found) == 0:
		return nil, e.ruling(None, domain, fmt.Sprintf("%s has no SPF record", domain))
	case len(found) > 1:
		return nil, e.ruling(PermError, domain, fmt.Sprintf("%s has %d SPF records", domain, len(found)))
	}
	r, err := Parse(found[0])
	if err != nil {
		return nil, e.ruling(PermError, domain, fmt.Sprintf("the SPF record of %s: %v", domain, err))
	}
	return r, ruling{}
}

// rests notes that the result rests on an answer.
func (e *evaluation) rests(s dns.Security) {
	if s != dns.Secure {
		e.secure = false
	}
}

// count counts a term that asks DNS (RFC 7208 §4.6.4).
func (e *evaluation) count() error {
	if e.lookups++; e.lookups > maxLookups {
		return permanent("more than %d terms that need DNS lookups", maxLookups)
	}
	return nil
}

// noted counts an answer without records (RFC 7208 §4.6.4).
func noted[T any](e *evaluation, a dns.Answer[T], err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	e.rests(a.Security)
	if len(a.Records) == 0 {
		if e.void++; e.void > maxVoid {
			return nil, permanent("more than %d lookups without an answer", maxVoid)
		}
	}
	return a.Records, nil
}

// addresses looks up the addresses of a host in the family of the client.
func (e *evaluation) addresses(host dns.Name) ([]netip.Addr, error) {
	if e.ip.Is4() {
		a, err := e.c.Resolver.LookupA(e.ctx, host)
		return noted(e, a, err)
	}
	a, err := e.c.Resolver.LookupAAAA(e.ctx, host)
	return noted(e, a, err)
}
