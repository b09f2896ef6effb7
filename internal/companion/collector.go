package companion

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
)

// Collector takes libtlsrpt's datagrams and stores what they say like the
// results of our own deliveries (CMP-2). The UTC day is that of the storing, so
// that a finished day never grows. One goroutine only reads: the kernel keeps no
// more than a handful of datagrams, and what finds no room there is lost before
// anybody can count it.
type Collector struct {
	Conn    *net.UnixConn // see Bind
	Store   *store.Store
	Off     bool             // read and forget: nothing is reported (tlsrpt.send = false)
	Faults  *Faults          // what the Resolver told Postfix; nil: nothing
	Queue   int              // datagrams that wait to be stored, at most; 0: 20,000
	Now     func() time.Time // nil: time.Now
	Metrics *Metrics         // nil: none
	Log     *slog.Logger     // nil: discard
	Guard   *guard.Guard     // contains panics

	fullOnce, badOnce sometimes
	policies          policies
	raw               [][]byte               // a batch that is not read yet
	batch             []delivery.Observation // of a batch that is not stored yet
	batchID           int64                  // that batch's, whatever became of a commit
	batchDatagrams    int
	batchPanics       int
}

const (
	defaultQueue = 20_000
	queueOctets  = 16 << 20
	batch        = 500              // datagrams stored together
	batchOctets  = 2 << 20          // and what they have at most; one may have more
	maxPanics    = 3                // over one batch
	lastReads    = 1000             // more than the kernel holds
	lastChance   = 10 * time.Second // to store what is left when told to stop
	longestPause = 30 * time.Second
	// maxKeys bounds the policies of a day. Postfix meets far fewer; who writes
	// falsehoods into the socket must not fill the disk.
	maxKeys = 50_000
)

// Run collects until ctx ends, then stores what was read and closes Conn. The
// error is of the socket.
func (c *Collector) Run(ctx context.Context) error {
	q := newIntake(cmp.Or(c.Queue, defaultQueue), queueOctets)
	stop := context.AfterFunc(ctx, func() { _ = c.Conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	read := make(chan error, 1)
	c.Guard.Go(guard.Datagram, func() {
		read <- c.Guard.Keep(ctx, guard.Datagram, func(context.Context) error { return c.read(q) })
	})
	for {
		select {
		case <-q.filled:
			c.empty(ctx, q)
			continue
		case err := <-read:
			c.Conn.Close()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastChance)
			defer cancel()
			c.empty(last, q)
			if n := c.batchDatagrams + len(c.raw) + q.len(); n > 0 {
				c.Metrics.datagram(lost, n)
				logger(c.Log).Error("TLSRPT datagrams were lost: they could not be stored before the end", "datagrams", n)
			}
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read TLSRPT datagrams: %w", err)
		}
	}
}

// empty stores what q holds, whatever panics meanwhile.
func (c *Collector) empty(ctx context.Context, q *intake) {
	for !c.Guard.Do(guard.Datagram, func() { c.drain(ctx, q) }) {
		c.giveUp()
	}
}

// giveUp counts the batch as lost over which storing has panicked too often. It
// reports whether that is so.
func (c *Collector) giveUp() bool {
	if c.batchPanics++; c.batchPanics < maxPanics {
		return false
	}
	n := c.batchDatagrams + len(c.raw)
	c.Metrics.datagram(lost, n)
	logger(c.Log).Error("TLSRPT datagrams were lost: reading or storing them panics", "datagrams", n)
	c.raw, c.batch, c.batchDatagrams, c.batchPanics = nil, nil, 0, 0
	return true
}

// read fills q until the socket is closed, or its deadline has passed and the
// kernel holds no more.
func (c *Collector) read(q *intake) error {
	buf := make([]byte, maxDatagram+1)
	for {
		n, _, flags, _, err := c.Conn.ReadMsgUnix(buf, nil)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.readRest(q, buf)
			return err
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			c.badOnce.do(c.now(), func() { logger(c.Log).Warn("a TLSRPT datagram could not be read", "error", err) })
			time.Sleep(10 * time.Millisecond) // never in a busy loop
		default:
			c.put(q, buf[:n], flags)
		}
	}
}

// readRest reads what the kernel still holds.
func (c *Collector) readRest(q *intake, buf []byte) {
	raw, err := c.Conn.SyscallConn()
	if err != nil {
		return // closed meanwhile
	}
	_ = raw.Control(func(fd uintptr) {
		for range lastReads {
			n, _, flags, _, err := syscall.Recvmsg(int(fd), buf, nil, syscall.MSG_DONTWAIT)
			if err != nil {
				return
			}
			c.put(q, buf[:n], flags)
		}
	})
}

// put queues a copy of a datagram, or counts it as dropped.
func (c *Collector) put(q *intake, b []byte, flags int) {
	switch {
	case flags&syscall.MSG_TRUNC != 0 || len(b) > maxDatagram:
		c.Metrics.datagram(truncated, 1)
		c.badOnce.do(c.now(), func() {
			logger(c.Log).Warn("a TLSRPT datagram is too long and was dropped", "most", maxDatagram)
		})
	case !q.put(b):
		c.Metrics.datagram(queueFull, 1)
		c.fullOnce.do(c.now(), func() {
			logger(c.Log).Warn("TLSRPT datagrams are dropped: they come faster than they can be stored")
		})
	}
}

