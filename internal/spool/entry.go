package spool

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/reason"
	"waxwing/internal/store"
)

// Entry is a recipient as its row says.
type Entry struct {
	delivery.Recipient `json:"Recipient"`

	State State
	Due   time.Time   // next attempt, end of the lease, or when it was settled
	Owner string      // of the lease
	Word  reason.Word // why it is in this state
	Text  string
	Last  delivery.Fact // what the last attempt failed by, where Word is reason.Expired
	Reply string
	Host  string
	TLS   string

	Message      int64             `json:"-"`
	DomainText   string            `json:"-"` // as it was written, also where it cannot be read
	Contact      delivery.Contact  `json:"-"` // in whose lane it waits; zero where nothing waits any more
	Account      string            `json:"-"`
	NeedOverride *delivery.TLSNeed `json:"-"` // set by "queue set-tls"; nil: the message's own
	ViaOverride  *string           `json:"-"` // set by "queue set-transport"; nil: the message's own
	Attend       time.Time         `json:"-"` // when it must be looked at in any case
	Claim        int64             `json:"-"` // the number of the lease
}

// entryColumns are the columns of a recipient, in the order of into and values.
const entryColumns = `id, message, address, domain, dest, local, junk, mailbox, evidence, orcpt, notify, state, due, owner, claim, attempts, last_attempt,
	delay_told, first_fail_word, first_fail, first_fail_at, last_addrs, account, need, via, word, text, last_word, last_text, reply, host, tls, unanswered, attend`

// entryMarks are the marks for one recipient's values; freshMarks for those of one that was
// never tried, so that a message with many costs less.
const (
	entryMarks = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	freshMarks = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '', '', 0, '', ?, NULL, NULL, ?, ?, '', '', '', '', '', 0, ?)`
)

// into is where a row's columns go.
func (e *Entry) into() []any {
	return []any{&e.ID, &e.Message, &e.Address, &e.DomainText, contactInto{&e.Contact}, &e.Local, &e.Junk, &e.Mailbox, &e.Evidence, &e.ORcpt, &e.Notify, &e.State, timeInto{&e.Due}, &e.Owner, &e.Claim,
		&e.Attempts, timeInto{&e.LastAttempt}, &e.DelayTold, &e.FirstFail.Word, &e.FirstFail.Text, timeInto{&e.FirstFailAt}, addrsInto{&e.LastAddrs}, &e.Account,
		&e.NeedOverride, &e.ViaOverride, &e.Word, &e.Text, &e.Last.Word, &e.Last.Text, &e.Reply, &e.Host, &e.TLS, timeInto{&e.Unanswered}, timeInto{&e.Attend}}
}

// values are a row's columns as they are written; freshValues are those of freshMarks.
func (e *Entry) values(to []any) []any {
	need, via := any(nil), any(nil)
	if e.NeedOverride != nil {
		need = int64(*e.NeedOverride)
	}
	if e.ViaOverride != nil {
		via = *e.ViaOverride
	}
	return append(to, e.ID, e.Message, e.Address, e.DomainText, e.Contact.String(), e.Local, e.Junk, e.Mailbox, e.Evidence, e.ORcpt, int64(e.Notify), int64(e.State), store.Time(e.Due), e.Owner, e.Claim,
		int64(e.Attempts), store.Time(e.LastAttempt), e.DelayTold, Clip(string(e.FirstFail.Word)), Clip(e.FirstFail.Text), store.Time(e.FirstFailAt), joinAddrs(e.LastAddrs), e.Account,
		need, via, Clip(string(e.Word)), Clip(e.Text), Clip(string(e.Last.Word)), Clip(e.Last.Text), Clip(e.Reply), e.Host, e.TLS, store.Time(e.Unanswered), store.Time(e.Attend))
}

func (e *Entry) freshValues(to []any) []any {
	return append(to, e.ID, e.Message, e.Address, e.DomainText, e.Contact.String(), e.Local, e.Junk, e.Mailbox, e.Evidence, e.ORcpt, int64(e.Notify), int64(e.State), store.Time(e.Due), e.Owner, e.Claim,
		int64(e.Attempts), e.Account, Clip(string(e.Word)), Clip(e.Text), store.Time(e.Attend))
}

func scanEntry(r store.Row) (e Entry, err error) {
	err = r.Scan(e.into()...)
	e.parse()
	return e, err
}

// parse completes what was read.
func (e *Entry) parse() {
	e.Domain, _ = delivery.ParseRecipientDomain(e.DomainText) // zero where it cannot be read; DomainText and Address still tell it
	e.Contact.Local = e.Local
}

// scanClaimed reads a recipient whose attempt, which the row counts, is about to begin.
func scanClaimed(r store.Row) (Entry, error) {
	e, err := scanEntry(r)
	e.Attempts--
	return e, err
}

// InsertEntries writes new recipients, some with one statement: a message may have a thousand.
func InsertEntries(tx *store.Tx, all []Entry) error {
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

// Settle writes all that an attempt, or the want of one, can change of a recipient, and
// ends its lease. It is false where that is another's.
func (e *Entry) Settle(tx *store.Tx) (mine bool, err error) {
	n, err := tx.Exec(`UPDATE recipients SET state = ?, due = ?, dest = ?, local = ?, attend = ?, owner = '', claim = 0, attempts = ?, last_attempt = ?,
		delay_told = ?, first_fail_word = ?, first_fail = ?, first_fail_at = ?, last_addrs = ?, word = ?, text = ?, last_word = ?, last_text = ?, reply = ?, host = ?, tls = ?, unanswered = ?
		WHERE id = ? AND claim = ? AND state = 1`,
		int64(e.State), store.Time(e.Due), e.Contact.String(), e.Local, store.Time(e.Attend), int64(e.Attempts), store.Time(e.LastAttempt),
		e.DelayTold, Clip(string(e.FirstFail.Word)), Clip(e.FirstFail.Text), store.Time(e.FirstFailAt), joinAddrs(e.LastAddrs), Clip(string(e.Word)), Clip(e.Text),
		Clip(string(e.Last.Word)), Clip(e.Last.Text), Clip(e.Reply), e.Host, e.TLS, store.Time(e.Unanswered), e.ID, e.Claim)
	return n > 0, err
}

// Lane is that in which a recipient waits.
func (e *Entry) Lane() delivery.Lane { return delivery.Lane{To: e.Contact, Account: e.Account} }

// Here has it delivered into a mailbox of this server.
func (e *Entry) Here() {
	e.Local, e.Contact = true, delivery.Contact{Domain: e.DomainText, Local: true}
}

// Override puts into an envelope what an operator has set for this recipient.
func (e *Entry) Override(env *delivery.Envelope) {
	if e.NeedOverride != nil {
		env.Need = *e.NeedOverride
	}
	if e.ViaOverride != nil {
		env.Transport = *e.ViaOverride
	}
}

// maxText bounds what is kept of a text, in octets.
const maxText = 2000

// Clip makes a text fit to be stored.
func Clip(s string) string { return foreign.Text(s, maxText) }

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

// contactInto scans a contact, but for Local, whose column comes after it.
type contactInto struct{ c *delivery.Contact }

// Scan implements sql.Scanner.
func (to contactInto) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("a contact is stored as %T", v)
	}
	*to.c = delivery.ParseContact(text)
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
