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
	return signedData(nil, set[0].Header().Name, datas, sig)
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

// signedData appends to out.
func signedData(out []byte, name string, datas [][]byte, sig *wire.RRSIG) ([]byte, error) {
	begin := len(out)
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
		if out = append(out, b...); len(out)-begin > maxSigned {
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
	head := 0 // the octets of the owner's name
	for head < n && buf[head] != 0 {
		head += int(buf[head]) + 1
	}
	if head++; n < head+10 {
		return nil, errUnpackable
	}
	return buf[head+10 : n], nil
}

// lowered is rr with the names in its data in lower case, for the types of RFC 4034
// §6.2 (3). The record given is not changed, and is returned itself where that changes
// nothing. NSEC and RRSIG keep theirs (RFC 6840 §5.1); HINFO has none.
func lowered(rr wire.RR) wire.RR {
	same := true
	for _, n := range names(rr) {
		same = same && *n == wire.CanonicalName(*n)
	}
	if same {
		return rr
	}
	rr = wire.Copy(rr)
	for _, n := range names(rr) {
		*n = wire.CanonicalName(*n)
	}
	return rr
}

// names are the names in a record's data that have a canonical form.
func names(rr wire.RR) []*string {
	switch x := rr.(type) {
	case *wire.NS:
		return []*string{&x.Ns}
	case *wire.MD:
		return []*string{&x.Md}
	case *wire.MF:
		return []*string{&x.Mf}
	case *wire.CNAME:
		return []*string{&x.Target}
	case *wire.SOA:
		return []*string{&x.Ns, &x.Mbox}
	case *wire.MB:
		return []*string{&x.Mb}
	case *wire.MG:
		return []*string{&x.Mg}
	case *wire.MR:
		return []*string{&x.Mr}
	case *wire.PTR:
		return []*string{&x.Ptr}
	case *wire.MINFO:
		return []*string{&x.Rmail, &x.Email}
	case *wire.MX:
		return []*string{&x.Mx}
	case *wire.RP:
		return []*string{&x.Mbox, &x.Txt}
	case *wire.AFSDB:
		return []*string{&x.Hostname}
	case *wire.RT:
		return []*string{&x.Host}
	case *wire.SIG:
		return []*string{&x.SignerName}
	case *wire.PX:
		return []*string{&x.Map822, &x.Mapx400}
	case *wire.NAPTR:
		return []*string{&x.Replacement}
	case *wire.KX:
		return []*string{&x.Exchanger}
	case *wire.SRV:
		return []*string{&x.Target}
	case *wire.DNAME:
		return []*string{&x.Target}
	}
	return nil
}
