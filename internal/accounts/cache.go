package accounts

import (
	"waxwing/dns"
	"waxwing/internal/account"
)

// maxCache bounds each part of the cache: a sender that tries names may fill it, no
// more.
const (
	maxCache = 10_000 // domains, and answers
	maxBook  = 10_000 // addresses of one domain that are held in memory
	maxBooks = 50_000 // and of all
)

// cache remembers what the tables say in one generation: the hosted domains and, of
// a domain that was asked for, all addresses. So a name that is not here, which
// anybody may try at any rate, costs the database nothing either. Domains with too many
// addresses have their answers remembered one by one.
type cache struct {
	gen     int64
	hosted  map[dns.Name]bool
	whole   bool // a domain that hosted does not have is not hosted
	many    bool // more domains than are remembered as a whole
	books   map[dns.Name]book
	rows    int // in the books
	targets map[asked]found
}

// book is all addresses of a domain, by local part; nil where they are too many.
type book map[string]account.Target

// asked is the question of a Resolve.
type asked struct {
	local  string // normalised
	domain dns.Name
}

// found is the answer: a target or one of the package's errors.
type found struct {
	target account.Target
	err    error
}

// at empties the cache if it is of another generation.
func (c *cache) at(gen int64) {
	if c.gen != gen || c.hosted == nil {
		*c = cache{gen: gen, hosted: map[dns.Name]bool{}, books: map[dns.Name]book{}, targets: map[asked]found{}}
	}
}

// isHosted answers from memory, where that is known.
func (c *cache) isHosted(name dns.Name) (hosted, known bool) {
	hosted, known = c.hosted[name]
	return hosted, known || c.whole
}

// resolve answers from memory, where that is known.
func (c *cache) resolve(q asked) (found, bool) {
	if f, ok := c.targets[q]; ok {
		return f, true
	}
	if q.domain.IsZero() {
		return found{err: ErrNotHosted}, q.local != postmaster
	}
	if hosted, known := c.isHosted(q.domain); !hosted {
		return found{err: ErrNotHosted}, known
	}
	rows := c.books[q.domain]
	return choose(rows, q), rows != nil && !needsFirst(rows, q)
}

// keepDomains notes what is hosted.
func (c *cache) keepDomains(names []dns.Name) {
	if c.many = len(names) > maxCache; c.many {
		return
	}
	for _, n := range names {
		c.hosted[n] = true
	}
	c.whole = true
}

// keepHosted notes one domain.
func (c *cache) keepHosted(name dns.Name, hosted bool) {
	if len(c.hosted) >= maxCache && !c.whole {
		clear(c.hosted)
	}
	c.hosted[name] = hosted
}

// keepBook notes a domain's addresses; more than maxBook of them only as too many.
func (c *cache) keepBook(name dns.Name, b book) {
	if len(b) > maxBook {
		b = nil
	}
	if c.rows+len(b) > maxBooks || len(c.books) >= maxCache {
		clear(c.books)
		c.rows = 0
	}
	c.books[name] = b
	c.rows += len(b)
}

// keepTarget notes one answer.
func (c *cache) keepTarget(q asked, f found) {
	if len(c.targets) >= maxCache {
		clear(c.targets)
	}
	c.targets[q] = f
}
