package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/message"
)

const (
	defaultSignatures = 8
	maxSignedHeaders  = 500 // names in one h=
	maxKeyRecords     = 8   // TXT records at one name
)

// Allows reports whether the key may be used for a service: "email" or
// "tlsrpt" (RFC 6376 §3.6.1, RFC 8460 §3). A key without s=, or with "*", may
// be used for all.
func (v Verification) Allows(service string) bool {
	return v.Services == nil || slices.Contains(v.Services, service)
}

// Verify checks the signatures of msg, from the top, and returns one
// Verification for each. The error is one of the message; what is wrong with a
// signature stands in its Verification. A key whose service types leave out
// e-mail may pass: ask Allows. Keys are looked up all at once; ctx bounds that.
func Verify(ctx context.Context, r dns.Resolver, msg []byte, limits Limits) ([]Verification, error) {
	m, err := Read(msg)
	if err != nil {
		return nil, fmt.Errorf("DKIM: %w", err)
	}
	return m.Verify(ctx, r, limits), nil
}

// Verify is the function Verify.
func (m *Message) Verify(ctx context.Context, r dns.Resolver, limits Limits) []Verification {
	if limits.Signatures <= 0 {
		limits.Signatures = defaultSignatures
	}
	if limits.Now == nil {
		limits.Now = time.Now
	}
	var sigs []*signature
	for _, f := range m.header.Fields {
		if f.Is("DKIM-Signature") && len(sigs) < limits.Signatures {
			sigs = append(sigs, parseSignature(f, limits.Now()))
		}
	}
	fetch(ctx, r, limits.Keys, sigs)
	out := make([]Verification, len(sigs))
	for i, s := range sigs {
		if s.Err == nil {
			s.verify(m)
		}
		out[i] = s.Verification
	}
	return out
}

// signature is one on its way to a result. Err set means that it is settled.
type signature struct {
	Verification
	field         []byte // with an empty b=
	sig, bodyHash []byte
	form          bodyForm
	relaxedHeader bool
	records       []record
}

func (s *signature) settle(r Result, err error) { s.Result, s.Err = r, err }

// parseSignature reads the field and makes every check that needs no key.
func parseSignature(f message.Field, now time.Time) *signature {
	s := &signature{}
	if err := s.parse(f); err != nil {
		s.settle(PermError, err)
		return s
	}
	// RFC 6376 §3.5: it may be good, and its time is over.
	if !s.Expires.IsZero() && now.After(s.Expires) {
		s.settle(Policy, fmt.Errorf("the signature expired on %s", s.Expires.UTC().Format(time.RFC3339)))
	}
	return s
}

func (s *signature) parse(f message.Field) error {
	colon := bytes.IndexByte(f.Raw, ':') + 1
	ts, err := parseTags(f.Raw[colon:])
	if err != nil {
		return err
	}
	if v := ts.compact("v"); v != "1" {
		return fmt.Errorf("unknown signature version %q", foreign.Clip(v, 60))
	}
	for _, need := range []string{"a", "b", "bh", "d", "h", "s"} {
		if ts.compact(need) == "" {
			return fmt.Errorf("the signature lacks %s=", need)
		}
	}
	s.Algorithm, s.Selector = strings.ToLower(ts.compact("a")), ts.compact("s")
	if s.Domain, err = dns.ParseName(ts.compact("d")); err != nil {
		return err
	}
	for _, t := range ts {
		if t.name == "b" {
			s.field = bytes.TrimSuffix(slices.Concat(f.Raw[:colon+t.start], f.Raw[colon+t.end:]), crlf)
		}
	}
	if b := ts.compact("b"); len(b) > 0 {
		s.Signature = b[:min(8, len(b))] // RFC 6008 §4
	}
	return errors.Join(s.parseIdentity(ts), s.parseTimes(ts), s.parseForm(ts), s.parseHashes(ts))
}

