package structure

// Decode reads what AppendBinary wrote. The error is ErrEncoding.
func Decode(b []byte) (*Message, error) {
	if len(b) == 0 || b[0]&^moved != version {
		return nil, ErrEncoding
	}
	d := decoder{s: string(b[1:]), parts: MaxParts + 1}
	var before int64
	if b[0]&moved != 0 {
		before = int64(d.uvarint() & (1<<31 - 1))
	}
	m := &Message{Root: &Part{}}
	d.envelope(&m.Envelope)
	m.References = d.string()
	m.Preview = d.string()
	d.part(m.Root, 0, 0)
	if d.bad || d.i != len(d.s) {
		return nil, ErrEncoding
	}
	if before > 0 {
		m.Root.shift(before)
		m.Root.Start = 0
	}
	return m, nil
}

// shift moves a part and what is in it behind n octets.
func (p *Part) shift(n int64) {
	p.Start, p.Body, p.End = p.Start+n, p.Body+n, p.End+n
	for _, child := range p.Parts {
		child.shift(n)
	}
}

// decoder reads an encoding whose strings are pieces of one string. What it reads is nothing once
// bad is set.
type decoder struct {
	s     string
	i     int
	parts int // that may yet come
	bad   bool
}

func (d *decoder) fail() { d.bad, d.i = true, len(d.s) }

func (d *decoder) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64 && d.i < len(d.s); shift += 7 {
		c := d.s[d.i]
		d.i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	d.fail()
	return 0
}

// count reads how many follow, of which each has at least one octet.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.s)-d.i) {
		d.fail()
		return 0
	}
	return int(n)
}

// maxOffset keeps sums of numbers from overflowing.
const maxOffset = 1 << 50

func (d *decoder) number() int64 {
	n := d.uvarint()
	if n > maxOffset {
		d.fail()
		return 0
	}
	return int64(n)
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n&1 != 0 {
		if n>>1 < uint64(len(words)) {
			return words[n>>1]
		}
		d.fail()
		return ""
	}
	if n >>= 1; n > uint64(len(d.s)-d.i) {
		d.fail()
		return ""
	}
	s := d.s[d.i : d.i+int(n)]
	d.i += int(n)
	return s
}

func (d *decoder) envelope(e *Envelope) {
	flags := d.uvarint()
	e.Present = Fields(flags)
	for i, s := range e.texts() {
		if e.Present&(1<<i) != 0 {
			*s = d.string()
		}
	}
	for i, l := range e.lists() {
		if flags&(1<<(8+i)) != 0 {
			*l = d.addresses()
		}
	}
}

func (d *decoder) addresses() []Address {
	n := d.count()
	if n > maxAddresses {
		d.fail()
		return nil
	}
	out := make([]Address, n)
	for i := range out {
		d.address(&out[i])
	}
	return out
}

func (d *decoder) address(a *Address) {
	flags := d.uvarint()
	a.Kind = AddressKind(flags & 3)
	a.Mailbox = d.string()
	for i, s := range a.optional() {
		if flags&(hasName<<i) != 0 {
			*s = d.string()
		}
	}
}

func (d *decoder) part(p *Part, from int64, depth int) {
	if d.parts--; d.parts < 0 || depth > 2*MaxDepth || d.bad {
		d.fail()
		return
	}
	flags := uint(d.uvarint())
	p.Type, p.Subtype = d.string(), d.string()
	p.Start = from + d.number()
	p.Body = p.Start + d.number()
	p.End = p.Body + d.number()
	p.Lines = d.number()
	if p.End > maxOffset {
		d.fail()
		return
	}
	if flags&hasParams != 0 {
		p.Params = d.params()
	}
	for i, s := range p.optional() {
		if flags&optionalBits[i] != 0 {
			*s = d.string()
		}
	}
	if flags&hasDisposition != 0 {
		p.DispParams = d.params()
	}
	if flags&hasLanguage != 0 {
		for range d.count() {
			p.Language = append(p.Language, d.string())
		}
	}
	if flags&hasEnvelope != 0 {
		p.Envelope = &Envelope{}
		d.envelope(p.Envelope)
	}
	if flags&hasParts != 0 {
		d.children(p, depth+1)
	}
}

func (d *decoder) children(p *Part, depth int) {
	n := d.count()
	if n > d.parts {
		d.fail()
		return
	}
	all := make([]Part, n)
	p.Parts = make([]*Part, n)
	at := p.Body
	for i := range all {
		p.Parts[i] = &all[i]
		d.part(p.Parts[i], at, depth)
		at = all[i].End
	}
}

func (d *decoder) params() []Param {
	n := d.count()
	if n == 0 {
		return nil
	}
	out := make([]Param, n)
	for i := range out {
		out[i] = Param{d.string(), d.string()}
	}
	return out
}
