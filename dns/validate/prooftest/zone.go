// Package prooftest makes signed zones of every kind for tests of the DNSSEC
// validator, right ones and ones with faults, and answers questions about them as a
// recursive resolver does that does not validate. Signing is that of
// github.com/miekg/dns: the canonical form is not the validator's own.
package prooftest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudflare/circl/sign/ed448"
	wire "github.com/miekg/dns"
)

// Zone says what a zone is like. The zero values make a rightly signed one with NSEC.
type Zone struct {
	Name      string
	Records   []string // lines of a zone file, relative to Name; NS records of children too
	Unsigned  bool
	Algorithm uint8 // 0: ECDSA P-256
	Digest    uint8 // of the DS record in the parent; 0: SHA-256
	NSEC3     bool
	OptOut    bool
	// Partly: with OptOut, some unsigned delegations have NSEC3 records all the same, and only spans that hold others opt out.
	Partly     bool
	Iterations uint16
	Salt       string // hexadecimal
	NoDS       bool   // signed, and its parent has no DS: an island
	WrongDS    bool   // the parent's DS is of another key
	TwoKeys    bool   // one signs the keys, another the rest
	SameTag    int    // further keys of the tag of the first
	Faults     []Fault
	Seed       uint64 // chooses where faults are planted
	TTL        uint32 // of records and denials; 0: 300. That of keys is 3600
	// Inception and Expiration of all signatures, from now; both zero: an hour ago and a day ahead.
	Inception, Expiration time.Duration
}

// Signed is a zone that was put together.
type Signed struct {
	Zone
	Key *wire.DNSKEY
	DS  *wire.DS // what its parent should have; nil for an unsigned one

	more    []*wire.DS // beside DS
	name    string
	private crypto.PrivateKey
	zone    signingKey // that signs all but the keys
	nodes   map[string]map[uint16][]wire.RR
	sigs    map[string]map[uint16][]wire.RR
	cuts    []string
	present map[string]bool // names with records, and empty non-terminals
	chain   []link          // NSEC or NSEC3 records in order
	now     time.Time
}

type signingKey struct {
	key     *wire.DNSKEY
	private crypto.PrivateKey
}

type link struct {
	key  string // owner's sort key: the hash; for NSEC the name itself
	rr   wire.RR
	sigs []wire.RR
}

// Keys makes keys and keeps them, one of each algorithm and number, so that a test
// with many zones spends no time on making them.
type Keys struct {
	made map[string]pair
}

type pair struct {
	key     wire.DNSKEY
	private crypto.PrivateKey
}

func (k *Keys) get(algorithm uint8, n int) (wire.DNSKEY, crypto.PrivateKey, error) {
	id := fmt.Sprint(algorithm, n)
	if p, ok := k.made[id]; ok {
		return p.key, p.private, nil
	}
	key := wire.DNSKEY{Hdr: wire.RR_Header{Name: ".", Rrtype: wire.TypeDNSKEY, Class: wire.ClassINET, Ttl: 3600}, Flags: 257, Protocol: 3, Algorithm: algorithm}
	bits := map[uint8]int{wire.RSASHA1: 1024, wire.RSASHA1NSEC3SHA1: 1024, wire.RSASHA256: 1024, wire.RSASHA512: 1024, wire.ECDSAP384SHA384: 384}[algorithm]
	if bits == 0 {
		bits = 256
	}
	private, err := generate(&key, bits, id)
	if err != nil {
		return key, nil, err
	}
	if k.made == nil {
		k.made = map[string]pair{}
	}
	k.made[id] = pair{key, private}
	return key, private, nil
}

