package queue

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/store"
)

// Entry is a recipient as its row says.
type Entry struct {
	delivery.Recipient `json:"Recipient"`

	State State
	Due   time.Time // next attempt, end of the lease, or when it was settled
	Owner string    // of the lease
	Word  string    // why it is in this state
	Text  string
	Reply string
	Host  string
	TLS   string

	message      int64
	domain       string // as it was written, also where it cannot be read
	contact      string // the domain or relay whose lane it waits in; "" where nothing waits any more
	account      string
	needOverride *delivery.TLSNeed // set by "queue set-tls"; nil: the message's own
	viaOverride  *string           // set by "queue set-transport"; nil: the message's own
	attend       time.Time         // when it must be looked at in any case
	claim        int64
	dueBefore    time.Time // of one that was claimed before it was due, only to be looked at
}

// entryColumns are the columns of a recipient, in the order of into and values.
const entryColumns = `id, message, address, domain, dest, local, orcpt, notify, state, due, owner, claim, attempts, last_attempt,
	delay_told, first_fail, first_fail_at, last_addrs, account, need, via, word, text, reply, host, tls, unanswered, attend`

// entryMarks are the marks for one recipient's values; freshMarks for those of one that was
// never tried, so that a message with many costs less.
const (
	entryMarks = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	freshMarks = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '', 0, '', ?, NULL, NULL, ?, ?, '', '', '', 0, ?)`
)

// into is where a row's columns go.
func (e *Entry) into() []any {
	return []any{&e.ID, &e.message, &e.Address, &e.domain, &e.contact, &e.Local, &e.ORcpt, &e.Notify, &e.State, timeInto{&e.Due}, &e.Owner, &e.claim,
		&e.Attempts, timeInto{&e.LastAttempt}, &e.DelayTold, &e.FirstFail, timeInto{&e.FirstFailAt}, addrsInto{&e.LastAddrs}, &e.account,
		&e.needOverride, &e.viaOverride, &e.Word, &e.Text, &e.Reply, &e.Host, &e.TLS, timeInto{&e.Unanswered}, timeInto{&e.attend}}
}

// values are a row's columns as they are written; freshValues are those of freshMarks.
func (e *Entry) values(to []any) []any {
	need, via := any(nil), any(nil)
	if e.needOverride != nil {
		need = int64(*e.needOverride)
	}
	if e.viaOverride != nil {
		via = *e.viaOverride
	}
	return append(to, e.ID, e.message, e.Address, e.domain, e.contact, e.Local, e.ORcpt, int64(e.Notify), int64(e.State), store.Time(e.Due), e.Owner, e.claim,
		int64(e.Attempts), store.Time(e.LastAttempt), e.DelayTold, clean(e.FirstFail), store.Time(e.FirstFailAt), joinAddrs(e.LastAddrs), e.account,
		need, via, clean(e.Word), clean(e.Text), clean(e.Reply), e.Host, e.TLS, store.Time(e.Unanswered), store.Time(e.attend))
}

func (e *Entry) freshValues(to []any) []any {
	return append(to, e.ID, e.message, e.Address, e.domain, e.contact, e.Local, e.ORcpt, int64(e.Notify), int64(e.State), store.Time(e.Due), e.Owner, e.claim,
		int64(e.Attempts), e.account, clean(e.Word), clean(e.Text), store.Time(e.attend))
}

func scanEntry(r store.Row) (e Entry, err error) {
	err = r.Scan(e.into()...)
	e.parse()
	return e, err
}

// parse completes what was read.
func (e *Entry) parse() {
	e.Domain, _ = delivery.ParseRecipientDomain(e.domain) // zero where it cannot be read; domain and Address still tell it
}

// scanClaimed reads a recipient whose attempt, which the row counts, is about to begin.
func scanClaimed(r store.Row) (Entry, error) {
	e, err := scanEntry(r)
	e.Attempts--
	return e, err
}

// insertEntries writes new recipients, some with one statement: a message may have a thousand.
func insertEntries(tx *store.Tx, all []Entry) error {
	marks, values := entryMarks, (*Entry).values
	if !slices.ContainsFunc(all, func(e Entry) bool { return !e.LastAttempt.IsZero() }) {
		marks, values = freshMarks, (*Entry).freshValues
	}
	return eachList(all, func(some []Entry) error {
		args := make([]any, 0, strings.Count(marks, "?")*len(some))
		for i := range some {
			args = values(&some[i], args)
		}
		_, err := tx.Exec(`INSERT INTO recipients (`+entryColumns+`) VALUES `+marks+strings.Repeat(", "+marks, len(some)-1), args...)
		return err
	})
}

// update writes all that an attempt, or the want of one, can change of a recipient, and
// ends its lease. It returns 0 where that is another's.
func (e *Entry) update(tx *store.Tx) (int64, error) {
	return tx.Exec(`UPDATE recipients SET state = ?, due = ?, dest = ?, local = ?, attend = ?, owner = '', claim = 0, attempts = ?, last_attempt = ?,
		delay_told = ?, first_fail = ?, first_fail_at = ?, last_addrs = ?, word = ?, text = ?, reply = ?, host = ?, tls = ?, unanswered = ?
		WHERE id = ? AND claim = ? AND state = 1`,
		int64(e.State), store.Time(e.Due), e.contact, e.Local, store.Time(e.attend), int64(e.Attempts), store.Time(e.LastAttempt),
		e.DelayTold, clean(e.FirstFail), store.Time(e.FirstFailAt), joinAddrs(e.LastAddrs), clean(e.Word), clean(e.Text), clean(e.Reply), e.Host, e.TLS,
		store.Time(e.Unanswered), e.ID, e.claim)
}

// lane is that in which a recipient waits.
func (e *Entry) lane() dispatch.Lane {
	return dispatch.Lane{To: dispatch.Contact{Name: e.contact, Local: e.Local}, Account: e.account}
}

// envelopeColumns are the columns of a message, in the order of envelopeInto.
const envelopeColumns = `id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer, transport, not_before, hold`

func envelopeInto(e *delivery.Envelope) []any {
	return []any{&e.ID, &e.Sender, &e.Need, &e.Purpose, &e.Ref, &e.Account, &e.EightBit, &e.SMTPUTF8, &e.EnvID, &e.Ret,
		&e.Size, timeInto{&e.Accepted}, &e.Peer, &e.Transport, timeInto{&e.NotBefore}, &e.Hold}
}

// envelopes reads the messages of recipients.
func envelopes(tx *store.Tx, entries []Entry) (map[int64]delivery.Envelope, error) {
	out := make(map[int64]delivery.Envelope, len(entries))
	var want []int64
	for i := range entries {
		id := entries[i].message
		if _, ok := out[id]; !ok {
			out[id] = delivery.Envelope{}
			want = append(want, id)
		}
	}
	return out, eachIn(want, func(list string, args []any) error {
		return tx.Each(func(r store.Row) error {
			var e delivery.Envelope
			err := r.Scan(envelopeInto(&e)...)
			out[e.ID] = e
			return err
		}, `SELECT `+envelopeColumns+` FROM messages WHERE id IN `+list, args...)
	})
}

// insertEnvelope writes a message of which unsettled recipients still wait.
func insertEnvelope(tx *store.Tx, e *delivery.Envelope, unsettled int, finished time.Time) error {
	first, last := e.Recipients[0].ID, e.Recipients[0].ID
	for _, r := range e.Recipients {
		first, last = min(first, r.ID), max(last, r.ID)
	}
	_, err := tx.Exec(`INSERT INTO messages (`+envelopeColumns+`, first_recipient, last_recipient, unsettled, finished)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, e.Sender, int64(e.Need), int64(e.Purpose), e.Ref, e.Account, e.EightBit, e.SMTPUTF8, clean(e.EnvID), int64(e.Ret),
		e.Size, store.Time(e.Accepted), clean(e.Peer), e.Transport, store.Time(e.NotBefore), clean(e.Hold),
		first, last, int64(unsettled), store.Time(finished))
	return err
}

// timeInto scans a time as it is stored.
type timeInto struct{ t *time.Time }

// Scan implements sql.Scanner.
func (to timeInto) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*to.t = store.FromTime(n)
	return nil
}

// addrsInto scans addresses as joinAddrs writes them. One that cannot be read is left out.
type addrsInto struct{ addrs *[]netip.Addr }

// Scan implements sql.Scanner.
func (to addrsInto) Scan(v any) error {
	text, _ := v.(string)
	*to.addrs = nil
	for f := range strings.FieldsSeq(text) {
		if a, err := netip.ParseAddr(f); err == nil {
			*to.addrs = append(*to.addrs, a)
		}
	}
	return nil
}

func joinAddrs(addrs []netip.Addr) string {
	s := make([]string, len(addrs))
	for i, a := range addrs {
		s[i] = a.String()
	}
	return strings.Join(s, " ")
}