// drain stores what q holds, or ends with ctx and keeps what is left.
func (c *Collector) drain(ctx context.Context, q *intake) {
	for {
		if c.batchDatagrams == 0 {
			if len(c.raw) == 0 {
				c.raw = q.take(batch, batchOctets)
			}
			if len(c.raw) == 0 {
				return
			}
			c.batch, c.batchDatagrams = c.observe(c.raw)
			c.raw, c.batchID = nil, store.NewID()
		}
		if len(c.batch) > 0 && !c.Off && !c.save(ctx, c.batchID, c.batch) {
			return
		}
		c.Metrics.datagram(stored, c.batchDatagrams)
		c.batch, c.batchDatagrams, c.batchPanics = nil, 0, 0
	}
}

// observe parses a batch; datagrams is how many of it were good.
func (c *Collector) observe(batch [][]byte) (obs []delivery.Observation, datagrams int) {
	now := c.now()
	day := tlsresult.Day(now)
	faultOf := func(d dns.Name) *delivery.TLSFailure { return c.Faults.of(d, now) }
	for _, b := range batch {
		var o observed
		err := c.Guard.Try(guard.Datagram, func() (err error) {
			o, err = observe(b, faultOf)
			return err
		})
		switch {
		case err != nil:
			c.Metrics.datagram(malformed, 1)
			c.badOnce.do(c.now(), func() {
				logger(c.Log).Warn("a TLSRPT datagram was dropped", "error", err, "datagram", foreign.Clip(line(string(b)), 300))
			})
			continue
		case !c.policies.admit(day, o.observations):
			c.Metrics.datagram(tooMany, 1)
			c.fullOnce.do(c.now(), func() {
				logger(c.Log).Warn("TLSRPT datagrams are dropped: they name more different policies today than can be true", "most", maxKeys)
			})
			continue
		}
		datagrams++
		obs = append(obs, o.observations...)
		c.count(o)
	}
	return obs, datagrams
}

func (c *Collector) count(o observed) {
	for range o.unverified {
		c.Metrics.session("sts", "unverified")
	}
	for i := range o.observations {
		result := "ok"
		if o.observations[i].Failed > 0 {
			result = "failed"
		}
		c.Metrics.session(string(o.observations[i].Type), result)
	}
}

// save stores a batch, again and again until it succeeds; false: ctx ended.
func (c *Collector) save(ctx context.Context, id int64, obs []delivery.Observation) bool {
	for pause := time.Second; ; pause = min(2*pause, longestPause) {
		err := c.Store.Write(ctx, func(tx *store.Tx) error { return saveOnce(tx, id, c.now(), obs) })
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if guard.Contained(err) && c.giveUp() {
			return true
		}
		logger(c.Log).Error("TLS results of Postfix not stored", "error", err, "again-in", pause)
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		}
	}
}

// saveOnce stores a batch unless it is stored. Where the connection to PostgreSQL
// ends in the middle of a commit, nobody knows what became of it; who tries again
// must not count twice.
func saveOnce(tx *store.Tx, id int64, now time.Time, obs []delivery.Observation) error {
	n, err := tx.Exec(`INSERT INTO tls_batches (id, at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING`, id, store.Time(now))
	if err != nil {
		return fmt.Errorf("note a batch of TLS results: %w", err)
	}
	if n == 0 {
		return nil
	}
	return tlsresult.Save(tx, now, obs)
}

func (c *Collector) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// policies are the different rows that a day's datagrams made.
type policies struct {
	day  int64
	seen map[[16]byte]struct{}
}

// admit reports whether obs fit within maxKeys, and takes them in if they do.
func (p *policies) admit(day int64, obs []delivery.Observation) bool {
	if p.day != day || p.seen == nil {
		p.day, p.seen = day, map[[16]byte]struct{}{}
	}
	var fresh [][16]byte
	for i := range obs {
		if k := policyKey(&obs[i]); !p.has(k) {
			fresh = append(fresh, k)
		}
	}
	if len(p.seen)+len(fresh) > maxKeys {
		return false
	}
	for _, k := range fresh {
		p.seen[k] = struct{}{}
	}
	return true
}

func (p *policies) has(k [16]byte) bool {
	_, ok := p.seen[k]
	return ok
}

func policyKey(o *delivery.Observation) [16]byte {
	h := sha256.New()
	// Encoding strings into a hash cannot fail.
	_ = json.NewEncoder(h).Encode([]any{o.RecipientDomain.ASCII(), o.Type, o.PolicyDomain.ASCII(), o.Strings, o.MX})
	return [16]byte(h.Sum(nil)[:16])
}

// sometimes does a thing at most once a minute: a hostile or broken sender must
// not fill the log.
type sometimes struct {
	mu   sync.Mutex
	last time.Time
}

func (s *sometimes) do(now time.Time, fn func()) {
	s.mu.Lock()
	due := s.last.IsZero() || now.Sub(s.last) >= time.Minute || now.Before(s.last)
	if due {
		s.last = now
	}
	s.mu.Unlock()
	if due {
		fn()
	}
}