// generate makes a key; one of Ed25519 or Ed448 is the same each time, so that other processes know it.
func generate(key *wire.DNSKEY, bits int, id string) (crypto.PrivateKey, error) {
	switch key.Algorithm {
	case wire.ED25519:
		seed := sha256.Sum256([]byte(id))
		private := ed25519.NewKeyFromSeed(seed[:])
		key.PublicKey = base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
		return private, nil
	case wire.ED448:
		seed := sha512.Sum512([]byte(id))
		private := ed448.NewKeyFromSeed(seed[:ed448.SeedSize])
		key.PublicKey = base64.StdEncoding.EncodeToString(private.Public().(ed448.PublicKey))
		return private, nil
	}
	return key.Generate(bits)
}

// signed448 signs a set by Ed448, which the wire library does not know: it makes the
// octets for Ed25519, in which the number of the algorithm is then the other.
func signed448(sig *wire.RRSIG, private ed448.PrivateKey, set []wire.RR) error {
	sig.Algorithm = wire.ED25519
	defer func() { sig.Algorithm = wire.ED448 }()
	return sig.Sign(signer448{private}, set)
}

type signer448 struct{ private ed448.PrivateKey }

func (s signer448) Public() crypto.PublicKey { return s.private.Public() }

func (s signer448) Sign(_ io.Reader, data []byte, _ crypto.SignerOpts) ([]byte, error) {
	const algorithm = 2 // its place in the data of an RRSIG record (RFC 4034 §3.1)
	data = bytes.Clone(data)
	data[algorithm] = wire.ED448
	return ed448.Sign(s.private, data, ""), nil
}

func signer(p crypto.PrivateKey) crypto.Signer {
	switch p := p.(type) {
	case *rsa.PrivateKey:
		return p
	case *ecdsa.PrivateKey:
		return p
	case ed25519.PrivateKey:
		return p
	}
	return nil
}

// load reads the records, with SOA and NS of the apex unless they are given, and the zone's key.
func load(z Zone, keys *Keys, n int, now time.Time) (*Signed, error) {
	s := &Signed{Zone: z, name: wire.CanonicalName(z.Name), nodes: map[string]map[uint16][]wire.RR{}, sigs: map[string]map[uint16][]wire.RR{}, now: now}
	if s.TTL == 0 {
		s.TTL = 300
	}
	lines := append([]string{fmt.Sprintf("$TTL %d", s.TTL), fmt.Sprintf("@ SOA ns hostmaster 1 3600 600 86400 %d", s.TTL), "@ NS ns", "ns A 192.0.2.53"}, z.Records...)
	zp := wire.NewZoneParser(strings.NewReader(strings.Join(lines, "\n")+"\n"), s.name, "")
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		s.Add(rr)
	}
	if err := zp.Err(); err != nil {
		return nil, fmt.Errorf("zone %s: %w", s.name, err)
	}
	if z.Unsigned {
		return s, nil
	}
	if s.Algorithm == 0 {
		s.Algorithm = wire.ECDSAP256SHA256
	}
	key, private, err := keys.get(s.Algorithm, n)
	if err != nil {
		return nil, err
	}
	key.Hdr.Name = s.name
	s.Key, s.private = &key, private
	s.Add(s.Key)
	s.zone = signingKey{s.Key, private}
	for _, rr := range sameTag(s.Key, s.SameTag) {
		s.Add(rr)
	}
	if s.TwoKeys {
		other, private, err := keys.get(s.Algorithm, n+keyNumbers)
		if err != nil {
			return nil, err
		}
		other.Hdr.Name, other.Flags = s.name, 256
		s.zone = signingKey{&other, private}
		s.Add(&other)
	}
	if s.Digest == 0 {
		s.Digest = wire.SHA256
	}
	s.DS = key.ToDS(s.Digest)
	if s.WrongDS {
		b, _ := hex.DecodeString(s.DS.Digest)
		b[0] ^= 0xff
		s.DS.Digest = hex.EncodeToString(b)
	}
	s.DS.Hdr.Ttl = 300
	s.spoilKeys(keys)
	return s, nil
}

