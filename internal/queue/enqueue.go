package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/retry"
	"waxwing/internal/route"
	"waxwing/internal/store"
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
	m := message{env: env, held: held, ways: q.ways(ctx)}
	if err := m.read(c); err != nil {
		return fmt.Errorf("read the message to queue it: %w", err)
	}
	if m.inline == nil {
		if err := q.putBody(ctx, env.ID, c); err != nil {
			return err
		}
	}
	groups := groupRecipients(env.Recipients)
	done, err := q.arrive(ctx, &m, groups)
	if err != nil {
		q.removeBody(ctx, &m, err)
	}
	if done || err != nil {
		return err
	}
	keys := make([]dispatch.Contact, len(groups))
	for i, g := range groups {
		keys[i] = dispatch.Contact{Name: m.dest(&g[0]), Local: g[0].Local}
	}
	m.q, m.due = q, latest(q.Now(), env.NotBefore)
	m.leased = !env.NotBefore.After(q.Now()) && len(m.held) == 0 && q.board.Reserve(keys, env.Account, int64(len(m.inline)))
	if m.leased {
		m.owner, m.claim, m.due = q.Owner, store.NewID(), q.Now().Add(q.Lease)
		defer q.claims.hold(m.claim)()
	}
	if err := q.Store.Write(ctx, m.insert); err != nil {
		if m.leased {
			q.board.Unreserve(len(keys), env.Account, int64(len(m.inline)))
		}
		q.removeBody(ctx, &m, err)
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
	if err := q.putBody(ctx, env.ID, c); err != nil {
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
	m := message{q: q, env: env, held: held, ways: q.ways(tx.Context()), due: latest(q.Now(), env.NotBefore)}
	if err := m.read(c); err != nil {
		return fmt.Errorf("read the message to queue it: %w", err)
	}
	if p, ok := c.(prepared); m.inline == nil && (!ok || p.id != env.ID) {
		return fmt.Errorf("a message of %d octets was not prepared for the transaction that queues it", c.Size())
	}
	return m.insert(tx)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
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
	if q.Holds == nil || env.Purpose != delivery.Mail {
		return "", nil
	}
	why, err := q.Holds.Match(ctx, env.Account, env.Sender, d)
	if err != nil {
		return "", fmt.Errorf("ask the hold rules: %w", err)
	}
	return why, nil
}

// groupRecipients parts recipients by domain and locality: one job each (QUE-1).
func groupRecipients(rs []delivery.Recipient) [][]delivery.Recipient {
	if len(rs) == 1 {
		return [][]delivery.Recipient{rs}
	}
	type key struct {
		d     delivery.RecipientDomain
		local bool
	}
	at := map[key]int{}
	var out [][]delivery.Recipient
	for _, r := range rs {
		k := key{r.Domain, r.Local}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}

// hand puts a message that was written as leased on the board.
func (q *Queue) hand(ctx context.Context, m message, groups [][]delivery.Recipient) {
	jobs := make([]*job, len(groups))
	for i, g := range groups {
		rows := make([]row, len(g))
		for k, r := range g {
			rows[k] = row{Recipient: r, message: m.env.ID, domain: r.Domain.String(), dest: m.dest(&r), local: r.Local, account: m.env.Account}
		}
		jobs[i] = q.newJob(*m.env, rows, m.claim, m.due)
		jobs[i].choose(m.ways)
		jobs[i].content = delivery.Bytes(m.inline)
		if m.inline == nil {
			jobs[i].content = nil
		}
	}
	for _, j := range jobs {
		j.released = true // the hold rules were asked at acceptance
	}
	jobs[0].Memory = int64(len(m.inline))
	if refused := q.board.Add(jobs, true); len(refused) > 0 { // the runner stopped meanwhile
		q.giveBack(context.WithoutCancel(ctx), refused, q.Now())
	}
	q.start()
}

// message is one message on its way into the store.
type message struct {
	q      *Queue
	env    *delivery.Envelope
	ways   *route.Ways      // nil: to the recipients' domains
	held   map[int64]string // recipients to be held, and why
	inline []byte           // nil: the body is stored already
	leased bool
	owner  string
	claim  int64
	due    time.Time // or the lease's end
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

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// insert writes envelope, body and recipients.
func (m *message) insert(tx *store.Tx) error {
	if err := m.insertEnvelope(tx, len(m.env.Recipients), time.Time{}); err != nil {
		return err
	}
	if err := m.holdBody(tx); err != nil {
		return err
	}
	due := map[dispatch.Lane]time.Time{}
	if err := eachList(m.env.Recipients, func(some []delivery.Recipient) error { return m.insertRecipients(tx, some) }); err != nil {
		return err
	}
	for i := range m.env.Recipients {
		r := &m.env.Recipients[i]
		if !m.leased && m.held[r.ID] == "" {
			due[dispatch.Lane{To: dispatch.Contact{Name: m.dest(r), Local: r.Local}, Account: m.env.Account}] = m.due
		}
	}
	return lowerLanes(tx, due)
}

func (m *message) insertEnvelope(tx *store.Tx, unsettled int, finished time.Time) error {
	e := m.env
	first, last := e.Recipients[0].ID, e.Recipients[0].ID
	for _, r := range e.Recipients {
		first, last = min(first, r.ID), max(last, r.ID)
	}
	_, err := tx.Exec(`INSERT INTO messages (id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret,
		size, accepted, peer, first_recipient, last_recipient, unsettled, finished, transport, not_before, hold, patience)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, e.Sender, int64(e.Need), int64(e.Purpose), e.Ref, e.Account, e.EightBit, e.SMTPUTF8, clean(e.EnvID), int64(e.Ret),
		e.Size, store.Time(e.Accepted), clean(e.Peer), first, last, int64(unsettled), store.Time(finished), e.Transport, store.Time(e.NotBefore), clean(e.Hold), encodePatience(e.Patience))
	return err
}

func encodePatience(p delivery.Patience) string {
	if p.IsZero() {
		return ""
	}
	b, err := json.Marshal(p)
	if err != nil { // numbers always can be
		return ""
	}
	return string(b)
}

const (
	newRecipients = `INSERT INTO recipients (id, message, address, domain, local, orcpt, notify, state, due, owner, claim, attempts,
		last_attempt, delay_told, first_fail, first_fail_at, last_addrs, word, text, reply, host, tls, account, attend, dest) VALUES `
	newRecipient = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '', 0, '', ?, ?, '', '', '', ?, ?, ?)`
)

// insertRecipients writes some with one statement: a message may have a thousand.
func (m *message) insertRecipients(tx *store.Tx, some []delivery.Recipient) error {
	args := make([]any, 0, strings.Count(newRecipient, "?")*len(some))
	for i := range some {
		args = m.recipientArgs(args, &some[i])
	}
	_, err := tx.Exec(newRecipients+newRecipient+strings.Repeat(", "+newRecipient, len(some)-1), args...)
	return err
}

func (m *message) recipientArgs(args []any, r *delivery.Recipient) []any {
	state, attempts, word, attend := Waiting, int64(0), "", int64(0)
	switch why := m.held[r.ID]; {
	case m.leased:
		state, attempts = Leased, 1
	case why != "":
		state, word = Held, "hold-rule"
	}
	if !m.leased {
		attend = store.Time(m.q.attend(m.env, r.Notify, false, m.due))
	}
	return append(args,
		r.ID, m.env.ID, r.Address, r.Domain.String(), r.Local, r.ORcpt, int64(r.Notify), int64(state), store.Time(m.due), m.owner, m.claim, attempts,
		word, clean(m.held[r.ID]), m.env.Account, attend, m.dest(r))
}

// attend is when a waiting recipient must be looked at in any case.
func (q *Queue) attend(env *delivery.Envelope, n delivery.Notify, told bool, now time.Time) time.Time {
	notice := !told && tellable(env) && n.Wants(delivery.NotifyDelay)
	return retry.Attend(q.scheduleOf(env), env.Start(), notice, now)
}
