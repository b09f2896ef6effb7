// Package validate is a validating stub resolver: it asks recursive resolvers for
// answers as they are, and proves each by DNSSEC itself (VAL-1). What is proven is
// decided in dns/validate/proof; this package fetches and keeps what that needs. It
// stands behind dns.Client, as its Validator.
package validate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/validate/proof"
	"waxwing/internal/guard"
)

// Mode is when answers are validated here (VAL-2).
type Mode string

// The modes. Off and trust need no Validator.
const (
	Auto   Mode = "auto" // where the resolvers pass DNSSEC records
	Always Mode = "validate"
)

// Negative is a negative trust anchor (RFC 7646): what is at or below Name is not validated before Until.
type Negative struct {
	Name  dns.Name
	Until time.Time
}

// Validator proves answers. The exported fields must not change once it is in use;
// Fetch must be set. It is safe for concurrent use.
type Validator struct {
	// Fetch asks resolvers with DO and CD set; again counts the times that an answer was
	// not good enough.
	Fetch   func(ctx context.Context, name string, qtype uint16, again int) (*wire.Msg, error)
	Mode    Mode
	Anchors []proof.Anchor // to begin with; see SetAnchors
	// Learn tells what Anchors have come to by roll-overs that were followed (VAL-3). It is asked before
	// the first proof and then every hour, with an error again soon; with one, or nil, it stays as it is.
	Learn    func(context.Context) ([]proof.Anchor, error)
	Negative []Negative
	Limits   proof.Limits
	// Algorithms and Digests that count; nil: those that RFC 9904 has. Only tests set them.
	Algorithms proof.Algorithms
	Digests    proof.Digests
	Signed     dns.Name         // a signed name with which Auto tries the resolvers; zero: the root alone
	Total      time.Duration    // of a whole lookup; 0: 15 s
	Now        func() time.Time // nil: time.Now
	Guard      *guard.Guard     // contains panics
	Changed    func(on bool, why string)
	// Clock is told once if all signatures look as if this machine's clock were wrong; nil: nobody is (VAL-11).
	Clock func(text string)

	anchors atomic.Pointer[[]proof.Anchor] // set later
	known   cache
	valid   memory
	flights flights
	trial   trial
	cpu     chan struct{}
	made    sync.Once // of cpu and std
	std     struct {  // Algorithms and Digests, or what nil stands for
		algorithms proof.Algorithms
		digests    proof.Digests
	}
	clock  sync.Once
	learnt struct {
		sync.Mutex
		next time.Time
	}
}

var _ dns.Validator = (*Validator)(nil)

// rounds bounds the steps of one lookup; each asks for something new.
const rounds = 48

func (v *Validator) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// Lookup finds and proves the answer to a question. An answer that is Bogus is
// asked for once more elsewhere before it is believed (VAL-9).
func (v *Validator) Lookup(ctx context.Context, name string, qtype uint16) (dns.Proven, error) {
	l, err := v.examine(ctx, name, qtype)
	if err != nil {
		return dns.Proven{}, err
	}
	return l.proven(), nil
}

// Lookup is an answer with everything that its proof rests on.
type Lookup struct {
	Question proof.Question
	Message  *wire.Msg
	Proof    proof.Proof
	Zones    []*proof.Zone
	Cuts     []*proof.Cut
	Asked    int // questions to resolvers

	prover *proof.Prover // until Zones and Cuts are taken from it
}

func (l *Lookup) proven() dns.Proven {
	p := dns.Proven{Message: l.Message, Security: l.Proof.State, Code: l.Proof.Code, Text: l.Proof.Text, Limit: string(l.Proof.Limit), TTL: l.Proof.TTL}
	for i, link := range l.Proof.Links {
		p.Denied = link.Denied
		if !link.Denied && (i < len(l.Proof.Links)-1 || l.Proof.Next != "") {
			p.Aliases++
		}
	}
	return p
}

