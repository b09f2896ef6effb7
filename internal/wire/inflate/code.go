package inflate

import "math/bits"

const (
	longest = 15 // bits of a symbol
	short   = 9  // bits of a symbol that is found at once
)

// code is a Huffman code, of which the lengths say all (RFC 1951 §3.2.2).
type code struct {
	count   [longest + 1]int // how many symbols have a length
	symbols [288]uint16      // by length, then by number
	// quick is, for each of the next bits, the short symbol that they begin with, times 16,
	// and its length; 0 if they begin with none.
	quick [1 << short]uint16
}

// makeCode makes the code of the symbols' lengths, 0 for those that do not occur. It is
// false if they make none. One that leaves words without a meaning may have a single
// symbol only, or none.
func makeCode(of []byte) (c code, ok bool) {
	for _, n := range of {
		c.count[n]++
	}
	used := len(of) - c.count[0]
	c.count[0] = 0
	left := 1
	var next [longest + 2]int
	for n := 1; n <= longest; n++ {
		if left = left*2 - c.count[n]; left < 0 {
			return c, false
		}
		next[n+1] = next[n] + c.count[n]
	}
	for s, n := range of {
		if n != 0 {
			c.symbols[next[n]] = uint16(s)
			next[n]++
		}
	}
	c.fillQuick()
	return c, left == 0 || used == 0 || used == 1 && c.count[1] == 1
}

// fillQuick finds the words of short symbols: they follow each other, and stand in the input
// with their first bit lowest.
func (c *code) fillQuick() {
	word, index := 0, 0
	for n := 1; n <= short; n++ {
		for range c.count[n] {
			first := int(bits.Reverse16(uint16(word))) >> (16 - n)
			for i := first; i < len(c.quick); i += 1 << n {
				c.quick[i] = c.symbols[index]<<4 | uint16(n)
			}
			index++
			word++
		}
		word <<= 1
	}
}

// symbol reads one, and not an octet more than it stands in.
func (r *Reader) symbol(c *code) (int, error) {
	for {
		q := c.quick[r.bits&(1<<short-1)]
		if n := uint(q & 15); n > 0 && n <= r.have {
			r.bits >>= n
			r.have -= n
			return int(q >> 4), nil
		}
		if r.have >= short {
			return r.longSymbol(c)
		}
		b, err := r.octet()
		if err != nil {
			return 0, err
		}
		r.bits |= uint32(b) << r.have
		r.have += 8
	}
}

// longSymbol reads one bit by bit.
func (r *Reader) longSymbol(c *code) (int, error) {
	word, first, index := 0, 0, 0
	for n := 1; n <= longest; n++ {
		bit, err := r.take(1)
		if err != nil {
			return 0, err
		}
		word |= bit
		if word-first < c.count[n] {
			return int(c.symbols[index+word-first]), nil
		}
		index += c.count[n]
		first = (first + c.count[n]) << 1
		word <<= 1
	}
	return 0, ErrCorrupt
}

var fixedText, fixedBack = fixedCodes()

// fixedCodes are those of a block that brings none (RFC 1951 §3.2.6).
func fixedCodes() (text, back code) {
	var of [288]byte
	for s := range of {
		switch {
		case s < 144:
			of[s] = 8
		case s < 256:
			of[s] = 9
		case s < 280:
			of[s] = 7
		default:
			of[s] = 8
		}
	}
	text, _ = makeCode(of[:])
	for s := range of[:32] {
		of[s] = 5
	}
	back, _ = makeCode(of[:32])
	return text, back
}

// The order in which the lengths of the lengths' code come.
var lengthOrder = [...]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readCodes reads the codes that a block brings (RFC 1951 §3.2.7).
func (r *Reader) readCodes() error {
	head, err := r.take(14)
	if err != nil {
		return err
	}
	texts, backs, n := head&31+257, head>>5&31+1, head>>10+4
	if texts > 286 || backs > 30 {
		return ErrCorrupt
	}
	var of [19]byte
	for _, s := range lengthOrder[:n] {
		v, err := r.take(3)
		if err != nil {
			return err
		}
		of[s] = byte(v)
	}
	c, ok := makeCode(of[:])
	if !ok {
		return ErrCorrupt
	}
	var all [286 + 30]byte
	if err := r.readLengths(&c, all[:texts+backs]); err != nil {
		return err
	}
	var okText, okBack bool
	r.text, okText = makeCode(all[:texts])
	r.back, okBack = makeCode(all[texts : texts+backs])
	if !okText || !okBack || all[256] == 0 { // without an end
		return ErrCorrupt
	}
	return nil
}

// readLengths reads the lengths of symbols, in their own code.
func (r *Reader) readLengths(c *code, of []byte) error {
	for i := 0; i < len(of); {
		s, err := r.symbol(c)
		if err != nil {
			return err
		}
		value, times, bits := byte(s), 1, uint(0)
		switch s {
		case 16:
			if i == 0 {
				return ErrCorrupt
			}
			value, times, bits = of[i-1], 3, 2
		case 17:
			value, times, bits = 0, 3, 3
		case 18:
			value, times, bits = 0, 11, 7
		}
		more, err := r.take(bits)
		if err != nil {
			return err
		}
		if times += more; i+times > len(of) {
			return ErrCorrupt
		}
		for range times {
			of[i] = value
			i++
		}
	}
	return nil
}
