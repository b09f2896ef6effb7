package smtp

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/foreign"
)

// MailParams is a parsed MAIL command.
type MailParams struct {
	From       Address
	Written    string // From as it came, where From.String() is not that
	Null       bool   // the null reverse-path "<>"
	Size       int64  // SIZE=, 0: not given
	Body       string // "7BIT", "8BITMIME", "BINARYMIME"; "" not given
	SMTPUTF8   bool
	RequireTLS bool
	EnvID      string // decoded (RFC 3461 §4.4)
	Ret        string // "HDRS", "FULL"; "" not given
	Auth       string // AUTH=, decoded; "<>" for the null value, "" not given
	// Future release (RFC 4865): one of them, or neither.
	HoldFor   time.Duration // HOLDFOR=
	HoldUntil time.Time     // HOLDUNTIL=
	Hold      string        // either, as a DSN repeats it (RFC 4865 §5.1.2): "for;3600", "until;2026-01-31T12:00:00Z"
}

// RcptParams is a parsed RCPT command.
type RcptParams struct {
	To      Address
	Written string   // To as it came, where To.String() is not that
	Notify  []string // "NEVER" alone, or of "SUCCESS", "FAILURE", "DELAY"; nil: not given
	ORcpt   string   // "addr-type;xtext" as given (RFC 3461 §4.2)
}

// Sender is the address to pass on: as it came, "" for the null reverse-path. How
// a local part is written is for nobody to change on the way (RFC 5321 §2.3.11).
func (m MailParams) Sender() string { return cmp.Or(m.Written, m.From.String()) }

// Recipient is the address to pass on, as it came.
func (p RcptParams) Recipient() string { return cmp.Or(p.Written, p.To.String()) }

var (
	badSyntax = Enhanced{5, 5, 2}
	badParam  = Enhanced{5, 5, 4}
)

// ParseMail parses what follows MAIL. A parameter counts as unknown (555,
// RFC 5321 §4.1.1.11) unless allowed offers its extension. The reply is nil
// for a good command.
func ParseMail(arg string, allowed Extensions) (MailParams, *Reply) {
	var m MailParams
	from, written, params, r := pathAndParams(arg, "FROM:", Enhanced{5, 1, 7})
	if r != nil {
		return m, r
	}
	if from.Domain == "" && from.Local != "" {
		return m, NewReply(501, Enhanced{5, 1, 7}, "Sender address lacks its domain")
	}
	m.From, m.Written, m.Null = from, written, from.IsNull()
	r = eachParam(params, func(key, value string, has bool) *Reply { return m.set(key, value, has, allowed) })
	if r != nil {
		return m, r
	}
	if !m.SMTPUTF8 && !from.ASCII() {
		return m, NewReply(553, Enhanced{5, 6, 7}, "Sender address needs SMTPUTF8")
	}
	return m, nil
}

func (m *MailParams) set(key, value string, has bool, allowed Extensions) *Reply {
	switch {
	case key == "SIZE" && allowed.Size:
		return m.setSize(value, allowed.MaxSize)
	case key == "BODY" && allowed.EightBitMIME:
		return m.setBody(value, allowed)
	case key == "SMTPUTF8" && allowed.SMTPUTF8:
		m.SMTPUTF8 = true
		return noValue(key, has)
	case key == "REQUIRETLS" && allowed.RequireTLS:
		m.RequireTLS = true
		return noValue(key, has)
	case key == "RET" && allowed.DSN:
		m.Ret = strings.ToUpper(value)
		if m.Ret != "HDRS" && m.Ret != "FULL" {
			return NewReply(501, badParam, "RET must be HDRS or FULL")
		}
		return nil
	case key == "ENVID" && allowed.DSN:
		return m.setEnvID(value)
	case key == "HOLDFOR" && allowed.FutureRelease, key == "HOLDUNTIL" && allowed.FutureRelease:
		return m.setHold(key, value, allowed)
	case key == "AUTH" && len(allowed.Auth) > 0:
		return m.setAuth(value)
	}
	return unknownParam(key)
}

func (m *MailParams) setSize(value string, max int64) *Reply {
	n, err := strconv.ParseInt(value, 10, 64)
	if errors.Is(err, strconv.ErrRange) && value[0] != '-' {
		return tooLarge(max)
	}
	if err != nil || n < 0 || value[0] == '+' {
		return NewReply(501, badParam, "SIZE must be a number of octets")
	}
	if max > 0 && n > max {
		return tooLarge(max)
	}
	m.Size = n
	return nil
}

func tooLarge(max int64) *Reply {
	return NewReply(552, Enhanced{5, 3, 4}, "Message exceeds the size limit of %d octets", max)
}

func (m *MailParams) setBody(value string, allowed Extensions) *Reply {
	m.Body = strings.ToUpper(value)
	if m.Body == "7BIT" || m.Body == "8BITMIME" || m.Body == "BINARYMIME" && allowed.BinaryMIME {
		return nil
	}
	return NewReply(501, badParam, "Unknown BODY value")
}

func (m *MailParams) setEnvID(value string) *Reply {
	id, err := DecodeXtext(value)
	// RFC 3461 §4.4: up to 100 characters, printable.
	if err != nil || value == "" || len(value) > 100 || !printable(id) {
		return NewReply(501, badParam, "ENVID must be xtext of up to 100 printable characters")
	}
	m.EnvID = id
	return nil
}

