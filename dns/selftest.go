package dns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	wire "github.com/miekg/dns"
)

// SelfTestNames are what the self-test asks for (DNS-6). The check of a zero
// Name is left out.
type SelfTestNames struct {
	Signed Name // exists, and is rightly signed: its A lookup, even without records, must carry AD
	Bogus  Name // has a record set whose signature is wrong (A, AAAA, TXT or MX): must give SERVFAIL for it
	Large  Name // a zone: its DNSKEY answer with signatures must come over TCP
}

// DefaultSelfTestNames are names on the Internet that are kept for this.
func DefaultSelfTestNames() SelfTestNames {
	return SelfTestNames{Signed: MustParse("iana.org"), Bogus: MustParse("dnssec-failed.org"), Large: MustParse("org")}
}

// SelfTestResult is what the self-test found, a ServerTest for each server.
type SelfTestResult struct {
	Servers []ServerTest `json:"servers"`
	Source  Source       `json:"source"`        // whose word on DNSSEC counts
	Why     string       `json:"why,omitempty"` // own validation is not at work
}

// Source is whose word on DNSSEC counts (VAL-2).
type Source string

// The sources of trust.
const (
	SourceOwn      Source = "validate" // own validation
	SourceResolver Source = "trust"    // the AD bit of a resolver that is trusted and passed its tests
	SourceNone     Source = "none"     // nobody's: DANE is off
)

// Source is whose word on DNSSEC counts now, and, where it is not own validation, why that is
// not at work ("" where it is not wanted). It asks only where that is not known yet.
func (c *Client) Source(ctx context.Context) (s Source, why string) {
	if c.Validator != nil {
		if c.Validator.Ready(ctx) {
			return SourceOwn, ""
		}
		why = c.Validator.Why()
	}
	return c.Trust(), why
}

// Trust is whose word counts where own validation is not at work.
func (c *Client) Trust() Source {
	for _, s := range c.Servers {
		if c.trusts(s.Addr) {
			return SourceResolver
		}
	}
	return SourceNone
}

// String is the source in words.
func (r SelfTestResult) String() string {
	why := ""
	if r.Why != "" {
		why = "; Waxwing does not validate itself: " + r.Why
	}
	switch r.Source {
	case SourceOwn:
		return "DNSSEC: Waxwing validates itself"
	case SourceResolver:
		return "DNSSEC: a trusted resolver validates" + why
	}
	return "DNSSEC: nobody validates, so that there is no DANE" + why + "; use a resolver that passes DNSSEC records, such as unbound on this machine"
}

// DANE reports whether DANE can be relied on: by own validation, or by some server that is trusted and passed everything.
func (r SelfTestResult) DANE() bool { return r.Source == SourceOwn || r.passed() }

func (r SelfTestResult) passed() bool {
	for _, s := range r.Servers {
		if s.OK() {
			return true
		}
	}
	return false
}

// ServerTest is the result for one server. An empty string is a passed check;
// the others say in words what went wrong and what to do.
type ServerTest struct {
	Server     Server `json:"server"`
	Distrusted bool   `json:"distrusted"` // gave data for the bogus name: none of its answers counts as Secure now
	Signed     string `json:"signed"`
	Bogus      string `json:"bogus"`
	Large      string `json:"large"`
}

// OK reports whether the server is trusted and passed every check.
func (s ServerTest) OK() bool {
	return s.Server.Trusted && !s.Distrusted && s.Signed == "" && s.Bogus == "" && s.Large == ""
}

// String is the result in one line.
func (s ServerTest) String() string {
	var bad []string
	if !s.Server.Trusted {
		bad = append(bad, "not trusted: it is neither on this machine nor named as trusted, so DANE is not used with it")
	}
	for _, p := range []string{s.Signed, s.Bogus, s.Large} {
		if p != "" {
			bad = append(bad, p)
		}
	}
	if len(bad) == 0 {
		return s.Server.Addr + ": ok"
	}
	return s.Server.Addr + ": " + strings.Join(bad, "; ")
}

// SelfTest asks every server for names whose DNSSEC state is known. It informs
// and changes nothing, with one exception: a server that returns data for the
// bogus name does not validate, and none of its answers counts as Secure until
// a later test sees it refuse the name (DNS-6).
func (c *Client) SelfTest(ctx context.Context, names SelfTestNames) SelfTestResult {
	var out SelfTestResult
	for _, s := range c.Servers {
		t := ServerTest{Server: s}
		t.Signed = c.testSigned(ctx, s, names.Signed)
		var found trustFinding
		t.Bogus, found = c.testBogus(ctx, s, names.Bogus)
		t.Large = c.testLarge(ctx, s, names.Large)
		c.change(s.Addr, func(st *serverState) {
			if found != trustUnknown {
				st.distrusted = found == trustLost
			}
			t.Distrusted = st.distrusted
		})
		out.Servers = append(out.Servers, t)
	}
	out.Source, out.Why = c.Source(ctx)
	if out.Source == SourceResolver && !out.passed() {
		out.Source = SourceNone
	}
	return out
}

