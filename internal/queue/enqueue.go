package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/bounce"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	header "waxwing/message"
)

// Enqueue takes responsibility for a message: when it returns nil, the message
// and all its recipients are durable, and the runner has been told. On an error
// nothing was accepted. It gives env and its recipients their identifiers where
// they are zero, and sets Accepted and Size. If c is a delivery.Bytes, its
// octets must not be changed afterwards: the first attempt may read them.
func (q *Queue) Enqueue(ctx context.Context, env *delivery.Envelope, c delivery.Content) error {
	q.setup()
	held, err := q.prepare(ctx, env, c)
	if err != nil {
		return err
	}
	m, err := q.message(ctx, env, c, held)
	if err != nil {
		return err
	}
	if m.inline == nil {
		if err := q.putBody(ctx, env.ID, c, stays(env)); err != nil {
			return err
		}
	}
	groups := m.groups()
	done, err := q.arrive(ctx, m, c, groups)
	if err != nil {
		q.removeBody(ctx, m, err)
	}
	if done || err != nil {
		return err
	}
	contacts := make([]delivery.Contact, len(groups))
	for i, g := range groups {
		contacts[i] = g[0].Contact
	}
	m.leased = !env.NotBefore.After(q.Now()) && !m.held() && q.board.Reserve(contacts, env.Account, int64(len(m.inline)))
	if m.leased {
		m.lease = q.newLease(store.NewID(), q.Now())
		defer q.claims.put(m.lease.Number)()
		m.take()
	}
	if err := q.Store.Write(ctx, m.insert); err != nil {
		if m.leased {
			q.board.Unreserve(len(contacts), env.Account, int64(len(m.inline)))
		}
		q.removeBody(ctx, m, err)
		return fmt.Errorf("queue the message: %w", err)
	}
	if !m.leased {
		q.Wake()
		return nil
	}
	q.hand(ctx, m, groups)
	return nil
}

// EnqueueTx is Enqueue inside a transaction of the caller, who calls Wake after
// the commit. A content of more than MaxInline octets must have gone through Prepare.
func (q *Queue) EnqueueTx(tx *store.Tx, env *delivery.Envelope, c delivery.Content) error {
	q.setup()
	held, err := q.prepare(tx.Context(), env, c)
	if err != nil {
		return err
	}
	return q.insert(tx, env, c, held)
}

// MaxInline is up to how many octets a message is written in one transaction with its
// envelope.
const MaxInline = body.MaxInline

// Prepare stores the octets of a message for EnqueueTx, where they are more than one
// transaction should write, and gives env its identifier. What it returns is to be
// given to EnqueueTx, with the same env. Where that comes to nothing, the sweep removes it.
func (q *Queue) Prepare(ctx context.Context, env *delivery.Envelope, c delivery.Content) (delivery.Content, error) {
	q.setup()
	if c.Size() <= MaxInline {
		return c, nil
	}
	if env.ID == 0 {
		env.ID = store.NewID()
	}
	if err := q.putBody(ctx, env.ID, c, stays(env)); err != nil {
		return nil, err
	}
	return prepared{c, env.ID}, nil
}

// prepared is a content whose body is in the store already, as that of a message.
type prepared struct {
	delivery.Content
	id int64
}

// insert writes a prepared message as waiting.
func (q *Queue) insert(tx *store.Tx, env *delivery.Envelope, c delivery.Content, held map[int64]string) error {
	m, err := q.message(tx.Context(), env, c, held)
	if err != nil {
		return err
	}
	if p, ok := c.(prepared); m.inline == nil && (!ok || p.id != env.ID) {
		return fmt.Errorf("a message of %d octets was not prepared for the transaction that queues it", c.Size())
	}
	return m.insert(tx)
}

// prepare completes an envelope, and says which recipients are to be held and why.
func (q *Queue) prepare(ctx context.Context, env *delivery.Envelope, c delivery.Content) (held map[int64]string, err error) {
	if len(env.Recipients) == 0 {
		return nil, errors.New("a message without recipients cannot be queued")
	}
	if env.ID == 0 {
		env.ID = store.NewID()
	}
	if env.Accepted.IsZero() {
		env.Accepted = q.Now()
	}
	env.Size = c.Size()
	for i := range env.Recipients {
		r := &env.Recipients[i]
		if r.ID == 0 {
			r.ID = store.NewID()
		}
		if !r.Local && q.IsLocal != nil {
			local, err := q.IsLocal(ctx, r.Domain)
			if err != nil {
				return nil, fmt.Errorf("ask whether %s is local: %w", r.Domain, err)
			}
			r.Local = local
		}
		why, err := q.holds(ctx, env, r.Domain)
		if err != nil {
			return nil, err
		}
		if why != "" {
			if held == nil {
				held = map[int64]string{}
			}
			held[r.ID] = why
		}
	}
	return held, nil
}

// holds asks the hold rules; "" is no. Our own notifications and reports are
// never held: they are no users' mail.
func (q *Queue) holds(ctx context.Context, env *delivery.Envelope, d delivery.RecipientDomain) (string, error) {
	if env.Quarantine.Word != "" {
		return env.Quarantine.Text, nil
	}
	if q.Holds == nil || env.Purpose != delivery.Mail {
		return "", nil
	}
	why, err := q.Holds(ctx, env.Account, env.Sender, d)
	if err != nil {
		return "", fmt.Errorf("ask the hold rules: %w", err)
	}
	return why, nil
}

