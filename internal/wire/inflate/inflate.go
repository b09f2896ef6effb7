// Package inflate reads compressed text (RFC 1951) as it comes: all that a block says can be read
// once the block has ended, and no octet beyond is waited for.
//
// Clients need that which end what they say with zlib's partial flush, as mbsync does. Such a
// flush is an empty block of 10 bits, of which up to 7 stay back until more is said. Readers
// made for files look that far ahead, or hand out nothing before their window is full: client
// and server then wait for each other.
package inflate

import (
	"bufio"
	"errors"
	"io"
)

// ErrCorrupt is what is not compressed in this way.
var ErrCorrupt = errors.New("inflate: corrupt input")

const windowSize = 32 << 10 // a power of two; RFC 1951 §2: how far back a text repeats itself

// Reader decompresses. It holds 32 KiB and the codes of a block, whatever it reads.
type Reader struct {
	in     io.ByteReader
	bits   uint32 // that have been read and not used, the next one lowest
	have   uint   // how many
	window [windowSize]byte
	total  uint64 // octets decompressed
	given  uint64 // octets handed out
	stored int    // octets that follow of a block that is not compressed
	coded  bool   // within a block of the two codes
	text   code
	back   code
	final  bool // the block is the last
	err    error
}

// NewReader reads from in, octet by octet if it can.
func NewReader(in io.Reader) *Reader {
	b, ok := in.(io.ByteReader)
	if !ok {
		b = bufio.NewReader(in)
	}
	return &Reader{in: b}
}

// Read waits only if nothing is there.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.total == r.given {
		if r.err != nil {
			return 0, r.err
		}
		r.err = r.advance()
	}
	n := 0
	for n < len(p) && r.given < r.total {
		from := int(r.given % windowSize)
		m := copy(p[n:], r.window[from:min(windowSize, from+int(r.total-r.given))])
		n, r.given = n+m, r.given+uint64(m)
	}
	return n, nil
}

// advance decompresses up to the end of the block, or until the window is half full of what
// was not handed out.
func (r *Reader) advance() error {
	switch {
	case r.stored > 0:
		return r.copyStored()
	case r.coded:
		return r.decode()
	case r.final:
		return io.EOF
	}
	head, err := r.take(3)
	if err != nil {
		return err
	}
	r.final = head&1 == 1
	switch head >> 1 {
	case 0:
		return r.startStored()
	case 1:
		r.coded, r.text, r.back = true, fixedText, fixedBack
		return nil
	case 2:
		r.coded = true
		return r.readCodes()
	}
	return ErrCorrupt
}

// octet reads one of the input, which must not end here.
func (r *Reader) octet() (byte, error) {
	b, err := r.in.ReadByte()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// take is the next n bits, at most 16.
func (r *Reader) take(n uint) (int, error) {
	for r.have < n {
		b, err := r.octet()
		if err != nil {
			return 0, err
		}
		r.bits |= uint32(b) << r.have
		r.have += 8
	}
	v := r.bits & (1<<n - 1)
	r.bits >>= n
	r.have -= n
	return int(v), nil
}

func (r *Reader) put(b byte) {
	r.window[r.total%windowSize] = b
	r.total++
}

// room reports that more can be decompressed before some is handed out.
func (r *Reader) room() bool { return r.total-r.given < windowSize/2 }

// startStored begins a block that is not compressed (RFC 1951 §3.2.4).
func (r *Reader) startStored() error {
	r.bits, r.have = 0, 0 // at most 7 bits: take reads no octet before it is needed
	var head [4]byte
	for i := range head {
		var err error
		if head[i], err = r.octet(); err != nil {
			return err
		}
	}
	if head[0] != ^head[2] || head[1] != ^head[3] {
		return ErrCorrupt
	}
	r.stored = int(head[0]) | int(head[1])<<8
	return nil
}

func (r *Reader) copyStored() error {
	for ; r.stored > 0 && r.room(); r.stored-- {
		b, err := r.octet()
		if err != nil {
			return err
		}
		r.put(b)
	}
	return nil
}

// decode is the text of a block (RFC 1951 §3.2.3).
func (r *Reader) decode() error {
	for r.room() {
		s, err := r.symbol(&r.text)
		switch {
		case err != nil:
			return err
		case s < 256:
			r.put(byte(s))
		case s == 256:
			r.coded = false
			return nil
		default:
			if err := r.repeat(s - 257); err != nil {
				return err
			}
		}
	}
	return nil
}

// How long a repetition is, and how far back it begins (RFC 1951 §3.2.5).
var (
	lengths    = [...]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthBits = [...]uint{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	starts     = [...]int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	startBits  = [...]uint{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

func (r *Reader) repeat(s int) error {
	if s >= len(lengths) {
		return ErrCorrupt
	}
	more, err := r.take(lengthBits[s])
	if err != nil {
		return err
	}
	n := lengths[s] + more
	if s, err = r.symbol(&r.back); err != nil {
		return err
	}
	if s >= len(starts) {
		return ErrCorrupt
	}
	if more, err = r.take(startBits[s]); err != nil {
		return err
	}
	distance := uint64(starts[s] + more)
	if distance > r.total {
		return ErrCorrupt
	}
	for range n {
		r.put(r.window[(r.total-distance)%windowSize])
	}
	return nil
}
