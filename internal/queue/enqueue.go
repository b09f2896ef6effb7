package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
	"waxwing/internal/route"
	"waxwing/internal/store"
)

// Sizes of bodies in the store.
const (
	inlineSize = 128 << 10 // up to this a body is one row
	chunkSize  = 256 << 10
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
		if err := q.writeChunks(ctx, env.ID, c); err != nil {
			return err
		}
	}
	groups := groupRecipients(env.Recipients)
	if done, err := q.arrive(ctx, &m, groups); done || err != nil {
		return err
	}
	keys := make([]destKey, len(groups))
	for i, g := range groups {
		keys[i] = destKey{m.dest(&g[0]), g[0].Local}
	}
	m.q, m.due = q, latest(q.Now(), env.NotBefore)
	m.leased = !env.NotBefore.After(q.Now()) && len(m.held) == 0 && q.board.reserve(keys, env.Account, int64(len(m.inline)))
	if m.leased {
		m.owner, m.claim, m.due = q.Owner, store.NewID(), q.Now().Add(q.Lease)
	}
	if err := q.Store.Write(ctx, m.insert); err != nil {
		if m.leased {
			q.board.unreserve(len(keys), env.Account, int64(len(m.inline)))
		}
		q.dropChunks(ctx, m, err)
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
// the commit. The whole message is written in tx: not for large ones.
func (q *Queue) EnqueueTx(tx *store.Tx, env *delivery.Envelope, c delivery.Content) error {
	q.setup()
	held, err := q.prepare(tx.Context(), env, c)
	if err != nil {
		return err
	}
	return q.insert(tx, env, c, held)
}

// insert writes a prepared message as waiting.
func (q *Queue) insert(tx *store.Tx, env *delivery.Envelope, c delivery.Content, held map[int64]string) error {
	m := message{q: q, env: env, held: held, ways: q.ways(tx.Context()), due: latest(q.Now(), env.NotBefore)}
	if err := m.read(c); err != nil {
		return fmt.Errorf("read the message to queue it: %w", err)
	}
	if m.inline == nil {
		err := eachChunk(c, func(part int, data []byte) error {
			return insertChunk(tx, env.ID, part, q.Now(), data)
		})
		if err != nil {
			return err
		}
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
		jobs[i].content = delivery.Bytes(m.inline)
		if m.inline == nil {
			jobs[i].content = nil
		}
	}
	for _, j := range jobs {
		j.released = true // the hold rules were asked at acceptance
	}
	jobs[0].memory = int64(len(m.inline))
	if refused := q.board.add(jobs, true); len(refused) > 0 { // the runner stopped meanwhile
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
	inline []byte           // nil: in chunks
	leased bool
	owner  string
	claim  int64
	due    time.Time // or the lease's end
}

// read loads a small content.
func (m *message) read(c delivery.Content) error {
	if b, ok := c.(delivery.Bytes); ok && len(b) <= inlineSize {
		m.inline = nonNil(b)
		return nil
	}
	if c.Size() > inlineSize {
		return nil
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, inlineSize+1))
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
	if m.inline != nil {
		if _, err := tx.Exec(`INSERT INTO bodies (message, data) VALUES (?, ?)`, m.env.ID, m.inline); err != nil {
			return err
		}
	}
	due := map[laneKey]time.Time{}
	if err := eachList(m.env.Recipients, func(some []delivery.Recipient) error { return m.insertRecipients(tx, some) }); err != nil {
		return err
	}
	for i := range m.env.Recipients {
		r := &m.env.Recipients[i]
		if !m.leased && m.held[r.ID] == "" {
			due[laneKey{destKey{m.dest(r), r.Local}, m.env.Account}] = m.due
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

// writeChunks stores a large body before its envelope, in transactions of its
// own: nobody else waits while it is read. A crash in between leaves chunks
// without a message, which the sweep removes.
func (q *Queue) writeChunks(ctx context.Context, id int64, c delivery.Content) error {
	err := eachChunk(c, func(part int, data []byte) error {
		return q.Store.Write(ctx, func(tx *store.Tx) error { return insertChunk(tx, id, part, q.Now(), data) })
	})
	if err != nil {
		q.dropChunks(ctx, message{env: &delivery.Envelope{ID: id}}, err)
		return fmt.Errorf("queue the message's body: %w", err)
	}
	return nil
}

// dropChunks removes what writeChunks wrote for a message that was not
// accepted. If that fails too, the sweep does it later.
func (q *Queue) dropChunks(ctx context.Context, m message, cause error) {
	if m.inline != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropWait)
	defer cancel()
	err := q.Store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM chunks WHERE message = ? AND NOT EXISTS (SELECT 1 FROM messages WHERE id = ?)`, m.env.ID, m.env.ID)
		return err
	})
	if err != nil {
		q.Log.Warn("body of a refused message left for the sweep", "message", LogID(m.env.ID), "error", err, "cause", cause)
	}
}

const dropWait = 10 * time.Second

func insertChunk(tx *store.Tx, id int64, part int, now time.Time, data []byte) error {
	_, err := tx.Exec(`INSERT INTO chunks (message, part, written, data) VALUES (?, ?, ?, ?)`, id, int64(part), store.Time(now), data)
	return err
}

func eachChunk(c delivery.Content, fn func(part int, data []byte) error) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, chunkSize)
	var total int64
	for part := 0; ; part++ {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			total += int64(n)
			if err := fn(part, buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if total != c.Size() {
		return fmt.Errorf("the message has %d octets, %d were announced", total, c.Size())
	}
	return nil
}
