package listing

import (
	"math/bits"
	"slices"
	"strings"

	"waxwing/internal/mailbox"
)

// MaxPatterns bounds the octets of the patterns of one LIST: each is tried with each of some thousand names.
const MaxPatterns = 8 << 10

// words are so many as hold a bit for each place in a name, which mailbox bounds, and one for its end.
const words = 5

// maxName is how long a name can be that is matched, in octets.
const maxName = 64*words - 1

// places are places in a name, of which the n-th stands before its n-th octet.
type places [words]uint64

// matcher matches names with patterns: "*" is anything, "%" anything within a level. All places up to which a
// pattern has come are kept in a few words, so that a step takes no longer for a long name.
type matcher struct {
	patterns []string
	level    bool // a pattern ends in "%": a name above a mailbox is shown to those who ask for one level

	has   [256]places // behind which places an octet stands
	inner places      // behind which no "/" stands
}

func newMatcher(patterns []string) *matcher {
	m := &matcher{level: slices.ContainsFunc(patterns, func(p string) bool { return strings.HasSuffix(p, "%") })}
	for _, p := range patterns {
		if first, _, _ := strings.Cut(p, "/"); strings.EqualFold(first, mailbox.Inbox) {
			p = mailbox.Inbox + p[len(first):]
		}
		if p = simple(p); len(p)-strings.Count(p, "*")-strings.Count(p, "%") <= maxName {
			m.patterns = append(m.patterns, p)
		}
	}
	slices.Sort(m.patterns)
	m.patterns = slices.Compact(m.patterns)
	return m
}

// simple is a pattern with one wildcard where several stand together.
func simple(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); {
		n := i
		for n < len(p) && (p[n] == '*' || p[n] == '%') {
			n++
		}
		switch {
		case n == i:
			b.WriteByte(p[i])
			n++
		case strings.Contains(p[i:n], "*"):
			b.WriteByte('*')
		default:
			b.WriteByte('%')
		}
		i = n
	}
	return b.String()
}

// any reports that a pattern matches a name.
func (m *matcher) any(name string) bool {
	if len(name) > maxName {
		return false
	}
	m.inner = places{}
	for i := range len(name) {
		m.has[name[i]][i/64] |= 1 << (i % 64)
		if name[i] != '/' {
			m.inner[i/64] |= 1 << (i % 64)
		}
	}
	is := slices.ContainsFunc(m.patterns, func(p string) bool { return m.match(p, len(name)) })
	for i := range len(name) {
		m.has[name[i]] = places{}
	}
	return is
}

// match matches one pattern with the name that any has taken apart.
func (m *matcher) match(pattern string, n int) bool {
	at := places{1} // up to which the pattern so far matches
	for i := range len(pattern) {
		switch c := pattern[i]; c {
		case '*':
			at = at.onward()
		case '%':
			at = at.through(&m.inner)
		default:
			at = at.over(&m.has[c])
		}
		if at == (places{}) {
			return false
		}
	}
	return at[n/64]&(1<<(n%64)) != 0
}

// over are the places behind those of p behind which a certain octet stands.
func (p places) over(octet *places) (out places) {
	carry := uint64(0)
	for i := range p {
		x := p[i] & octet[i]
		out[i], carry = x<<1|carry, x>>63
	}
	return out
}

// onward are the first place and all behind it.
func (p places) onward() places {
	for i := range p {
		if p[i] != 0 {
			p[i] |= -(p[i] & -p[i])
			for j := i + 1; j < words; j++ {
				p[j] = ^uint64(0)
			}
			return p
		}
	}
	return p
}

// through are those of p and all that can be reached from them without leaving a run of inner: a carry that is added at the
// beginning of a run goes to its end.
func (p places) through(inner *places) (out places) {
	carry := uint64(0)
	for i := range p {
		var sum uint64
		sum, carry = bits.Add64(p[i]&inner[i], inner[i], carry)
		out[i] = sum ^ inner[i] | p[i]
	}
	return out
}