// setHold takes what RFC 4865 §4.2 allows: one of the parameters, within the
// limits that were offered. A time in the past is no error: nothing is held.
func (m *MailParams) setHold(key, value string, allowed Extensions) *Reply {
	if m.HoldFor > 0 || !m.HoldUntil.IsZero() {
		return NewReply(501, badParam, "HOLDFOR and HOLDUNTIL exclude each other")
	}
	if key == "HOLDFOR" {
		d, ok := holdSeconds(value)
		if !ok || d > allowed.MaxHold {
			return NewReply(501, badParam, "HOLDFOR must be a number of seconds from 1 to %d", int64(allowed.MaxHold/time.Second))
		}
		m.HoldFor, m.Hold = d, "for;"+value
		return nil
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(value))
	if _, offset := t.Zone(); err != nil || offset != 0 || t.After(allowed.MaxHoldUntil) {
		return NewReply(501, badParam, "HOLDUNTIL must be a time in UTC such as 2026-01-31T12:00:00Z, not after %s", allowed.MaxHoldUntil.UTC().Format(time.RFC3339))
	}
	m.HoldUntil, m.Hold = t.UTC(), "until;"+value
	return nil
}

func (m *MailParams) setAuth(value string) *Reply {
	s, err := DecodeXtext(value)
	if err != nil || s == "" || len(value) > 500 || !printable(s) {
		return NewReply(501, badParam, "AUTH must be an address in xtext or <>")
	}
	m.Auth = s
	return nil
}

// ParseRcpt parses what follows RCPT, like ParseMail. That SMTPUTF8 was given
// with MAIL is for the caller to tell: allowed.SMTPUTF8 allows such addresses.
func ParseRcpt(arg string, allowed Extensions) (RcptParams, *Reply) {
	var p RcptParams
	to, written, params, r := pathAndParams(arg, "TO:", Enhanced{5, 1, 3})
	if r != nil {
		return p, r
	}
	if to.IsNull() {
		return p, NewReply(501, Enhanced{5, 1, 3}, "Recipient address is empty")
	}
	p.To, p.Written = to, written
	r = eachParam(params, func(key, value string, _ bool) *Reply {
		switch {
		case key == "NOTIFY" && allowed.DSN:
			return p.setNotify(value)
		case key == "ORCPT" && allowed.DSN:
			return p.setORcpt(value)
		}
		return unknownParam(key)
	})
	if r != nil {
		return p, r
	}
	if !allowed.SMTPUTF8 && !to.ASCII() {
		return p, NewReply(553, Enhanced{5, 6, 7}, "Recipient address needs SMTPUTF8")
	}
	return p, nil
}

func (p *RcptParams) setNotify(value string) *Reply {
	for word := range strings.SplitSeq(strings.ToUpper(value), ",") {
		known := word == "NEVER" || word == "SUCCESS" || word == "FAILURE" || word == "DELAY"
		if !known || slices.Contains(p.Notify, word) {
			return NewReply(501, badParam, "NOTIFY must be NEVER or a list of SUCCESS, FAILURE, DELAY")
		}
		p.Notify = append(p.Notify, word)
	}
	if len(p.Notify) > 1 && slices.Contains(p.Notify, "NEVER") {
		return NewReply(501, badParam, "NOTIFY=NEVER must stand alone")
	}
	return nil
}

// setORcpt takes rfc822 addresses in xtext and the utf-8 ones of RFC 6533 §3,
// whose encoding is its own; both hold printable characters only.
func (p *RcptParams) setORcpt(value string) *Reply {
	kind, addr, ok := strings.Cut(value, ";")
	bad := !ok || kind == "" || addr == "" || len(value) > 500 || !printable(value)
	if !bad && strings.EqualFold(kind, "rfc822") {
		s, err := DecodeXtext(addr)
		bad = err != nil || !printable(s)
	}
	if bad {
		return NewReply(501, badParam, "ORCPT must be an address type, a semicolon and an address in xtext")
	}
	p.ORcpt = value
	return nil
}

// pathAndParams reads "FROM:<path> params". Space after the colon is an error
// that many make and that misleads nobody.
func pathAndParams(arg, prefix string, badPath Enhanced) (a Address, written, rest string, r *Reply) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return Address{}, "", "", NewReply(501, badSyntax, "Syntax: %s<address> [parameters]", prefix)
	}
	a, written, rest, err := parsePath(strings.TrimLeft(arg[len(prefix):], " \t"), syntax{utf8: true, loose: true})
	if err != nil {
		return Address{}, "", "", NewReply(501, badPath, "Invalid address: %s", foreign.Line(err.Error()))
	}
	if rest != "" && rest[0] != ' ' {
		return Address{}, "", "", NewReply(501, badSyntax, "Space must follow the address")
	}
	if written == a.String() {
		written = ""
	}
	return a, written, rest, nil
}

// eachParam calls set for each "key" or "key=value"; a key given twice is an error.
func eachParam(params string, set func(key, value string, has bool) *Reply) *Reply {
	var seen []string
	for p := range strings.FieldsSeq(params) {
		key, value, has := strings.Cut(p, "=")
		key = strings.ToUpper(key)
		if slices.Contains(seen, key) {
			return NewReply(501, badParam, "Parameter %s given twice", foreign.Line(key))
		}
		seen = append(seen, key)
		if r := set(key, value, has); r != nil {
			return r
		}
	}
	return nil
}

func noValue(key string, has bool) *Reply {
	if has {
		return NewReply(501, badParam, "%s takes no value", key)
	}
	return nil
}

func unknownParam(key string) *Reply {
	return NewReply(555, badParam, "Parameter %s is not known or not offered here", foreign.Line(key))
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
