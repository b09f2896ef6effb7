package mtasts

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"waxwing/dns"
	"waxwing/internal/reason"
)

// MaxAge is the longest lifetime of a policy (RFC 8461 §3.2); a larger value is cut to it.
const MaxAge = 31557600 * time.Second

// MaxPolicy is the size of a policy file in octets above which it is refused (STS-2).
const MaxPolicy = 64 << 10

// ParsePolicy parses the text of a policy file (STS-3). The word of its errors
// is PolicySyntax. Beyond the grammar of RFC 8461 §3.2 it takes empty lines.
func ParsePolicy(text []byte) (*Policy, *Error) {
	if len(text) > MaxPolicy {
		return nil, &Error{Word: reason.STSPolicySyntax, Detail: fmt.Sprintf("the policy is larger than %d octets", MaxPolicy)}
	}
	p := parser{policy: &Policy{}, seen: map[string]bool{}}
	for n := 1; len(text) > 0; n++ {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		if err := p.line(strings.TrimSuffix(string(line), "\r")); err != nil {
			return nil, &Error{Word: reason.STSPolicySyntax, Detail: fmt.Sprintf("line %d: %v", n, err), Err: err}
		}
	}
	if err := p.complete(); err != nil {
		return nil, &Error{Word: reason.STSPolicySyntax, Detail: err.Error(), Err: err}
	}
	return p.policy, nil
}

type parser struct {
	policy *Policy
	seen   map[string]bool // keys had; all but mx count once
}

func (p *parser) line(line string) error {
	text := strings.TrimRight(line, " \t")
	if text == "" {
		return nil
	}
	key, value, ok := strings.Cut(text, ":")
	if !ok {
		return fmt.Errorf(`%q is not of the form "key: value"`, clip(text))
	}
	value = strings.TrimLeft(value, " \t")
	p.policy.Lines = append(p.policy.Lines, text)
	if key == "mx" {
		return p.mx(value)
	}
	if p.seen[key] {
		return nil // RFC 8461 §3.2: all entries except for the first are ignored
	}
	p.seen[key] = true
	switch key {
	case "version":
		if value != "STSv1" {
			return fmt.Errorf("version is %q, not STSv1", clip(value))
		}
	case "mode":
		switch m := Mode(value); m {
		case ModeNone, ModeTesting, ModeEnforce:
			p.policy.Mode = m
		default:
			return fmt.Errorf("mode is %q, not enforce, testing or none", clip(value))
		}
	case "max_age":
		return p.maxAge(value)
	default:
		return p.extension(key, value)
	}
	return nil
}

func (p *parser) maxAge(value string) error {
	if len(value) < 1 || len(value) > 10 || strings.Trim(value, "0123456789") != "" {
		return fmt.Errorf("max_age is %q, not a number of seconds of up to ten digits", clip(value))
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return err
	}
	p.policy.MaxAge = time.Duration(min(n, int64(MaxAge/time.Second))) * time.Second
	return nil
}

func (p *parser) mx(value string) error {
	name, wildcard := strings.CutPrefix(value, "*.")
	for i := range len(name) {
		if name[i] >= 0x80 {
			return fmt.Errorf("mx %q is not in A-label form (xn--…)", clip(value))
		}
	}
	// A trailing dot is no part of RFC 5321's Domain. Underscores are not
	// either, but MX targets with them exist (DNS-1).
	n, err := dns.ParseLax(name)
	if err != nil || strings.HasSuffix(name, ".") {
		return fmt.Errorf(`mx %q is neither a host name nor "*." and a domain`, clip(value))
	}
	p.policy.MX = append(p.policy.MX, Pattern{Wildcard: wildcard, Name: n})
	return nil
}

func (p *parser) extension(key, value string) error {
	if !extensionName(key) {
		return fmt.Errorf("key %q has a character that RFC 8461 §3.2 does not allow", clip(key))
	}
	control := strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
	if value == "" || control || !utf8.ValidString(value) {
		return fmt.Errorf("the value of %q is empty or has a character that RFC 8461 §3.2 does not allow", key)
	}
	p.policy.Extensions = append(p.policy.Extensions, Extension{key, value})
	return nil
}

func (p *parser) complete() error {
	for _, key := range []string{"version", "mode", "max_age"} {
		if !p.seen[key] {
			return fmt.Errorf("the required key %q is missing", key)
		}
	}
	if len(p.policy.MX) == 0 && p.policy.Mode != ModeNone {
		return errors.New(`no "mx" key, though mode is ` + string(p.policy.Mode))
	}
	return nil
}

// Text is the policy as a file to serve (STS-11): CRLF line ends, whole seconds.
func (p *Policy) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\r\nmode: %s\r\n", p.Mode)
	for _, mx := range p.MX {
		fmt.Fprintf(&b, "mx: %s\r\n", mx)
	}
	fmt.Fprintf(&b, "max_age: %d\r\n", int64(p.MaxAge/time.Second))
	for _, e := range p.Extensions {
		fmt.Fprintf(&b, "%s: %s\r\n", e.Key, e.Value)
	}
	return b.String()
}

// Matches reports whether host is one of the policy's mx. A wildcard stands
// for exactly one leftmost label (RFC 8461 §4.1).
func (p *Policy) Matches(host dns.Name) bool {
	if host.IsZero() {
		return false
	}
	for _, mx := range p.MX {
		if mx.Wildcard && host.Parent() == mx.Name || !mx.Wildcard && host == mx.Name {
			return true
		}
	}
	return false
}

// Patterns are the policy's mx values, as TLS reports give them (RFC 8460 §4.4 mx-host).
func (p *Policy) Patterns() []string {
	list := make([]string, len(p.MX))
	for i, mx := range p.MX {
		list[i] = mx.String()
	}
	return list
}
