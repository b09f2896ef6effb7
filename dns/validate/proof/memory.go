package proof

import (
	"crypto/sha256"
	"encoding/binary"
)

// Sum stands for a signature that was found valid: that of those octets, by that key.
type Sum [sha256.Size]byte

// Memory remembers signatures that were found valid. Signatures live for days and the
// TTLs of records for minutes, so that a set which is asked for again mostly comes with
// the signature that it had before. That a signature was valid once says nothing of its
// dates, nor of whether the key is still the zone's: both are looked at each time.
type Memory interface {
	Valid(Sum) bool
	Remember(Sum)
}

// remembered is the Sum of a signature over data by k, and whether it was found valid before. What is
// hashed ends with the lengths of key and signature, so that it can be divided in one way only.
func (p *Prover) remembered(k *key, data, signature []byte) (sum Sum, known bool) {
	if p.Memory == nil {
		return sum, false
	}
	b := append(append(data, k.public...), signature...) // data stays as it is
	b = append(b, k.algorithm)
	b = binary.BigEndian.AppendUint32(b, uint32(len(k.public)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(signature)))
	p.buffer = b
	sum = sha256.Sum256(b)
	return sum, p.Memory.Valid(sum)
}
