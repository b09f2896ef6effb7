package validate

import (
	"container/list"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/dns/validate/proof"
)

// cache keeps what was proven of zones and cuts, the one used longest ago goes
// first (VAL-8). Its zero value is ready.
type cache struct {
	mu      sync.Mutex
	entries map[string]*list.Element // of *entry; "Z" or "C" before the name
	used    list.List                // latest use first
	octets  int
}

type entry struct {
	key     string
	zone    *proof.Zone
	cut     *proof.Cut
	kept    time.Time
	expires time.Time
	octets  int
	renewed bool // a lookup proves it anew, before it ends
}

const (
	maxEntries = 20_000
	maxOctets  = 32 << 20
	// failureTTL is how long something that is not proven is kept (VAL-8).
	failureTTL = time.Minute
)

// get finds an entry. Near its end one caller is told that there is none, and proves
// it anew, while others use it still.
func (c *cache) get(key string, now time.Time) (*entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.entries[key]
	if !ok {
		return nil, false
	}
	e := el.Value.(*entry)
	if !now.Before(e.expires) {
		c.drop(el)
		return nil, false
	}
	if left, whole := e.expires.Sub(now), e.expires.Sub(e.kept); left < whole/10 && !e.renewed {
		e.renewed = true
		return nil, false
	}
	c.used.MoveToFront(el)
	return e, true
}

func (c *cache) put(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[string]*list.Element)
	}
	if el, ok := c.entries[e.key]; ok {
		c.drop(el)
	}
	c.entries[e.key] = c.used.PushFront(e)
	c.octets += e.octets
	for len(c.entries) > maxEntries || c.octets > maxOctets {
		c.drop(c.used.Back())
	}
}

func (c *cache) drop(el *list.Element) {
	e := el.Value.(*entry)
	delete(c.entries, e.key)
	c.used.Remove(el)
	c.octets -= e.octets
}

// flush forgets everything.
func (c *cache) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.used.Init()
	c.octets = 0
}

// view is the cache as one lookup sees it.
type view struct {
	c     *cache
	now   time.Time
	fresh bool // what is not proven does not count: it is asked for again (VAL-9)
}

var _ proof.Known = (*view)(nil)

func (v *view) Zone(name string) (*proof.Zone, bool) {
	e, ok := v.c.get("Z"+name, v.now)
	if !ok || v.fresh && e.zone.State != dns.Secure {
		return nil, false
	}
	z := *e.zone
	z.TTL = e.expires.Sub(v.now)
	return &z, true
}

func (v *view) Cut(name string) (*proof.Cut, bool) {
	e, ok := v.c.get("C"+name, v.now)
	if !ok || v.fresh && e.cut.State != dns.Secure {
		return nil, false
	}
	c := *e.cut
	c.TTL = e.expires.Sub(v.now)
	return &c, true
}

// lasts is when something ends: its TTL, a signature's end, a minute for a failure.
func (v *view) lasts(state dns.Security, ttl time.Duration, until time.Time) time.Time {
	if state != dns.Secure && state != dns.Insecure {
		return v.now.Add(failureTTL)
	}
	end := v.now.Add(ttl)
	if !until.IsZero() && until.Before(end) {
		end = until
	}
	return end
}

// overhead is about what an entry takes beside its records.
const overhead = 600

func (v *view) PutZone(z *proof.Zone) {
	size := overhead
	for _, k := range z.Records {
		size += 2*len(k.PublicKey) + 200
	}
	kept := *z
	v.c.put(&entry{key: "Z" + z.Name, zone: &kept, kept: v.now, expires: v.lasts(z.State, z.TTL, z.Until), octets: size})
}

func (v *view) PutCut(c *proof.Cut) {
	kept := *c
	v.c.put(&entry{key: "C" + c.Name, cut: &kept, kept: v.now, expires: v.lasts(c.State, c.TTL, c.Until), octets: overhead + 200*len(c.DS)})
}