func (c *Client) testSigned(ctx context.Context, s Server, name Name) string {
	if name.IsZero() {
		return ""
	}
	m, err := c.exchange(ctx, s, question{name, wire.TypeA}, flags{edns: true})
	switch {
	case err != nil:
		return fmt.Sprintf("no answer for the signed name %s: %v", name, err)
	case m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError:
		return fmt.Sprintf("%s for the signed name %s: the resolver or its way to the root does not work", wire.RcodeToString[m.Rcode], name)
	case !m.AuthenticatedData:
		return fmt.Sprintf("no AD bit for the signed name %s: the resolver does not validate, turn DNSSEC validation on or use another", name)
	}
	return ""
}

// trustFinding is what the answer for the bogus name says about a server.
type trustFinding uint8

const (
	trustUnknown trustFinding = iota // no answer, or the name is blocked: nothing changes
	trustLost
	trustKept
)

func (c *Client) testBogus(ctx context.Context, s Server, name Name) (string, trustFinding) {
	if name.IsZero() {
		return "", trustUnknown
	}
	answers, rcode := make([]bogusAnswer, 0, len(bogusTypes)), 0
	var lost error // a type that is not answered takes nothing from what the others prove
	for _, t := range bogusTypes {
		m, err := c.exchange(ctx, s, question{name, t}, flags{edns: true})
		if err != nil {
			lost = err
			continue
		}
		answers, rcode = append(answers, readBogus(m, t)), m.Rcode
	}
	found := trustOf(answers)
	if found != trustKept && lost != nil {
		return fmt.Sprintf("no answer for the bogus name %s: %v", name, lost), trustUnknown
	}
	switch found {
	case trustKept:
		return "", found
	case trustLost:
		return fmt.Sprintf("it returns data for the bogus name %s: it does not validate, and none of its answers counts as secure", name), found
	}
	return fmt.Sprintf("%s without data for the bogus name %s: it seems to be blocked, the test says nothing", wire.RcodeToString[rcode], name), found
}

// bogusTypes are what the bogus name is asked for (DNS-9): the bad signature may be
// that of one record set alone.
var bogusTypes = [...]uint16{wire.TypeA, wire.TypeAAAA, wire.TypeTXT, wire.TypeMX}

// bogusAnswer is what a server says of one type of the bogus name.
type bogusAnswer uint8

const (
	bogusNothing bogusAnswer = iota // no data, or the name is blocked
	bogusRefused                    // SERVFAIL, as a server that validates gives
	bogusData
)

func readBogus(m *wire.Msg, qtype uint16) bogusAnswer {
	switch {
	case m.Rcode == wire.RcodeServerFailure:
		return bogusRefused
	case m.Rcode == wire.RcodeSuccess && hasData(m.Answer, qtype):
		return bogusData
	}
	return bogusNothing
}

// trustOf: one set refused proves that the server validates, whatever the other
// types give. Without that, data proves that it does not.
func trustOf(answers []bogusAnswer) trustFinding {
	switch {
	case slices.Contains(answers, bogusRefused):
		return trustKept
	case slices.Contains(answers, bogusData):
		return trustLost
	}
	return trustUnknown
}

// hasData reports real data of a type: a filter that blocks a name often answers
// with the unspecified address.
func hasData(answer []wire.RR, qtype uint16) bool {
	for _, rr := range answer {
		if a, isAddr := addrOf(rr); rr.Header().Rrtype == qtype && (!isAddr || !a.IsUnspecified()) {
			return true
		}
	}
	return false
}

func (c *Client) testLarge(ctx context.Context, s Server, name Name) string {
	if name.IsZero() {
		return ""
	}
	m, err := c.exchange(ctx, s, question{name, wire.TypeDNSKEY}, flags{edns: true, do: true, tcp: true})
	if err == nil && m.Rcode != wire.RcodeSuccess {
		err = errors.New(wire.RcodeToString[m.Rcode])
	}
	if err == nil && len(m.Answer) == 0 {
		err = errors.New("no records")
	}
	if err != nil {
		return fmt.Sprintf("no DNSKEY answer for %s over TCP: %v; let TCP to port 53 through", name, err)
	}
	return ""
}