// parseIdentity: i= is dkim-quoted-printable, and must be within d= (RFC 6376 §3.5).
func (s *signature) parseIdentity(ts tags) error {
	s.Identity = "@" + s.Domain.ASCII()
	i, ok := ts.get("i")
	if !ok {
		return nil
	}
	s.Identity = decodeQP(i)
	if strings.ContainsFunc(s.Identity, func(c rune) bool { return c < ' ' || c == 0x7f || c == utf8.RuneError }) {
		// It is told in fields and logs; no address holds such a thing.
		s.Identity = "@" + s.Domain.ASCII()
		return errors.New("i= holds a control character or is not UTF-8")
	}
	_, domain, found := cutLast(s.Identity, '@')
	n, err := dns.ParseName(domain)
	if !found || err != nil || !n.Under(s.Domain) {
		return fmt.Errorf("i=%s is not within d=%s", foreign.Clip(s.Identity, 60), s.Domain)
	}
	return nil
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func (s *signature) parseTimes(ts tags) error {
	for name, at := range map[string]*time.Time{"t": &s.Signed, "x": &s.Expires} {
		if _, ok := ts.get(name); !ok {
			continue
		}
		n, err := number(ts.compact(name))
		if err != nil {
			return fmt.Errorf("%s=: %w", name, err)
		}
		*at = time.Unix(min(n, 1<<40), 0)
	}
	if !s.Signed.IsZero() && !s.Expires.IsZero() && s.Expires.Before(s.Signed) {
		return errors.New("x= is before t=")
	}
	return nil
}

func (s *signature) parseForm(ts tags) error {
	header, body, _ := strings.Cut(strings.ToLower(ts.compact("c")), "/")
	for _, c := range []string{header, body} {
		if c != "" && c != "simple" && c != "relaxed" {
			return fmt.Errorf("unknown canonicalisation %q", foreign.Clip(c, 60))
		}
	}
	s.relaxedHeader = header == "relaxed"
	s.form = bodyForm{relaxed: body == "relaxed", limit: -1}
	if _, ok := ts.get("l"); ok {
		n, err := number(ts.compact("l"))
		if err != nil {
			return fmt.Errorf("l=: %w", err)
		}
		s.BodyLength, s.form.limit = true, n
	}
	if q := ts.list("q"); q != nil && !slices.Contains(q, "dns/txt") {
		return errors.New("the key is to be looked up in an unknown way (q=)")
	}
	return nil
}

func (s *signature) parseHashes(ts tags) error {
	switch s.Algorithm {
	case RSASHA256, Ed25519SHA256:
	case "rsa-sha1":
		return errors.New("rsa-sha1 is no longer accepted (RFC 8301 §3.1)")
	default:
		return fmt.Errorf("unknown algorithm %q", foreign.Clip(s.Algorithm, 60))
	}
	s.SignedHeaders = ts.list("h")
	if !slices.Contains(s.SignedHeaders, "from") {
		return errors.New("the From field is not signed")
	}
	if len(s.SignedHeaders) > maxSignedHeaders {
		return fmt.Errorf("h= names more than %d fields", maxSignedHeaders)
	}
	var err1, err2 error
	s.sig, err1 = decode64(ts.compact("b"))
	s.bodyHash, err2 = decode64(ts.compact("bh"))
	return errors.Join(err1, err2)
}

// fetch looks the keys of all signatures up that are not settled yet, all at once.
func fetch(ctx context.Context, r dns.Resolver, keys *KeyCache, sigs []*signature) {
	sigs = slices.DeleteFunc(slices.Clone(sigs), func(s *signature) bool { return s.Err != nil })
	if len(sigs) == 0 {
		return
	}
	var wg guard.Group
	for _, s := range sigs[1:] {
		wg.Go(func() { s.fetch(ctx, r, keys) })
	}
	wg.Do(func() { sigs[0].fetch(ctx, r, keys) }) // one goroutine fewer
	wg.Wait()
}

func (s *signature) fetch(ctx context.Context, r dns.Resolver, keys *KeyCache) {
	name, err := s.Domain.Prefix(s.Selector + "._domainkey")
	if err != nil {
		s.settle(PermError, err)
		return
	}
	answer, err := r.LookupTXT(ctx, name)
	if err != nil {
		var de *dns.Error
		if errors.As(err, &de) {
			s.DNSSEC = de.Security
		}
		s.settle(TempError, fmt.Errorf("no key for now: %w", err))
		return
	}
	s.DNSSEC = answer.Security
	if len(answer.Records) == 0 {
		s.settle(PermError, fmt.Errorf("no key at %s", name))
		return
	}
	var fault error
	for _, txt := range answer.Records[:min(len(answer.Records), maxKeyRecords)] {
		rec, err := keys.parse(txt)
		if err != nil {
			fault = err
			continue
		}
		s.records = append(s.records, rec)
	}
	if len(s.records) == 0 {
		s.settle(PermError, fault)
	}
}

// verify tries the keys; the first that fits settles the signature, else the
// last fault does.
func (s *signature) verify(m *Message) {
	sum, err := m.sum(s.form)
	if errors.Is(err, errForms) {
		s.settle(Policy, err)
		return
	}
	if err != nil {
		s.settle(TempError, err)
		return
	}
	var header []byte
	for _, rec := range s.records {
		s.Services, s.Testing, s.KeyBits = rec.services, rec.testing, rec.bits
		if err := s.fits(rec); err != nil {
			s.settle(PermError, err)
			continue
		}
		switch {
		case sum.short:
			s.settle(Fail, errors.New("the body is shorter than l= says"))
			return
		case subtle.ConstantTimeCompare(sum.sum, s.bodyHash) != 1:
			s.settle(Fail, errors.New("the body was changed: its hash is not the signed one"))
			return
		}
		if header == nil {
			header = headerHash(m.header, s.SignedHeaders, s.field, s.relaxedHeader)
		}
		if rec.verify(header, s.sig) {
			s.BodyRest = sum.rest
			s.settle(Pass, nil)
			return
		}
		s.settle(Fail, errors.New("a signed header field was changed, or the key is another one"))
	}
}

// fits checks the key record against the signature (RFC 6376 §6.1.2).
func (s *signature) fits(rec record) error {
	kind, hash, _ := strings.Cut(s.Algorithm, "-")
	if kind != rec.kind {
		return fmt.Errorf("the key is for %s, the signature is %s", rec.kind, s.Algorithm)
	}
	if rec.hashes != nil && !slices.Contains(rec.hashes, hash) {
		return fmt.Errorf("the key may not be used with %s", hash)
	}
	if _, domain, _ := cutLast(s.Identity, '@'); rec.strict {
		if n, err := dns.ParseName(domain); err != nil || n != s.Domain {
			return fmt.Errorf("the key allows no subdomain in i=%s (t=s)", foreign.Clip(s.Identity, 60))
		}
	}
	return nil
}

func (rec record) verify(sum, sig []byte) bool {
	switch k := rec.public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum, sig) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(k, sum, sig)
	}
	return false
}

// ReadSignature is what a DKIM-Signature field says of itself; nothing of it is verified.
func ReadSignature(f message.Field) (Verification, error) {
	s := &signature{}
	err := s.parse(f)
	return s.Verification, err
}
