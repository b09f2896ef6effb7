package stspolicy

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/singleflight"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/reason"
	"waxwing/internal/store"
	"waxwing/mtasts"
)

// Fetcher gets a policy over HTTPS; *mtasts.Fetcher does. The text is the
// policy as it came. It honours ctx and is safe for concurrent use.
type Fetcher interface {
	Fetch(ctx context.Context, domain dns.Name) (*mtasts.Policy, []byte, *mtasts.Error)
}

// Cache finds the MTA-STS policy of a domain and keeps it in the store. It is
// safe for concurrent use; its fields must not change once it is in use.
type Cache struct {
	Store   *store.Store
	DNS     dns.Resolver // its cache bounds how often a record is asked for (STS-8)
	Fetcher Fetcher
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: discard
	Guard   *guard.Guard     // contains panics
	Rand    func() float64   // in [0, 1), for jitter; nil: math/rand/v2
	Every   time.Duration    // how often Run looks for what is due; 0: one minute
	// Fetched is told of every fetch over HTTPS, "ok" or the word of its error (STS-14); nil: nobody.
	Fetched func(result string, took time.Duration)

	flights singleflight.Group // fetches under way in this process, by domain
	rows    store.Keyed[string, *Entry]
}

// landed is what a fetch came to; not ok: whoever led it was cancelled.
type landed struct {
	finding delivery.Finding
	ok      bool
}

// touchEvery bounds how often a use is written down.
const touchEvery = time.Hour

// Find says what MTA-STS asks of mail to d, from the cache and the domain's
// record, and fetches the policy where it is not cached or new. It makes one
// fetch for a domain at a time (machines that meet a new domain in the same
// second make one each); an address literal has no MTA-STS.
func (c *Cache) Find(ctx context.Context, d delivery.RecipientDomain) delivery.Finding {
	if d.IsLiteral() || d.Name.IsZero() {
		return delivery.Finding{}
	}
	v, e, l, err := c.consult(ctx, d.Name)
	if err != nil {
		return c.unknown(d.Name, err)
	}
	if l.err != nil && l.err.AsNone() && l.err.Word != reason.STSNoRecord { // STS-12
		c.log().Info("MTA-STS record cannot be used, the domain counts as having none", "domain", d.Name.ASCII(), "word", string(l.err.Word), "text", l.err.Detail)
	}
	v.finding.Looked = true
	if v.fetch {
		f := c.fetchOnce(ctx, d.Name, false)
		f.Looked = true
		return f
	}
	now := c.now()
	switch {
	case v.drop:
		_, err = c.Forget(ctx, d.Name)
	case v.finding.Policy != nil && now.Sub(e.LastUsed) >= touchEvery:
		err = c.touch(ctx, d.Name, now)
	}
	if err != nil {
		c.log().Warn("MTA-STS cache not updated", "domain", d.Name.ASCII(), "error", err)
	}
	return v.finding
}

// Refresh looks the record up and fetches the policy whatever is cached, for
// an operator who does not want to wait. What Find would then say is returned.
func (c *Cache) Refresh(ctx context.Context, domain dns.Name) (delivery.Finding, error) {
	v, _, l, err := c.consult(ctx, domain)
	if err != nil {
		return delivery.Finding{}, err
	}
	if l.err != nil {
		return v.finding, l.err
	}
	f := c.fetchOnce(ctx, domain, true)
	if f.Failure != nil {
		return f, f.Failure
	}
	return f, nil
}

// consult reads the row and the record, and decides.
func (c *Cache) consult(ctx context.Context, domain dns.Name) (course, *Entry, lookup, error) {
	e, err := c.load(ctx, domain)
	if err != nil {
		return course{}, nil, lookup{}, err
	}
	var l lookup
	_, l.record, l.err = mtasts.LookupRecord(ctx, c.DNS, domain)
	return decide(e, l, c.now()), e, l, nil
}