// Add puts a record in; before sign it is signed with the rest.
func (s *Signed) Add(rr wire.RR) {
	name := wire.CanonicalName(rr.Header().Name)
	if s.nodes[name] == nil {
		s.nodes[name] = map[uint16][]wire.RR{}
	}
	t := rr.Header().Rrtype
	s.nodes[name][t] = append(s.nodes[name][t], rr)
}

// sign makes the chain of denials and all signatures.
func (s *Signed) sign() error {
	for name, types := range s.nodes {
		if name != s.name && types[wire.TypeNS] != nil {
			s.cuts = append(s.cuts, name)
		}
	}
	s.present = map[string]bool{s.name: true}
	for name := range s.nodes {
		for up := name; !s.glue(name) && !s.present[up]; up = above(up) {
			s.present[up] = true
		}
	}
	if s.Unsigned {
		return nil
	}
	for name, types := range s.nodes {
		if s.glue(name) {
			continue
		}
		s.sigs[name] = map[uint16][]wire.RR{}
		for t, set := range types {
			if slices.Contains(s.cuts, name) && t != wire.TypeDS {
				continue
			}
			sig, err := s.signature(set)
			if err != nil {
				return err
			}
			s.sigs[name][t] = []wire.RR{sig}
		}
	}
	if s.NSEC3 {
		return s.chain3()
	}
	return s.chainNSEC()
}

// above is a name without its first label.
func above(name string) string {
	i, end := wire.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}

func (s *Signed) glue(name string) bool {
	return slices.ContainsFunc(s.cuts, func(c string) bool { return c != name && wire.IsSubDomain(c, name) })
}

func (s *Signed) signature(set []wire.RR) (*wire.RRSIG, error) {
	from, to := s.Inception, s.Expiration
	if from == 0 && to == 0 {
		from, to = -time.Hour, 24*time.Hour
	}
	return s.signatureFor(set, from, to)
}

func (s *Signed) signatureFor(set []wire.RR, from, to time.Duration) (*wire.RRSIG, error) {
	k := s.zone
	if set[0].Header().Rrtype == wire.TypeDNSKEY {
		k = signingKey{s.Key, s.private}
	}
	sig := &wire.RRSIG{
		Hdr: wire.RR_Header{Ttl: set[0].Header().Ttl}, KeyTag: k.key.KeyTag(), SignerName: s.name, Algorithm: s.Algorithm,
		Inception: uint32(s.now.Add(from).Unix()), Expiration: uint32(s.now.Add(to).Unix()),
	}
	if private, ok := k.private.(ed448.PrivateKey); ok {
		return sig, signed448(sig, private, set)
	}
	return sig, sig.Sign(signer(k.private), set)
}

func (s *Signed) types(name string) []uint16 {
	var out []uint16
	for t := range s.nodes[name] {
		if !slices.Contains(s.cuts, name) || t == wire.TypeDS || t == wire.TypeNS {
			out = append(out, t)
		}
	}
	if len(out) > 0 && (!slices.Contains(s.cuts, name) || slices.Contains(out, wire.TypeDS)) {
		out = append(out, wire.TypeRRSIG)
	}
	return out
}

