package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/smtp"
)

// Kind is how a transport carries mail (TRA-1).
type Kind string

// The kinds.
const (
	Direct     Kind = "direct"     // to the hosts that the recipient's domain names in DNS
	Smarthost  Kind = "smarthost"  // all to one host, port 25
	Submission Kind = "submission" // to one host's submission service: 587 with STARTTLS, 465 with TLS from the start
	SOCKS5     Kind = "socks5"     // direct delivery through a SOCKS5 proxy
	Fail       Kind = "fail"       // answered with a code and a text, sent nowhere
	Local      Kind = "local"      // into mailboxes here
	LMTP       Kind = "lmtp"       // into mailboxes that another program keeps (RFC 2033)
)

// Kinds are all kinds, in the order of the documentation.
func Kinds() []Kind { return []Kind{Direct, Smarthost, Submission, SOCKS5, Fail, Local, LMTP} }

// The names of the transports that always exist and cannot be changed.
const (
	DirectName = "direct"
	LocalName  = "local"
)

// Family is the address families that a transport connects over.
type Family string

// The families. The zero value is both.
const (
	BothFamilies Family = ""
	OnlyIPv4     Family = "ipv4"
	OnlyIPv6     Family = "ipv6"
)

// Allows reports whether an address is of the family.
func (f Family) Allows(a netip.Addr) bool {
	switch f {
	case OnlyIPv4:
		return a.Unmap().Is4()
	case OnlyIPv6:
		return !a.Unmap().Is4()
	}
	return true
}

// Security is the least security of a session with a smarthost or submission
// service; the words are those of delivery.Minimum. It has nothing to do with
// what recipient domains publish: the host is the operator's own choice.
type Security string

// The securities. The zero value is SecurityVerified (TRA-3).
const (
	SecurityVerified Security = "verified" // DANE where the host's DNSSEC gives it, else PKIX
	SecurityDANE     Security = "dane"     // DANE, or the mail waits
	SecurityTLS      Security = "tls"      // TLS, whoever answers
	SecurityAny      Security = "any"      // TLS where it works, else plaintext
)

// Minimum is the security as policy knows it.
func (s Security) Minimum() delivery.Minimum {
	switch s {
	case SecurityDANE:
		return delivery.MinDANE
	case SecurityTLS:
		return delivery.MinTLS
	case SecurityAny:
		return delivery.MinAny
	}
	return delivery.MinVerified
}

// Verified reports that the host's identity is checked.
func (s Security) Verified() bool { return s.Minimum() >= delivery.MinVerified }

// Host is a host that the operator names: a name, an address, or a unix socket of this
// machine. At most one field is set.
type Host struct {
	Name   dns.Name   `json:"name,omitzero"`
	Addr   netip.Addr `json:"addr,omitzero"`
	Socket string     `json:"socket,omitempty"` // its path; of kind lmtp alone
}

