package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/message"
)

// maxARCSets is the most that a chain may have (RFC 8617 §4.2.1).
const maxARCSets = 50

// ARCNone is the result for a message without ARC fields; the others are Pass,
// Fail and TempError.
const ARCNone Result = "none"

// ARC is what became of a message's Authenticated Received Chain (RFC 8617). It
// is verified and noted: what a chain claims is worth as much as whoever sealed it.
type ARC struct {
	Result Result
	Err    error    // why it did not pass
	Sets   []ARCSet // by instance, from 1; empty where the structure is broken
	// OldestPass is the lowest instance whose message signature still holds: since
	// then nobody has changed the message. 0: from the start, or not known.
	OldestPass int
}

// ARCSet is one hop's part of a chain.
type ARCSet struct {
	Instance int
	Domain   dns.Name // d= of the seal
	Selector string
	Claimed  string // cv= of the seal
	Results  string // the ARC-Authentication-Results field without its instance, unfolded
	DNSSEC   dns.Security
}

// set is one hop's fields.
type set struct {
	results, message, seal *message.Field
}

// VerifyARC verifies a message's chain as RFC 8617 §5.2 has it. The error is one
// of the message.
func VerifyARC(ctx context.Context, r dns.Resolver, msg []byte, limits Limits) (ARC, error) {
	m, err := Read(msg)
	if err != nil {
		return ARC{}, fmt.Errorf("ARC: %w", err)
	}
	return m.VerifyARC(ctx, r, limits), nil
}

// VerifyARC is the function VerifyARC.
func (m *Message) VerifyARC(ctx context.Context, r dns.Resolver, limits Limits) ARC {
	if limits.Now == nil {
		limits.Now = time.Now
	}
	sets, err := collect(m.header)
	if err != nil {
		return ARC{Result: Fail, Err: err}
	}
	if len(sets) == 0 {
		return ARC{Result: ARCNone}
	}
	c := &chain{m: m, sets: sets, now: limits.Now(), keys: limits.Keys}
	c.verify(ctx, r)
	return c.out
}

// collect sorts ARC fields into sets and checks their structure (RFC 8617 §5.2, 1 to 3A).
func collect(h message.Header) ([]set, error) {
	var sets []set
	for i := range h.Fields {
		f := &h.Fields[i]
		var into func(*set) **message.Field
		switch {
		case f.Is("ARC-Authentication-Results"):
			into = func(s *set) **message.Field { return &s.results }
		case f.Is("ARC-Message-Signature"):
			into = func(s *set) **message.Field { return &s.message }
		case f.Is("ARC-Seal"):
			into = func(s *set) **message.Field { return &s.seal }
		default:
			continue
		}
		n, err := instance(*f)
		if err != nil {
			return nil, err
		}
		for len(sets) < n {
			sets = append(sets, set{})
		}
		if p := into(&sets[n-1]); *p == nil {
			*p = f
			continue
		}
		return nil, fmt.Errorf("instance %d has a field twice", n)
	}
	for i, s := range sets {
		if s.results == nil || s.message == nil || s.seal == nil {
			return nil, fmt.Errorf("instance %d is not complete", i+1)
		}
	}
	return sets, nil
}

