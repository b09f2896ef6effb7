package session

import (
	"cmp"
	"container/list"
	"crypto/sha256"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/smtpclient"
)

// Pool keeps connections for further messages (SES-6). The zero value is ready
// for use; its fields must not change once it is in use. One pool can serve
// several Clients: none gets a connection that another made. It is safe for
// concurrent use.
type Pool struct {
	MaxMessages int           // messages over one connection; 0: 100
	Idle        time.Duration // how long a connection is kept unused; 0: 5 s
	MaxIdle     int           // connections kept at one time, all hosts together; 0: 200
	Guard       *guard.Guard  // contains panics

	mu     sync.Mutex
	idle   map[poolKey][]*pooledConn // each in the order in which they came
	oldest *list.List                // of *pooledConn, all of idle in that order
	timer  *time.Timer               // for the first of oldest; set while there are any
	closed bool
}

// poolKey names all that a connection's worth depends on. It is made of the
// plan and of nothing that was seen on the connection. The recipient domain is
// not in it: domains that share a host share connections.
type poolKey struct {
	client         *Client // and with it roots, dialer and EHLO name
	addr           netip.Addr
	port           uint16
	host           delivery.MXHost
	tls            delivery.TLSLevel
	offer          delivery.TLSOffer
	implicit       bool
	fallback       bool
	pkix, dane     delivery.Check
	pkixName, sni  dns.Name
	names, records string
	login          [sha256.Size]byte
	// faults are those of the domain's policies: mail under them needs a session of
	// its own to count as failed (POL-7).
	faults string
	// Reports count apart from mail (RPT-3), so they have sessions of their own.
	purpose delivery.Purpose
}

// keyOf is the key of connections for a plan; false where none is ever kept:
// under REQUIRETLS each message has a session of its own.
func keyOf(c *Client, p *delivery.Plan, job *delivery.Job, addr netip.Addr) (poolKey, bool) {
	if p.RequireTLSVerb != delivery.CheckNone || job.Need == delivery.RequireTLS {
		return poolKey{}, false
	}
	k := poolKey{
		client: c, addr: addr, port: c.port(), host: p.Host.Name, tls: p.TLS, offer: offered(p), implicit: c.ImplicitTLS, fallback: p.PlaintextFallback,
		pkix: p.PKIX, dane: p.DANE, pkixName: p.PKIXName, sni: p.SNI, purpose: job.Purpose,
		names: nameList(p.DANENames), records: recordSet(p),
	}
	for _, r := range p.Reports {
		if r.Failed != nil {
			k.faults += string(r.Type) + " " + string(r.Failed.Word) + "\n"
		}
	}
	if k.purpose == delivery.DSN {
		k.purpose = delivery.Mail
	}
	if l := c.Login; l != nil {
		k.login = sha256.Sum256([]byte(l.User + "\x00" + l.Password + "\x00" + strings.Join(l.Mechanisms, " ")))
	}
	return k, true
}

func nameList(names []dns.Name) string {
	if len(names) == 0 {
		return ""
	}
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n.ASCII())
		b.WriteByte(' ')
	}
	return b.String()
}

// recordSet is the plan's TLSA records whatever their order: DNS turns them round.
func recordSet(p *delivery.Plan) string {
	if len(p.TLSA) == 0 {
		return ""
	}
	texts := make([]string, len(p.TLSA))
	for i, r := range p.TLSA {
		texts[i] = string([]byte{r.Usage, r.Selector, r.MatchingType}) + string(r.Data)
	}
	slices.Sort(texts)
	h := sha256.New()
	for _, t := range texts {
		h.Write([]byte{byte(len(t) >> 8), byte(len(t))})
		h.Write([]byte(t))
	}
	return string(h.Sum(nil))
}

