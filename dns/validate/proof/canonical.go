package proof

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	wire "github.com/miekg/dns"
)

var errUnpackable = errors.New("a record that cannot be put into canonical form")

// maxSigned bounds the octets that one signature covers: those of one message.
const maxSigned = 1 << 16

// SignedData is the octets that a signature of set covers (RFC 4034 §3.1.8.1): the
// RRSIG without its signature, and the records in canonical form (§6.2, with the
// correction of RFC 6840 §5.1) and order, each once.
func SignedData(set []wire.RR, sig *wire.RRSIG) ([]byte, error) {
	datas, err := canonical(set)
	if err != nil {
		return nil, err
	}
	return signedData(set[0].Header().Name, datas, sig)
}

// canonical is the data of records in canonical form and order, each once (RFC 4034
// §6.3: as left-justified unsigned octets).
func canonical(set []wire.RR) ([][]byte, error) {
	if len(set) == 0 {
		return nil, errUnpackable
	}
	out := make([][]byte, 0, len(set))
	for _, rr := range set {
		b, err := rdata(rr)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	slices.SortFunc(out, bytes.Compare)
	return slices.CompactFunc(out, bytes.Equal), nil
}

func signedData(name string, datas [][]byte, sig *wire.RRSIG) ([]byte, error) {
	out := make([]byte, 0, 512)
	out = binary.BigEndian.AppendUint16(out, sig.TypeCovered)
	out = append(out, sig.Algorithm, sig.Labels)
	out = binary.BigEndian.AppendUint32(out, sig.OrigTtl)
	out = binary.BigEndian.AppendUint32(out, sig.Expiration)
	out = binary.BigEndian.AppendUint32(out, sig.Inception)
	out = binary.BigEndian.AppendUint16(out, sig.KeyTag)
	out, err := appendName(out, sig.SignerName)
	if err != nil {
		return nil, err
	}
	owner := canon(name)
	if wire.CountLabel(owner) > int(sig.Labels) {
		owner = wildcard(suffix(owner, int(sig.Labels)))
	}
	head, err := appendName(nil, owner)
	if err != nil {
		return nil, err
	}
	head = binary.BigEndian.AppendUint16(head, sig.TypeCovered)
	head = binary.BigEndian.AppendUint16(head, sig.Hdr.Class)
	head = binary.BigEndian.AppendUint32(head, sig.OrigTtl)
	for _, b := range datas {
		out = append(out, head...)
		out = binary.BigEndian.AppendUint16(out, uint16(len(b)))
		if out = append(out, b...); len(out) > maxSigned {
			return nil, errUnpackable
		}
	}
	return out, nil
}

func appendName(to []byte, name string) ([]byte, error) {
	var buf [256]byte
	n, err := wire.PackDomainName(wire.CanonicalName(name), buf[:], 0, nil, false)
	if err != nil {
		return nil, errUnpackable
	}
	return append(to, lower(buf[:n])...), nil
}

// rdata is a record's data in canonical form.
func rdata(rr wire.RR) ([]byte, error) {
	low := lowered(rr)
	buf := make([]byte, wire.Len(low)+16)
	n, err := wire.PackRR(low, buf, 0, nil, false)
	if err != nil {
		return nil, errUnpackable
	}
	var name [256]byte
	head, err := wire.PackDomainName(low.Header().Name, name[:], 0, nil, false)
	if err != nil || n < head+10 {
		return nil, errUnpackable
	}
	return buf[head+10 : n], nil
}

// lowered is rr with the names in its data in lower case, for the types of RFC 4034
// §6.2 (3). The record given is not changed. NSEC and RRSIG keep theirs (RFC 6840
// §5.1); HINFO has none.
func lowered(rr wire.RR) wire.RR {
	var names []*string
	rr = wire.Copy(rr)
	switch x := rr.(type) {
	case *wire.NS:
		names = []*string{&x.Ns}
	case *wire.MD:
		names = []*string{&x.Md}
	case *wire.MF:
		names = []*string{&x.Mf}
	case *wire.CNAME:
		names = []*string{&x.Target}
	case *wire.SOA:
		names = []*string{&x.Ns, &x.Mbox}
	case *wire.MB:
		names = []*string{&x.Mb}
	case *wire.MG:
		names = []*string{&x.Mg}
	case *wire.MR:
		names = []*string{&x.Mr}
	case *wire.PTR:
		names = []*string{&x.Ptr}
	case *wire.MINFO:
		names = []*string{&x.Rmail, &x.Email}
	case *wire.MX:
		names = []*string{&x.Mx}
	case *wire.RP:
		names = []*string{&x.Mbox, &x.Txt}
	case *wire.AFSDB:
		names = []*string{&x.Hostname}
	case *wire.RT:
		names = []*string{&x.Host}
	case *wire.SIG:
		names = []*string{&x.SignerName}
	case *wire.PX:
		names = []*string{&x.Map822, &x.Mapx400}
	case *wire.NAPTR:
		names = []*string{&x.Replacement}
	case *wire.KX:
		names = []*string{&x.Exchanger}
	case *wire.SRV:
		names = []*string{&x.Target}
	case *wire.DNAME:
		names = []*string{&x.Target}
	}
	for _, n := range names {
		*n = wire.CanonicalName(*n)
	}
	return rr
}