// message makes of a prepared envelope what is written.
func (q *Queue) message(ctx context.Context, env *delivery.Envelope, c delivery.Content, held map[int64]string) (*message, error) {
	m := &message{accepted: q.Accepted, env: env, entries: make([]spool.Entry, len(env.Recipients)), ways: q.ways(ctx)}
	if err := m.read(c); err != nil {
		return nil, fmt.Errorf("read the message to queue it: %w", err)
	}
	m.pack()
	if err := m.identify(c); err != nil {
		return nil, fmt.Errorf("read the header of the message to queue it: %w", err)
	}
	now, schedule := q.Now(), q.schedule(env.Purpose)
	for i, r := range env.Recipients {
		e := &m.entries[i]
		*e = spool.Entry{Recipient: r, Message: env.ID, DomainText: r.Domain.String(), Account: env.Account, Due: now}
		if env.NotBefore.After(now) {
			e.Due = env.NotBefore
		}
		e.Contact = contactOf(m.ways, env, e, 0)
		e.Attend = bounce.Attend(env, &r, schedule, e.Due)
		if why := held[r.ID]; why != "" {
			e.State, e.Word, e.Text = spool.Held, cmp.Or(env.Quarantine.Word, reason.HoldRule), why
		}
	}
	return m, nil
}

// groups parts recipients by domain and locality: one job each (QUE-1).
func (m *message) groups() [][]spool.Entry {
	if len(m.entries) == 1 {
		return [][]spool.Entry{slices.Clone(m.entries)}
	}
	type key struct {
		d     delivery.RecipientDomain
		local bool
	}
	at := map[key]int{}
	var out [][]spool.Entry
	for _, e := range m.entries {
		k := key{e.Domain, e.Local}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], e)
	}
	return out
}

// take makes the rows those of an attempt that is about to begin, and that they count.
func (m *message) take() {
	for i := range m.entries {
		e := &m.entries[i]
		e.State, e.Owner, e.Claim, e.Due, e.Attend, e.Attempts = spool.Leased, m.lease.Owner, m.lease.Number, m.lease.End, time.Time{}, 1
	}
}

// held reports that a hold rule holds some of the recipients.
func (m *message) held() bool {
	return slices.ContainsFunc(m.entries, func(e spool.Entry) bool { return e.State == spool.Held })
}

// hand puts a message that was written as leased on the board.
func (q *Queue) hand(ctx context.Context, m *message, groups [][]spool.Entry) {
	jobs := make([]*job, len(groups))
	for i, g := range groups {
		jobs[i] = q.newJob(*m.env, g, m.lease)
		jobs[i].released = true // the hold rules were asked at acceptance
		if m.inline != nil {
			jobs[i].content = delivery.Bytes(m.inline)
		}
		jobs[i].choose(m.ways)
	}
	jobs[0].Memory = int64(len(m.inline))
	if refused := q.board.Add(jobs, true); len(refused) > 0 { // the runner stopped meanwhile
		q.giveBack(context.WithoutCancel(ctx), refused, q.Now())
	}
	q.start()
}

// message is one message on its way into the store.
type message struct {
	accepted func(*store.Tx, *delivery.Envelope) error
	env      *delivery.Envelope
	entries  []spool.Entry
	ways     *route.Ways // nil: to the recipients' domains
	inline   []byte      // nil: the body is stored already
	packed   body.Packed // inline, as it is stored
	leased   bool
	lease    spool.Lease // if it is
}

// read loads a small content.
func (m *message) read(c delivery.Content) error {
	if b, ok := c.(delivery.Bytes); ok && len(b) <= MaxInline {
		m.inline = nonNil(b)
		return nil
	}
	if c.Size() > MaxInline {
		return nil
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, MaxInline+1))
	if err != nil {
		return err
	}
	if int64(len(b)) != c.Size() {
		return fmt.Errorf("the message has %d octets, %d were announced", len(b), c.Size())
	}
	m.inline = nonNil(b)
	return nil
}

// headOctets is how much of a message is looked through for its Message-ID.
const headOctets = 64 << 10

// identify finds the Message-ID in the header (OPS-5).
func (m *message) identify(c delivery.Content) error {
	if m.inline != nil {
		m.env.MessageID = header.MessageID(m.inline[:min(len(m.inline), headOctets)])
		return nil
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	head, err := io.ReadAll(io.LimitReader(r, headOctets))
	m.env.MessageID = header.MessageID(head)
	return err
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// insert writes envelope, body and recipients.
func (m *message) insert(tx *store.Tx) error {
	if err := spool.InsertEnvelope(tx, m.env, len(m.entries), time.Time{}); err != nil {
		return err
	}
	if err := m.useBody(tx); err != nil {
		return err
	}
	if err := spool.InsertEntries(tx, m.entries); err != nil {
		return err
	}
	due := spool.Due{}
	for i := range m.entries {
		if e := &m.entries[i]; e.State == spool.Waiting {
			due.At(e.Lane(), e.Due)
		}
	}
	if err := due.Write(tx); err != nil {
		return err
	}
	return m.conclude(tx)
}

// conclude is what others write of an accepted message.
func (m *message) conclude(tx *store.Tx) error {
	if m.accepted == nil {
		return nil
	}
	return m.accepted(tx, m.env)
}