// pooledConn is a connection with what is known of it. In the pool it is the pool's,
// else that of the session that took it.
type pooledConn struct {
	key    poolKey
	conn   *smtpclient.Conn
	check  *verifier                  // nil in plaintext
	facts  delivery.Session           // as they were found when it was made
	served []delivery.RecipientDomain // it was counted for these
	proven bool                       // see session

	at  time.Time // since when it is idle
	now time.Time // the same by the client's clock
	el  *list.Element
}

func (p *Pool) maxMessages() int        { return cmp.Or(max(p.MaxMessages, 0), 100) }
func (p *Pool) idleTime() time.Duration { return cmp.Or(max(p.Idle, 0), 5*time.Second) }
func (p *Pool) maxIdle() int            { return cmp.Or(max(p.MaxIdle, 0), 200) }

// has reports that a connection of that key is kept. Another may take it first.
func (p *Pool) has(k poolKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle[k]) > 0
}

// take gives out the connection of that key that was used last; nil if there is
// none. Connections on which something came unasked are closed on the way.
func (p *Pool) take(k poolKey, now time.Time) *pooledConn {
	for {
		c := p.pop(k)
		if c == nil {
			return nil
		}
		// The client's clock may run apart from the real one, in the lab.
		if now.Sub(c.now).Abs() <= p.idleTime() && c.conn.Quiet() {
			return c
		}
		c.conn.Part()
	}
}

func (p *Pool) pop(k poolKey) *pooledConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	cs := p.idle[k]
	if len(cs) == 0 {
		return nil
	}
	c := cs[len(cs)-1]
	p.remove(c, len(cs)-1)
	return c
}

// remove takes c, which is number i of its key, out. p.mu is held.
func (p *Pool) remove(c *pooledConn, i int) {
	p.oldest.Remove(c.el)
	c.el = nil
	cs := slices.Delete(p.idle[c.key], i, i+1)
	if len(cs) == 0 {
		delete(p.idle, c.key)
	} else {
		p.idle[c.key] = cs
	}
}

// put keeps c, and parts with the connection idle for longest if there are too many.
func (p *Pool) put(c *pooledConn) {
	c.at = time.Now()
	if out := p.insert(c); out != nil {
		out.conn.Part()
	}
}

// insert returns the connection for which there is no room.
func (p *Pool) insert(c *pooledConn) *pooledConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return c
	}
	if p.idle == nil {
		p.idle, p.oldest = map[poolKey][]*pooledConn{}, list.New()
	}
	c.el = p.oldest.PushBack(c)
	p.idle[c.key] = append(p.idle[c.key], c)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.idleTime(), p.Guard.Func(guard.Pool, p.expire))
	}
	if p.oldest.Len() > p.maxIdle() {
		return p.first()
	}
	return nil
}

// first takes out the connection that is idle for longest, which is also the
// first of its key. p.mu is held.
func (p *Pool) first() *pooledConn {
	c := p.oldest.Front().Value.(*pooledConn)
	p.remove(c, 0)
	return c
}

// expire parts with the connections that were idle for too long.
func (p *Pool) expire() {
	for _, c := range p.expired(time.Now()) {
		c.conn.Part()
	}
}

func (p *Pool) expired(now time.Time) []*pooledConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*pooledConn
	for p.oldest.Len() > 0 {
		end := p.oldest.Front().Value.(*pooledConn).at.Add(p.idleTime())
		if end.After(now) {
			p.timer.Reset(end.Sub(now))
			return out
		}
		out = append(out, p.first())
	}
	p.timer = nil
	return out
}

// Close parts with all connections that are kept, and keeps none from then on.
// It does not wait for the peers.
func (p *Pool) Close() error {
	for _, c := range p.closeAll() {
		c.conn.Part()
	}
	return nil
}

// closeAll takes all connections out, and lets none in any more.
func (p *Pool) closeAll() (out []*pooledConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for p.oldest != nil && p.oldest.Len() > 0 {
		out = append(out, p.first())
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	return out
}

// Len is how many connections are kept now.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.oldest == nil {
		return 0
	}
	return p.oldest.Len()
}
