package tlsrpt

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"waxwing/internal/foreign"
	"waxwing/message"
)

// Record is a parsed _smtp._tls TXT record (RFC 8460 §3).
type Record struct {
	// RUA are the addresses for reports, as written, only the kinds that can be
	// sent to: mailto: and https:. It may be empty, see Unsupported.
	RUA         []string
	Unsupported []string    // well-formed addresses of other kinds
	Faulty      []string    // why an address was passed over, in words, each naming it (RPT-24)
	Extensions  []Extension // unknown fields, in order
}

// Extension is a field this package does not know, and its value.
type Extension struct{ Name, Value string }

// ErrNoRecord: none of the texts is a TLSRPT record.
var ErrNoRecord = errors.New("no TLSRPT record (a TXT record that begins with v=TLSRPTv1;)")

// ErrMultiple: more than one record, which counts as none (RFC 8460 §3).
var ErrMultiple = errors.New("more than one TLSRPT record; publish exactly one")

// SyntaxError is a record that breaks the grammar of RFC 8460 §3.
type SyntaxError struct{ Detail string }

func (e *SyntaxError) Error() string { return "TLSRPT record: " + e.Detail }

func syntaxf(format string, args ...any) error {
	return &SyntaxError{Detail: fmt.Sprintf(format, args...)}
}

const (
	version = "v=TLSRPTv1"
	// A TXT record holds at most 65,535 octets; what is read here is far from it.
	maxRecord = 8192
	maxRUA    = 64
)

// ParseRecord finds the one TLSRPT record among the texts of a name, the
// strings of each TXT record joined, and parses it. The error is ErrNoRecord,
// ErrMultiple or a *SyntaxError.
func ParseRecord(txts []string) (*Record, error) {
	var found []string
	for _, t := range txts {
		if rest, ok := strings.CutPrefix(t, version); ok && strings.HasPrefix(trimWSP(rest), ";") {
			found = append(found, rest)
		}
	}
	switch {
	case len(found) == 0:
		return nil, ErrNoRecord
	case len(found) > 1:
		return nil, ErrMultiple
	case len(found[0]) > maxRecord:
		return nil, syntaxf("longer than %d octets", maxRecord)
	}
	return parseFields(trimWSP(found[0])[1:])
}

func parseFields(s string) (*Record, error) {
	r := &Record{}
	fields := strings.Split(s, ";")
	if last := len(fields) - 1; trimWSP(fields[last]) == "" {
		fields = fields[:last] // the optional closing delimiter
	}
	rua := false
	for _, f := range fields {
		f = trimWSP(f)
		name, value, ok := strings.Cut(f, "=")
		switch {
		case !ok:
			return nil, syntaxf("field %q lacks a =", foreign.Clip(f, 80))
		case name == "rua": // case-sensitive: RFC 7405 %s
			rua = true
			if err := r.addRUA(value); err != nil {
				return nil, err
			}
		case !extensionName(name):
			return nil, syntaxf("invalid field name %q", foreign.Clip(name, 80))
		case !extensionValue(value):
			return nil, syntaxf("invalid value of field %q", foreign.Clip(name, 80))
		default:
			r.Extensions = append(r.Extensions, Extension{name, value})
		}
	}
	if !rua {
		return nil, syntaxf("rua is missing; add rua=mailto:ADDRESS or rua=https://URL")
	}
	return r, nil
}

func (r *Record) addRUA(list string) error {
	for _, s := range strings.Split(list, ",") {
		s = trimWSP(s)
		u, err := ParseURI(s)
		var fault *SyntaxError
		switch {
		case errors.As(err, &fault):
			r.Faulty = append(r.Faulty, fault.Detail)
		case u.Mail == "" && u.HTTPS == "":
			r.Unsupported = append(r.Unsupported, s)
		default:
			r.RUA = append(r.RUA, s)
		}
		if len(r.RUA)+len(r.Unsupported)+len(r.Faulty) > maxRUA {
			return syntaxf("more than %d addresses", maxRUA)
		}
	}
	if len(r.RUA)+len(r.Unsupported) == 0 {
		return syntaxf("%s", r.Faulty[0])
	}
	return nil
}

// URI is one parsed rua address: a mail address, an https URL, or neither
// where the scheme is another one.
type URI struct {
	Mail  string // local@domain, percent-decoded; the local part quoted where it is no dot-atom (RFC 5321 §4.1.2)
	HTTPS string // the whole URL
}

// ParseURI parses one rua address. The error is a *SyntaxError.
func ParseURI(s string) (URI, error) {
	if s == "" {
		return URI{}, syntaxf("an address in rua is empty")
	}
	for i := 0; i < len(s); i++ {
		// RFC 8460 §3: commas, exclamation points and semicolons are encoded.
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '!' || c == ',' || c == ';' {
			return URI{}, syntaxf("address %q holds %q, which has to be percent-encoded", foreign.Clip(s, 80), c)
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		return URI{}, syntaxf("address %q is not a URI", foreign.Clip(s, 80))
	}
	switch u.Scheme {
	case "mailto":
		return mailURI(s, u)
	case "https":
		if u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			return URI{}, syntaxf("address %q is not a plain https URL", foreign.Clip(s, 80))
		}
		return URI{HTTPS: s}, nil
	}
	return URI{}, nil
}

// mailURI takes exactly one address (RFC 6068 allows more); header fields after
// a question mark are ignored, they are not the owner's to set in our mail.
func mailURI(s string, u *url.URL) (URI, error) {
	a, err := url.PathUnescape(u.Opaque)
	if err != nil {
		return URI{}, syntaxf("address %q: bad percent-encoding", foreign.Clip(s, 80))
	}
	at := strings.LastIndexByte(a, '@')
	if at < 1 || at == len(a)-1 || len(a) > 320 {
		return URI{}, syntaxf("address %q is not mailto:local@domain", foreign.Clip(s, 80))
	}
	control := strings.ContainsFunc(a, func(r rune) bool { return r < ' ' || r == 0x7f })
	if control || strings.ContainsAny(a[at:], ` <>"`) {
		return URI{}, syntaxf("address %q holds a control character, or a space or bracket in its domain", foreign.Clip(s, 80))
	}
	return URI{Mail: message.Address{Local: unquote(a[:at]), Domain: a[at+1:]}.Addr()}, nil
}

// unquote is the content of a quoted local part (RFC 5321 §4.1.2), and any other as it is.
func unquote(local string) string {
	if len(local) < 2 || local[0] != '"' || local[len(local)-1] != '"' {
		return local
	}
	var b strings.Builder
	for i := 1; i < len(local)-1; i++ {
		if local[i] == '\\' && i+1 < len(local)-1 {
			i++
		}
		b.WriteByte(local[i])
	}
	return b.String()
}

func extensionName(s string) bool {
	if s == "" || len(s) > 32 || !alnum(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !alnum(c) && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func extensionValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '=' || c == ';' {
			return false
		}
	}
	return s != ""
}

func alnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func trimWSP(s string) string { return strings.Trim(s, " \t") }