// Examine is Lookup with the whole chain of proof.
func (v *Validator) Examine(ctx context.Context, name string, qtype uint16) (*Lookup, error) {
	l, err := v.examine(ctx, name, qtype)
	if err == nil && l.prover != nil {
		l.Zones, l.Cuts = l.prover.Chain()
		l.prover = nil
	}
	return l, err
}

func (v *Validator) examine(ctx context.Context, name string, qtype uint16) (*Lookup, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(max(v.Total, 0), 15*time.Second))
	defer cancel()
	q := proof.Ask(name, qtype)
	budget := proof.NewBudget(v.Limits)
	first, err := v.try(ctx, q, 0, budget)
	if err != nil || first.Proof.State != dns.Bogus {
		return first, err
	}
	v.clockHint(first.Proof.Finding)
	// Another answer counts only by a proof of its own: that the zone is signed and the
	// records right, or that it is not signed.
	second, err := v.try(ctx, q, 1, budget.Again())
	if err != nil || second.Proof.State == dns.Bogus || second.Proof.State == dns.Indeterminate {
		return first, nil
	}
	second.Asked += first.Asked
	return second, nil
}

// clockHint: a root whose signatures are all out of their dates is a wrong clock (VAL-11).
func (v *Validator) clockHint(f proof.Finding) {
	if f.Zone != "." || f.Code != proof.CodeExpired && f.Code != proof.CodeNotYetValid || v.Clock == nil {
		return
	}
	v.clock.Do(func() {
		v.Clock(fmt.Sprintf("the signatures of the DNS root look wrong in time: is it really %s? (%s)", v.now().UTC().Format(time.RFC3339), f.Text))
	})
}