// ParseHost parses a host name, an IP address, in brackets or without, or the path of a socket.
func ParseHost(s string) (Host, error) {
	if strings.HasPrefix(s, "/") {
		return Host{Socket: s}, nil
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil && a.Zone() == "" {
		return Host{Addr: a.Unmap()}, nil
	}
	n, err := dns.ParseName(s)
	return Host{Name: n}, err
}

// IsZero reports no host.
func (h Host) IsZero() bool { return h.Name.IsZero() && !h.Addr.IsValid() && h.Socket == "" }

func (h Host) String() string {
	if h.Socket != "" {
		return h.Socket
	}
	if h.Addr.IsValid() {
		return h.Addr.String()
	}
	return h.Name.ASCII()
}

// Transport is one way out, as the operator set it up. Fields that do not
// belong to its kind are zero. It is comparable by Equal.
type Transport struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`

	// EHLO is the name to greet with; zero: the server's.
	EHLO dns.Name `json:"ehlo,omitzero"`
	// Family and Sources: of direct, smarthost and submission. Sources are
	// addresses of this machine to connect from, at most one a family.
	Family  Family       `json:"family,omitempty"`
	Sources []netip.Addr `json:"sources,omitempty"`

	// Of smarthost and submission.
	Host     Host     `json:"host,omitzero"`
	Port     uint16   `json:"port,omitempty"`     // 0: 25, or 587; 465 means TLS from the start
	Implicit bool     `json:"implicit,omitempty"` // TLS from the start on a port other than 465
	Security Security `json:"security,omitempty"`
	User     string   `json:"user,omitempty"`
	Password Secret   `json:"-"`
	// Mechanisms are the SASL mechanisms allowed; none: the strongest offered (TRA-2).
	Mechanisms []string `json:"mechanisms,omitempty"`

	// Of socks5.
	Proxy         string       `json:"proxy,omitempty"` // host:port
	ProxyUser     string       `json:"proxy_user,omitempty"`
	ProxyPassword Secret       `json:"-"`
	Public        []netip.Addr `json:"public,omitempty"` // where mail then comes from, for the SPF check

	// Of fail.
	Code     int           `json:"code,omitempty"` // 400 to 599
	Enhanced smtp.Enhanced `json:"enhanced,omitzero"`
	Text     string        `json:"text,omitempty"`
}

// Relays reports a transport that gives all mail to one host of the operator's choice.
func (t *Transport) Relays() bool {
	return t.Kind == Smarthost || t.Kind == Submission || t.Kind == LMTP
}

// PortNumber is the port to connect to.
func (t *Transport) PortNumber() uint16 {
	switch {
	case t.Port != 0:
		return t.Port
	case t.Kind == Submission && t.Implicit:
		return 465
	case t.Kind == Submission:
		return 587
	case t.Kind == LMTP:
		return 24
	}
	return 25
}

// Floor is the least security of a session with the host: with a submission
// service, TLS at least (RFC 8314 §3).
func (t *Transport) Floor() delivery.Minimum {
	if t.Host.Socket != "" {
		return delivery.MinAny // nobody is in between
	}
	if t.Kind == Submission {
		return max(t.Security.Minimum(), delivery.MinTLS)
	}
	return t.Security.Minimum()
}

// ImplicitTLS reports that TLS begins with the first octet (RFC 8314 §3.3).
func (t *Transport) ImplicitTLS() bool {
	return t.Kind == Submission && (t.Implicit || t.Port == 465)
}

// Equal reports that nothing differs, secrets included.
func (t *Transport) Equal(o *Transport) bool {
	a, b := *t, *o
	if !slices.Equal(a.Sources, b.Sources) || !slices.Equal(a.Mechanisms, b.Mechanisms) || !slices.Equal(a.Public, b.Public) {
		return false
	}
	return a.Name == b.Name && a.Kind == b.Kind && a.EHLO == b.EHLO && a.Family == b.Family && a.Host == b.Host &&
		a.Port == b.Port && a.Implicit == b.Implicit && a.Security == b.Security && a.User == b.User && a.Password == b.Password &&
		a.Proxy == b.Proxy && a.ProxyUser == b.ProxyUser && a.ProxyPassword == b.ProxyPassword &&
		a.Code == b.Code && a.Enhanced == b.Enhanced && a.Text == b.Text
}

// mechanisms that a transport may name.
var mechanisms = []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"}

// What a transport holds is bounded, in octets: free text, and the proxy's host.
const (
	maxText = 500
	maxHost = 255
)

// Check finds everything that is wrong with t; nil if nothing is.
func (t *Transport) Check() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := CheckName(t.Name); err != nil {
		errs = append(errs, err)
	}
	if !slices.Contains(Kinds(), t.Kind) {
		add("unknown kind %q: one of direct, smarthost, submission, socks5, fail, local, lmtp", t.Kind)
		return errors.Join(errs...)
	}
	t.checkFamily(add)
	t.checkRelay(add)
	t.checkProxy(add)
	t.checkFail(add)
	if !t.EHLO.IsZero() && (t.Kind == Fail || t.Kind == Local) {
		add("a transport of kind %s greets nobody: leave out the EHLO name", t.Kind)
	}
	return errors.Join(errs...)
}

// CheckName refuses names that could not be typed or shown.
func CheckName(name string) error {
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return !ok(r) }) {
		return fmt.Errorf("the name %q must have 1 to 64 characters: a to z, 0 to 9, and - . _", name)
	}
	return nil
}

type adder func(format string, args ...any)

func (t *Transport) checkFamily(add adder) {
	connects := t.Kind == Direct || t.Relays()
	switch t.Family {
	case BothFamilies, OnlyIPv4, OnlyIPv6:
	default:
		add("unknown address family %q: ipv4 or ipv6; leave it out for both", t.Family)
	}
	if !connects && (t.Family != BothFamilies || len(t.Sources) > 0) {
		add("a transport of kind %s has neither address family nor source address of its own", t.Kind)
	}
	seen := map[bool]bool{}
	for _, a := range t.Sources {
		switch four := a.Unmap().Is4(); {
		case !a.IsValid() || a.IsUnspecified() || a.IsMulticast():
			add("%s is no address to connect from", a)
		case !t.Family.Allows(a):
			add("the source address %s is not of the family %s", a, t.Family)
		case seen[four]:
			add("more than one source address of one family: give at most one IPv4 and one IPv6 address")
		default:
			seen[four] = true
		}
	}
}

func (t *Transport) checkRelay(add adder) {
	if !t.Relays() {
		if !t.Host.IsZero() || t.Port != 0 || t.Implicit || t.Security != "" || t.User != "" || t.Password != "" || len(t.Mechanisms) > 0 {
			add("host, port, security, user, password and mechanisms belong to the kinds smarthost and submission")
		}
		return
	}
	if t.Host.IsZero() {
		add("needs a host")
	}
	t.checkLMTP(add)
	if !slices.Contains([]Security{"", SecurityVerified, SecurityDANE, SecurityTLS, SecurityAny}, t.Security) {
		add("unknown security %q: verified, dane, tls or any", t.Security)
	}
	if t.Security.Verified() && t.Host.Addr.IsValid() {
		add("the address %s has no name that its certificate could be verified for: name the host, or lower the security to tls", t.Host)
	}
	if t.Kind != Submission && (t.Implicit || t.Port == 465) {
		add("TLS from the start belongs to the kind submission")
	}
	// RFC 8314 §3: submission without TLS would show the password to anybody.
	if t.Kind == Submission && t.Security == SecurityAny {
		add("the kind submission always uses TLS: security is verified, dane or tls")
	}
	if t.Family == OnlyIPv4 && t.Host.Addr.Is6() || t.Family == OnlyIPv6 && t.Host.Addr.Is4() {
		add("the host %s is not of the family %s", t.Host, t.Family)
	}
	t.checkLogin(add)
}

// maxSocket is how long the path of a unix socket can be, in octets.
const maxSocket = 100

func (t *Transport) checkLMTP(add adder) {
	if t.Kind == LMTP && t.Port == 25 {
		add("LMTP is not spoken on port 25 (RFC 2033, section 5)")
	}
	if t.Kind == LMTP && t.User != "" {
		add("nobody logs in by LMTP: leave out user and password")
	}
	if t.Host.Socket == "" {
		return
	}
	if t.Kind != LMTP {
		add("the socket %s belongs to the kind lmtp", t.Host)
	}
	if len(t.Host.Socket) > maxSocket || strings.ContainsFunc(t.Host.Socket, control) {
		add("the path of a socket has at most %d octets and no control characters", maxSocket)
	}
	if t.Port != 0 || t.Security != "" || t.Family != BothFamilies || len(t.Sources) > 0 {
		add("a socket of this machine has neither port, security, address family nor source address")
	}
}

func (t *Transport) checkLogin(add adder) {
	if (t.User == "") != (t.Password == "") {
		add("user and password belong together")
	}
	if len(t.Mechanisms) > 0 && t.User == "" {
		add("mechanisms need a user and a password")
	}
	for _, m := range t.Mechanisms {
		if !slices.Contains(mechanisms, m) {
			add("unknown mechanism %q: %s", m, strings.Join(mechanisms, ", "))
		}
		// TRA-2: a password in clear goes to nobody whose identity is not checked.
		if (m == "PLAIN" || m == "LOGIN") && !t.Security.Verified() {
			add("%s sends the password in clear and needs a verified host: raise the security to verified", m)
		}
	}
	for _, s := range []string{t.User, string(t.Password)} {
		if len(s) > maxText || strings.ContainsFunc(s, control) {
			add("user and password have at most %d octets and no control characters", maxText)
			break
		}
	}
}

func (t *Transport) checkProxy(add adder) {
	if t.Kind != SOCKS5 {
		if t.Proxy != "" || t.ProxyUser != "" || t.ProxyPassword != "" || len(t.Public) > 0 {
			add("proxy, its user and password, and public addresses belong to the kind socks5")
		}
		return
	}
	if !hostAndPort(t.Proxy) {
		add("the proxy %q must be written host:port", t.Proxy)
	}
	if (t.ProxyUser == "") != (t.ProxyPassword == "") {
		add("the proxy's user and password belong together")
	}
	if len(t.ProxyUser) > 255 || len(t.ProxyPassword) > 255 { // RFC 1929 §2
		add("the proxy's user and password have at most 255 octets")
	}
	if t.EHLO.IsZero() {
		add("needs an EHLO name of its own: the name that leads to the proxy's public address")
	}
}

// hostAndPort reports host:port, the host in brackets if it is an IPv6 address.
func hostAndPort(s string) bool {
	i := strings.LastIndexByte(s, ':')
	if n, err := strconv.ParseUint(s[i+1:], 10, 16); i < 1 || err != nil || n == 0 {
		return false
	}
	host := s[:i]
	if len(host) > maxHost {
		return false
	}
	if inner, found := strings.CutPrefix(host, "["); found {
		inner, closed := strings.CutSuffix(inner, "]")
		return closed && inner != ""
	}
	return !strings.ContainsAny(host, ":/ ")
}

func (t *Transport) checkFail(add adder) {
	if t.Kind != Fail {
		if t.Code != 0 || t.Text != "" || !t.Enhanced.IsZero() {
			add("code and text belong to the kind fail")
		}
		return
	}
	if t.Code < 400 || t.Code > 599 {
		add("the code %d must be 400 to 499 (the mail waits) or 500 to 599 (it is returned)", t.Code)
	}
	if !t.Enhanced.IsZero() && t.Enhanced.Class != t.Code/100 {
		add("the enhanced code %s does not go with %d", t.Enhanced, t.Code)
	}
	if t.Text == "" || len(t.Text) > maxText || strings.ContainsFunc(t.Text, control) {
		add("needs a text that tells the sender why, at most %d octets on one line", maxText)
	}
}

func control(r rune) bool { return r < ' ' || r == 0x7f }
