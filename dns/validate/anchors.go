package validate

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate/proof"
)

// rootAnchors are the root's key-signing keys as IANA publishes them in
// https://data.iana.org/root-anchors/root-anchors.xml, the
// keys made in 2017 and 2024 (read in November 2026).
const rootAnchors = `. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
. IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
`

// RootAnchors are the built-in trust anchors of the root (VAL-3).
func RootAnchors() []proof.Anchor {
	a, err := ParseAnchors(bytes.NewReader([]byte(rootAnchors)))
	if err != nil {
		panic(err) // a constant, which a test reads
	}
	return a
}

// maxAnchors bounds a file of trust anchors.
const maxAnchors = 1 << 20

// ParseAnchors reads trust anchors: DS and DNSKEY records as in a zone file. DNSKEY
// records must be zone keys, and not revoked.
func ParseAnchors(r io.Reader) ([]proof.Anchor, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAnchors+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAnchors {
		return nil, errors.New("the file of trust anchors is too large")
	}
	var out []proof.Anchor
	at := map[string]int{}
	of := func(name string) *proof.Anchor {
		name = wire.CanonicalName(name)
		i, ok := at[name]
		if !ok {
			i = len(out)
			at[name] = i
			out = append(out, proof.Anchor{Zone: name})
		}
		return &out[i]
	}
	zp := wire.NewZoneParser(bytes.NewReader(b), ".", "")
	zp.SetDefaultTTL(3600)
	zp.SetIncludeAllowed(false)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		switch rr := rr.(type) {
		case *wire.DS:
			a := of(rr.Hdr.Name)
			a.DS = append(a.DS, rr)
		case *wire.DNSKEY:
			if rr.Flags&wire.ZONE == 0 || rr.Flags&wire.REVOKE != 0 || rr.Protocol != 3 {
				return nil, fmt.Errorf("the DNSKEY record of %s is no zone key, or is revoked", rr.Hdr.Name)
			}
			a := of(rr.Hdr.Name)
			a.Keys = append(a.Keys, rr)
		default:
			return nil, fmt.Errorf("%s: a trust anchor is a DS or a DNSKEY record", rr.Header().Name)
		}
	}
	if err := zp.Err(); err != nil {
		return nil, fmt.Errorf("reading trust anchors: %w", err)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no trust anchor in it")
	}
	return out, nil
}