// instance is the i= of a field. In ARC-Authentication-Results it stands first and
// alone; in the others it is a tag.
func instance(f message.Field) (int, error) {
	_, value, _ := bytes.Cut(f.Raw, []byte{':'})
	text := ""
	if f.Is("ARC-Authentication-Results") {
		first, _, _ := strings.Cut(string(value), ";")
		name, v, _ := strings.Cut(unspace(first), "=")
		if name == "i" {
			text = v
		}
	} else {
		ts, err := parseTags(value)
		if err != nil {
			return 0, err
		}
		text = ts.compact("i")
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxARCSets || text[0] == '+' {
		return 0, fmt.Errorf("i=%s is no instance from 1 to %d", foreign.Clip(text, 60), maxARCSets)
	}
	return n, nil
}

// chain is a verification under way.
type chain struct {
	m    *Message
	sets []set
	now  time.Time
	keys *KeyCache
	out  ARC
}

func (c *chain) fail(r Result, format string, args ...any) {
	c.out.Result, c.out.Err = r, fmt.Errorf(format, args...)
}

func (c *chain) verify(ctx context.Context, r dns.Resolver) {
	seals, messages := make([]*signature, len(c.sets)), make([]*signature, len(c.sets))
	for i, s := range c.sets {
		seals[i], messages[i] = &signature{}, &signature{}
		claimed, err := seals[i].parseSeal(*s.seal)
		if err != nil {
			c.fail(Fail, "seal %d: %w", i+1, err)
			return
		}
		if want := map[bool]string{true: "none", false: "pass"}[i == 0]; claimed != want {
			c.fail(Fail, "seal %d says cv=%s, not %s", i+1, foreign.Clip(claimed, 60), want)
			return
		}
		if err := messages[i].parseARCMessage(*s.message); err != nil {
			messages[i].settle(PermError, err)
		}
		c.out.Sets = append(c.out.Sets, ARCSet{Instance: i + 1, Domain: seals[i].Domain, Selector: seals[i].Selector, Claimed: claimed, Results: claims(*s.results)})
	}
	fetch(ctx, r, c.keys, slices.Concat(seals, messages))
	c.messages(messages)
	c.seals(seals)
	if c.out.Result == "" {
		c.out.Result = Pass
	}
}

// claims is what a hop says it found.
func claims(f message.Field) string {
	_, value, _ := bytes.Cut(f.Raw, []byte{':'})
	_, rest, _ := strings.Cut(string(value), ";")
	return strings.Join(strings.Fields(rest), " ")
}

// messages verifies the message signatures: the newest must hold (RFC 8617 §5.2, 4),
// and how far back they do is noted.
func (c *chain) messages(all []*signature) {
	oldest := 1
	for i := len(all) - 1; i >= 0; i-- {
		s := all[i]
		if s.Err == nil {
			s.verify(c.m)
		}
		if s.Err == nil {
			continue
		}
		if i == len(all)-1 {
			c.fail(result(s), "message signature %d: %w", i+1, s.Err)
			return
		}
		oldest = i + 2
		break
	}
	if oldest > 1 {
		c.out.OldestPass = oldest
	}
}

// result is Fail, but for lookups that failed for now.
func result(s *signature) Result {
	if s.Result == TempError {
		return TempError
	}
	return Fail
}

// seals verifies every seal (RFC 8617 §5.2, 6).
func (c *chain) seals(all []*signature) {
	for i := len(all) - 1; i >= 0; i-- {
		s := all[i]
		c.out.Sets[i].DNSSEC = s.DNSSEC
		if s.Err == nil {
			s.checkSum(c.sealed(i, s))
		}
		if s.Err != nil && c.out.Result == "" {
			c.fail(result(s), "seal %d: %w", i+1, s.Err)
		}
	}
}

// sealed is the hash that seal i signs: all sets up to its own, in order, relaxed
// (RFC 8617 §5.1.1).
func (c *chain) sealed(last int, s *signature) []byte {
	sum := sha256.New()
	var buf []byte
	for i := 0; i <= last; i++ {
		for _, f := range []*message.Field{c.sets[i].results, c.sets[i].message} {
			buf = append(relaxedHeader(buf[:0], f.Raw), crlf...)
			_, _ = sum.Write(buf) // a hash takes every write
		}
		if i == last {
			_, _ = sum.Write(relaxedHeader(buf[:0], s.field))
			break
		}
		buf = append(relaxedHeader(buf[:0], c.sets[i].seal.Raw), crlf...)
		_, _ = sum.Write(buf)
	}
	return sum.Sum(nil)
}

// checkSum tries the keys on a hash.
func (s *signature) checkSum(sum []byte) {
	for _, rec := range s.records {
		s.KeyBits = rec.bits
		if err := s.fits(rec); err != nil {
			s.settle(PermError, err)
			continue
		}
		if rec.verify(sum, s.sig) {
			s.settle(Pass, nil)
			return
		}
		s.settle(Fail, errors.New("a field of the chain was changed, or the key is another one"))
	}
}

// parseSeal reads an ARC-Seal (RFC 8617 §4.1.3); it covers no body and names no fields.
func (s *signature) parseSeal(f message.Field) (claimed string, err error) {
	ts, err := s.parseARC(f)
	if err != nil {
		return "", err
	}
	for _, never := range []string{"h", "bh", "l"} {
		if _, ok := ts.get(never); ok {
			return "", fmt.Errorf("a seal must not have %s=", never)
		}
	}
	s.sig, err = decode64(ts.compact("b"))
	return strings.ToLower(ts.compact("cv")), err
}

// parseARCMessage reads an ARC-Message-Signature (RFC 8617 §4.1.2): a DKIM signature
// without version and identity.
func (s *signature) parseARCMessage(f message.Field) error {
	ts, err := s.parseARC(f)
	if err != nil {
		return err
	}
	if err := errors.Join(s.parseTimes(ts), s.parseForm(ts), s.parseHashes(ts)); err != nil {
		return err
	}
	if slices.Contains(s.SignedHeaders, "arc-seal") {
		return errors.New("h= names ARC-Seal")
	}
	return nil
}

// parseARC reads what both kinds have.
func (s *signature) parseARC(f message.Field) (tags, error) {
	colon := bytes.IndexByte(f.Raw, ':') + 1
	ts, err := parseTags(f.Raw[colon:])
	if err != nil {
		return nil, err
	}
	if err := strict(ts, f.Raw[colon:]); err != nil {
		return nil, err
	}
	for _, need := range []string{"a", "b", "d", "s"} {
		if ts.compact(need) == "" {
			return nil, fmt.Errorf("%s= is missing", need)
		}
	}
	s.Algorithm, s.Selector = strings.ToLower(ts.compact("a")), ts.compact("s")
	if s.Algorithm != RSASHA256 && s.Algorithm != Ed25519SHA256 {
		return nil, fmt.Errorf("unknown algorithm %q", foreign.Clip(s.Algorithm, 60))
	}
	if s.Domain, err = dns.ParseName(ts.compact("d")); err != nil {
		return nil, err
	}
	s.Identity = "@" + s.Domain.ASCII()
	for _, t := range ts {
		if t.name == "b" {
			s.field = bytes.TrimSuffix(slices.Concat(f.Raw[:colon+t.start], f.Raw[colon+t.end:]), crlf)
		}
	}
	return ts, nil
}

// strict is RFC 6376 §3.2 to the letter, from which DKIM signatures in use depart:
// names begin with a letter, and only a last semicolon may have nothing behind it.
func strict(ts tags, raw []byte) error {
	for _, t := range ts {
		for i := range len(t.name) {
			c := t.name[i] | 0x20
			if (c < 'a' || c > 'z') && (i == 0 || (t.name[i] < '0' || t.name[i] > '9') && t.name[i] != '_') {
				return fmt.Errorf("%q is no name of a tag", foreign.Clip(t.name, 60))
			}
		}
	}
	if strings.Contains(unspace(string(raw)), ";;") {
		return errors.New("there is nothing between two semicolons")
	}
	return nil
}