func (s *Signed) chainNSEC() error {
	var names []string
	for name := range s.nodes {
		if !s.glue(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, order)
	for i, name := range names {
		bits := append(s.types(name), wire.TypeNSEC)
		if !slices.Contains(bits, wire.TypeRRSIG) {
			bits = append(bits, wire.TypeRRSIG)
		}
		slices.Sort(bits)
		rr := &wire.NSEC{Hdr: wire.RR_Header{Name: name, Rrtype: wire.TypeNSEC, Class: wire.ClassINET, Ttl: s.TTL}, NextDomain: names[(i+1)%len(names)], TypeBitMap: bits}
		if err := s.deny(name, rr); err != nil {
			return err
		}
	}
	return nil
}

func (s *Signed) deny(key string, rr wire.RR) error {
	sig, err := s.signature([]wire.RR{rr})
	if err != nil {
		return err
	}
	s.chain = append(s.chain, link{key, rr, []wire.RR{sig}})
	return nil
}

// order is canonical order by reversed labels; the names of tests are plain.
func order(a, b string) int {
	x, y := wire.SplitDomainName(a), wire.SplitDomainName(b)
	slices.Reverse(x)
	slices.Reverse(y)
	return slices.Compare(x, y)
}

func (s *Signed) hash(name string) string {
	return strings.ToLower(wire.HashName(name, wire.SHA1, s.Iterations, s.Salt))
}

func (s *Signed) chain3() error {
	param := &wire.NSEC3PARAM{Hdr: wire.RR_Header{Name: s.name, Rrtype: wire.TypeNSEC3PARAM, Class: wire.ClassINET, Ttl: 0}, Hash: wire.SHA1, Iterations: s.Iterations, SaltLength: uint8(len(s.Salt) / 2), Salt: s.Salt}
	s.Add(param)
	sig, err := s.signature([]wire.RR{param})
	if err != nil {
		return err
	}
	s.sigs[s.name][wire.TypeNSEC3PARAM] = []wire.RR{sig}
	names := map[string][]uint16{}
	var left []string // the hashes of delegations that are left out
	for name := range s.nodes {
		if s.glue(name) {
			continue
		}
		if s.leftOut(name) {
			left = append(left, s.hash(name))
			continue
		}
		names[s.hash(name)] = s.types(name)
		for up := name; up != s.name; {
			i, _ := wire.NextLabel(up, 0)
			if up = up[i:]; up == "" {
				up = "."
			}
			if h := s.hash(up); names[h] == nil {
				names[h] = s.types(up)
			}
		}
	}
	var hashes []string
	for h := range names {
		hashes = append(hashes, h)
	}
	slices.Sort(hashes)
	for i, h := range hashes {
		bits := slices.Clone(names[h])
		slices.Sort(bits)
		flags, next := uint8(0), hashes[(i+1)%len(hashes)]
		inside := func(l string) bool { return l > h && (l < next || next <= h) || next <= h && l < next }
		if s.OptOut && (!s.Partly || slices.ContainsFunc(left, inside)) {
			flags = 1
		}
		owner := h + "." + strings.TrimPrefix(s.name, ".")
		rr := &wire.NSEC3{Hdr: wire.RR_Header{Name: owner, Rrtype: wire.TypeNSEC3, Class: wire.ClassINET, Ttl: s.TTL}, Hash: wire.SHA1, Flags: flags, Iterations: s.Iterations,
			SaltLength: uint8(len(s.Salt) / 2), Salt: s.Salt, HashLength: 20, NextDomain: strings.ToUpper(next), TypeBitMap: bits}
		if err := s.deny(h, rr); err != nil {
			return err
		}
	}
	return nil
}

// leftOut reports an unsigned delegation that opt-out leaves without an NSEC3 record of its own; with
// Partly that is so for half of them.
func (s *Signed) leftOut(name string) bool {
	if !s.OptOut || !slices.Contains(s.cuts, name) || s.nodes[name][wire.TypeDS] != nil {
		return false
	}
	return !s.Partly || s.hash(name)[0] < 'g'
}

// File is the zone as lines of a zone file, signatures included, the SOA first.
func (s *Signed) File() string {
	var b strings.Builder
	fmt.Fprintln(&b, s.nodes[s.name][wire.TypeSOA][0])
	for _, side := range []map[string]map[uint16][]wire.RR{s.nodes, s.sigs} {
		for _, name := range slices.Sorted(maps.Keys(side)) {
			for _, t := range slices.Sorted(maps.Keys(side[name])) {
				for _, rr := range side[name][t] {
					if rr.Header().Rrtype != wire.TypeSOA {
						fmt.Fprintln(&b, rr)
					}
				}
			}
		}
	}
	for _, l := range s.chain {
		fmt.Fprintln(&b, l.rr)
		for _, sig := range l.sigs {
			fmt.Fprintln(&b, sig)
		}
	}
	return b.String()
}