// unknown is the finding where the cache cannot be read: a policy may be in
// force, so the mail waits.
func (c *Cache) unknown(domain dns.Name, err error) delivery.Finding {
	c.log().Error("MTA-STS cache not readable, mail waits", "domain", domain.ASCII(), "error", err)
	return delivery.Finding{Defer: true, Failure: &mtasts.Error{
		Word: reason.STSLookupFailed, Detail: "the policy cache cannot be read", Err: err,
	}}
}

// fetchOnce joins the fetch for domain that is under way, or leads one.
func (c *Cache) fetchOnce(ctx context.Context, domain dns.Name, always bool) delivery.Finding {
	for ctx.Err() == nil {
		fetch := c.flights.DoChan(domain.ASCII(), func() (any, error) {
			var l landed
			err := c.Guard.Try(guard.Fetch, func() error {
				l.finding, l.ok = c.fetch(ctx, domain, always)
				return nil
			})
			return l, err
		})
		select {
		case r := <-fetch:
			if r.Err != nil {
				return c.unknown(domain, r.Err)
			}
			if l, _ := r.Val.(landed); l.ok {
				return l.finding
			}
			// The leader was cancelled: that says nothing to us.
		case <-ctx.Done():
		}
	}
	return interrupted(ctx)
}

// interrupted is the finding of a lookup that was called off.
func interrupted(ctx context.Context) delivery.Finding {
	return delivery.Finding{Defer: true, Failure: &mtasts.Error{
		Word: reason.STSLookupFailed, Detail: "the lookup was interrupted", Err: context.Cause(ctx),
	}}
}

// fetch decides again, as its leader: a fetch that ended just now may have
// brought what is wanted. ok is false where ctx ended first; nothing is then
// remembered against the domain.
func (c *Cache) fetch(ctx context.Context, domain dns.Name, always bool) (_ delivery.Finding, ok bool) {
	v, e, l, err := c.consult(ctx, domain)
	if ctx.Err() != nil {
		return interrupted(ctx), false
	}
	if err != nil {
		return c.unknown(domain, err), true
	}
	if l.err != nil || !v.fetch && !always {
		return v.finding, true
	}
	return c.fetchPolicy(ctx, domain, e, l.record.ID)
}

// fetchPolicy fetches over HTTPS and keeps what comes, or that nothing came.
func (c *Cache) fetchPolicy(ctx context.Context, domain dns.Name, e *Entry, id string) (_ delivery.Finding, ok bool) {
	began := c.now()
	policy, text, ferr := c.Fetcher.Fetch(ctx, domain)
	c.told(ferr, c.now().Sub(began))
	if ferr != nil && ctx.Err() != nil {
		return interrupted(ctx), false
	}
	now := c.now()
	next := Entry{Domain: domain, LastUsed: now}
	if e != nil {
		next = *e
	}
	var finding delivery.Finding
	save := saveSuccess
	if ferr != nil {
		save = saveFailure
		next = failure(next, id, ferr, now)
		finding = inForce(&next, now)
		finding.Failure = ferr
	} else {
		next = success(next, fetched{policy, text, id, c.rand()}, now)
		// With max_age 0 the policy counts for this one delivery.
		finding = delivery.Finding{Policy: policy, ID: id, Fetched: now, Fresh: true}
	}
	if err := c.change(ctx, func(tx *store.Tx) (int64, error) { return save(tx, next) }); err != nil {
		c.log().Warn("MTA-STS policy not kept", "domain", domain.ASCII(), "error", err)
	}
	return finding, true
}

func (c *Cache) told(err *mtasts.Error, took time.Duration) {
	switch {
	case c.Fetched == nil:
	case err != nil:
		c.Fetched(string(err.Word), took)
	default:
		c.Fetched("ok", took)
	}
}

func (c *Cache) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Cache) rand() float64 {
	if c.Rand != nil {
		return c.Rand()
	}
	return rand.Float64()
}

func (c *Cache) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.New(slog.DiscardHandler)
}