// try is one attempt. again > 0: nothing that was found bogus before counts.
func (v *Validator) try(ctx context.Context, q proof.Question, again int, budget *proof.Budget) (*Lookup, error) {
	msg, err := v.flights.do(ctx, v, q, again)
	if err != nil {
		return nil, err
	}
	l := &Lookup{Question: q, Message: msg, Asked: 1}
	if msg.Rcode != wire.RcodeSuccess && msg.Rcode != wire.RcodeNameError {
		return l, nil // the caller says what a SERVFAIL is; nothing is proven
	}
	v.prepare()
	now := v.now()
	p := &proof.Prover{
		Anchors: v.believed(ctx), Negative: v.negatives(), Algorithms: v.std.algorithms, Digests: v.std.digests, Now: now, Budget: budget,
		Known: &view{c: &v.known, now: now, fresh: again > 0}, Memory: &v.valid, Messages: make(map[proof.Question]*wire.Msg),
	}
	for range rounds {
		var needs []proof.Question
		if err := v.compute(ctx, func() { l.Proof, needs = p.Prove(q, msg) }); err != nil {
			return nil, err
		}
		if len(needs) == 0 {
			l.prover = p
			return l, nil
		}
		l.Asked += len(needs)
		if err := v.fetch(ctx, needs, again, p.Messages); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the proof of the answer needs too many steps")
}

// SetAnchors has other trust anchors count from now on (VAL-3). What was proven by one that is
// gone is forgotten.
func (v *Validator) SetAnchors(a []proof.Anchor) {
	before := v.Anchors
	if old := v.anchors.Swap(&a); old != nil {
		before = *old
	}
	if !slices.EqualFunc(before, a, sameAnchor) {
		v.known.flush()
	}
}

func sameAnchor(a, b proof.Anchor) bool {
	return a.Zone == b.Zone && slices.EqualFunc(a.DS, b.DS, func(x, y *wire.DS) bool { return wire.IsDuplicate(x, y) }) &&
		slices.EqualFunc(a.Keys, b.Keys, func(x, y *wire.DNSKEY) bool { return wire.IsDuplicate(x, y) })
}

// When Learn is asked again.
const (
	learnEvery = time.Hour
	learnAgain = 10 * time.Second // where it could not tell: the lookup that asked may have been given up
)

func (v *Validator) learn(ctx context.Context) {
	v.learnt.Lock()
	defer v.learnt.Unlock()
	if v.Learn == nil || v.now().Before(v.learnt.next) {
		return
	}
	a, err := v.Learn(ctx)
	if err != nil {
		v.learnt.next = v.now().Add(learnAgain)
		return
	}
	v.learnt.next = v.now().Add(learnEvery)
	if a != nil {
		v.SetAnchors(a)
	}
}

func (v *Validator) believed(ctx context.Context) []proof.Anchor {
	v.learn(ctx)
	if a := v.anchors.Load(); a != nil {
		return *a
	}
	return v.Anchors
}

func (v *Validator) negatives() []string {
	var out []string
	for _, n := range v.Negative {
		if v.now().Before(n.Until) {
			out = append(out, n.Name.ASCII()+".")
		}
	}
	return out
}

// prepare makes what all lookups share.
func (v *Validator) prepare() {
	v.made.Do(func() {
		v.cpu = make(chan struct{}, max(1, runtime.NumCPU()/2))
		if v.std.algorithms = v.Algorithms; v.Algorithms == nil {
			v.std.algorithms = proof.Standard()
		}
		if v.std.digests = v.Digests; v.Digests == nil {
			v.std.digests = proof.StandardDigests()
		}
	})
}

// compute does arithmetic on at most half the cores (VAL-7).
func (v *Validator) compute(ctx context.Context, fn func()) error {
	select {
	case v.cpu <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-v.cpu }()
	fn()
	return nil
}

// fetch gets what the proof needs, all at once.
func (v *Validator) fetch(ctx context.Context, needs []proof.Question, again int, into map[proof.Question]*wire.Msg) error {
	msgs, errs := make([]*wire.Msg, len(needs)), make([]error, len(needs))
	var all guard.Group
	for i, q := range needs {
		all.Go(func() { msgs[i], errs[i] = v.flights.do(ctx, v, q, again) })
	}
	all.Wait()
	for i, q := range needs {
		switch m := msgs[i]; {
		case errs[i] != nil:
			return fmt.Errorf("asking for %s: %w", q, errs[i])
		case m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError:
			return fmt.Errorf("asking for %s: the resolver says %s", q, wire.RcodeToString[m.Rcode])
		default:
			into[q] = m
		}
	}
	return nil
}

// flights are the questions under way: each is asked once, whoever waits for it.
type flights struct {
	mu  sync.Mutex
	now map[flight]*call
}

type flight struct {
	q     proof.Question
	again int
}

type call struct {
	done chan struct{}
	msg  *wire.Msg
	err  error
}

func (f *flights) do(ctx context.Context, v *Validator, q proof.Question, again int) (*wire.Msg, error) {
	key := flight{q, again}
	c, begin := f.join(key)
	if begin {
		ctx := context.WithoutCancel(ctx)
		v.Guard.Go(guard.Resolver, func() { f.run(ctx, v, key, c) })
	}
	select {
	case <-c.done:
		return c.msg, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join is the flight for a key; begin: it is new, and the caller has to run it.
func (f *flights) join(key flight) (c *call, begin bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.now[key]; c != nil {
		return c, false
	}
	if f.now == nil {
		f.now = make(map[flight]*call)
	}
	c = &call{done: make(chan struct{}), err: errors.New("the question could not be asked")}
	f.now[key] = c
	return c, true
}

func (f *flights) run(ctx context.Context, v *Validator, key flight, c *call) {
	defer func() {
		f.mu.Lock()
		delete(f.now, key)
		f.mu.Unlock()
		close(c.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(max(v.Total, 0), 15*time.Second))
	defer cancel()
	c.msg, c.err = v.Fetch(ctx, key.q.Name, key.q.Type, key.again)
}

// trial is what Auto knows of the resolvers.
type trial struct {
	mu      sync.Mutex
	running bool
	done    bool
	on      bool
	at      time.Time // of the last trial, or as if it had been then
	heard   time.Time // that own validation was found to work
	why     string
	first   chan struct{}
}

const (
	// between is how long what was found of the resolvers counts; where they said nothing, that is tried again soon.
	between = 10 * time.Minute
	soon    = time.Minute
	// patience is for how long resolvers may be silent before it counts that they were good. Their silence proves nothing, and
	// believes nothing either: lookups fail, and mail waits.
	patience = 30 * time.Minute
)

// Ready reports whether own validation is at work. In the mode Auto the resolvers are
// tried by the first lookup, for which all wait, and every ten minutes by one, or after a minute where they were silent (VAL-2).
func (v *Validator) Ready(ctx context.Context) bool {
	if v.Mode == Always {
		return true
	}
	t := &v.trial
	first, begin := t.join(v.now())
	if begin {
		ctx := context.WithoutCancel(ctx)
		v.Guard.Go(guard.Resolver, func() { v.runTrial(ctx) })
	}
	select {
	case <-first:
	case <-ctx.Done():
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.on
}

// join is what is closed after the first trial; begin: a trial is due, and the caller has to run it.
func (t *trial) join(now time.Time) (first chan struct{}, begin bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		t.first = make(chan struct{})
	}
	begin = !t.running && (!t.done || now.Sub(t.at) >= between)
	t.running = t.running || begin
	return t.first, begin
}

// found is what a trial came to.
type found struct {
	why    string // own validation does not work; "": it does
	silent bool   // since there was no answer, or none that says anything of the resolvers
}

// settle notes what a trial found, and reports whether that is news.
func (t *trial) settle(now time.Time, f found) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	on := f.why == ""
	if on {
		t.heard = now
	}
	if f.silent && t.on && now.Sub(t.heard) < patience {
		on, f.why = true, ""
	}
	changed := !t.done || t.on != on
	if !t.done {
		close(t.first)
	}
	t.running, t.done, t.on, t.at, t.why = false, true, on, now, f.why
	if f.silent {
		t.at = now.Add(soon - between)
	}
	return changed
}

// Why is what the last trial of the resolvers found; empty: they pass DNSSEC records.
func (v *Validator) Why() string {
	v.trial.mu.Lock()
	defer v.trial.mu.Unlock()
	return v.trial.why
}

func (v *Validator) runTrial(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	f := found{why: "the trial was broken off"}
	defer func() {
		if v.trial.settle(v.now(), f) && v.Changed != nil {
			v.Changed(f.why == "", f.why)
		}
	}()
	f = v.test(ctx)
}

// Test asks for the root's keys and a signed name, and says in words why own
// validation does not work with the resolvers; empty: it does.
func (v *Validator) Test(ctx context.Context) string { return v.test(ctx).why }

func (v *Validator) test(ctx context.Context) found {
	asked := []proof.Question{{Name: ".", Type: wire.TypeDNSKEY}}
	if !v.Signed.IsZero() {
		asked = append(asked, proof.Ask(v.Signed.ASCII(), wire.TypeSOA))
	}
	for _, q := range asked {
		l, err := v.Examine(ctx, q.Name, q.Type)
		switch {
		case err != nil:
			return found{fmt.Sprintf("no answer for %s: %v", q, err), true}
		case l.Message.Rcode != wire.RcodeSuccess && l.Message.Rcode != wire.RcodeNameError:
			return found{fmt.Sprintf("%s for %s", wire.RcodeToString[l.Message.Rcode], q), l.Message.Rcode == wire.RcodeServerFailure}
		case l.Proof.State != dns.Secure && !hasSignature(l.Message):
			return found{why: "the resolver leaves DNSSEC records out of its answers (" + q.String() + ")"}
		case l.Proof.State != dns.Secure:
			return found{why: fmt.Sprintf("%s is %s: %s", q, l.Proof.State, l.Proof.Text)}
		}
	}
	return found{}
}

func hasSignature(m *wire.Msg) bool {
	return slices.ContainsFunc(slices.Concat(m.Answer, m.Ns), func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeRRSIG })
}
