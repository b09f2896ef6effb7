package mailboxes

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/structure"
)

// maxDeliveredTo bounds the Delivered-To fields of one copy.
const maxDeliveredTo = 100

// box is where a message goes: the copies that lead to one mailbox, in their order.
type box struct {
	account, name string
	addresses     []string
	evidence      string // of the first address
	flags         []string
	create        bool
	header        []byte // in place of so many octets of the body
	replaced      int64
}

// boxesOf joins the copies that lead to one mailbox.
func boxesOf(copies []delivery.Copy) []*box {
	type key struct{ account, name string }
	at := map[key]*box{}
	var out []*box
	for _, c := range copies {
		name, err := mailbox.CleanName(c.Mailbox)
		if err != nil { // of a script: no message is lost for the sake of a name
			name = mailbox.Inbox
		}
		k := key{c.Account, name}
		if at[k] == nil {
			at[k] = &box{account: c.Account, name: name, evidence: c.Evidence, flags: c.Flags, create: c.Create, header: c.Header, replaced: c.Replaced}
			out = append(out, at[k])
		}
		at[k].addresses = append(at[k].addresses, c.Address)
	}
	// In one order, so that two deliveries on different machines do not wait for each other.
	slices.SortStableFunc(out, func(a, b *box) int {
		return cmp.Or(strings.Compare(a.account, b.account), strings.Compare(a.name, b.name))
	})
	return out
}

// Deliver puts a message into mailboxes, once into each, in the caller's transaction:
// together with what the caller settles, it is there or not. A mailbox that has the
// message already, for another address, gets no second one. A zero Received is now.
// An error that IsRefusal is the mailbox's; any other is the store's, and may pass.
func (s *Store) Deliver(tx *store.Tx, d mailbox.Delivery, copies []delivery.Copy) error {
	boxes := boxesOf(copies)
	if d.Received.IsZero() {
		d.Received = s.now()
	}
	var err error
	if d.Data != nil {
		err = body.Insert(tx, d.Body, body.Packed{Data: d.Data, Coding: body.Coding(d.Coding), Sum: d.Sum}, len(boxes))
	} else {
		// First, since nobody else can then put the same message into the same mailbox.
		err = body.Use(tx, d.Body, len(boxes))
	}
	if err != nil {
		return fmt.Errorf("deliver into mailboxes: %w", err)
	}
	had := 0
	for _, b := range boxes {
		added, err := s.deliver(tx, &d, b)
		if err != nil {
			return fmt.Errorf("deliver to account %s: %w", b.account, err)
		}
		if !added {
			had++
		}
	}
	if had == 0 {
		return nil
	}
	return body.Use(tx, d.Body, -had)
}

// deliver writes what lies in one mailbox, unless that has the message.
func (s *Store) deliver(tx *store.Tx, d *mailbox.Delivery, b *box) (added bool, err error) {
	if d.Data == nil { // only what is stored can be there already
		had, err := has(tx, b, d.Body)
		if had || err != nil {
			return false, err
		}
	}
	h := append(header(d.Sender, b), b.header...)
	size := int64(len(h)) + d.Size - b.replaced
	c, err := s.changeInto(tx, b.account, b.name, usage{messages: 1, octets: size})
	if err != nil {
		return false, err
	}
	flags, err := c.wanted(b.flags)
	if err != nil {
		return false, err
	}
	box, uid, err := c.place(b, flags, size)
	if err != nil {
		return false, err
	}
	m := &mailbox.Mail{ID: store.NewID(), Sender: d.Sender, Recipient: b.addresses[0], Size: size, Received: d.Received, MessageID: d.MessageID,
		Facts: d.Facts, Evidence: b.evidence}
	if b.replaced == 0 {
		m.Structure = structure.Behind(d.Structure, len(h))
	}
	if m.Thread, err = c.thread(m.ID, d.References); err != nil {
		return false, err
	}
	if err := c.insert(m, d.Body, h, b.replaced); err != nil {
		return false, err
	}
	return true, c.enter(box, mailbox.Entry{UID: uid, Flags: flags, Mail: m.ID, Saved: d.Received})
}

// has tells whether a mailbox has a message, or had it: what its owner has removed or moved
// does not come again for another address.
func has(tx *store.Tx, b *box, of int64) (bool, error) {
	var n int64
	err := tx.Row(`SELECT count(*) FROM mails m WHERE m.body = ? AND m.account = ? AND EXISTS (
		SELECT 1 FROM mailboxes b WHERE b.account = m.account AND b.name = ? AND (
			EXISTS (SELECT 1 FROM mailbox_entries e WHERE e.mail = m.id AND e.mailbox = b.id) OR
			EXISTS (SELECT 1 FROM mailbox_gone g WHERE g.mail = m.id AND g.mailbox = b.id)))`, of, b.account, b.name).Scan(&n)
	return n > 0, err
}

// place takes the next UID of the mailbox that a delivery goes to. One that is missing is made, or
// stands for INBOX.
func (c *change) place(b *box, flags mailbox.Flags, size int64) (box int64, uid uint32, err error) {
	unseen, deleted := bits(flags)
	take := func() error { // as turn does
		const q = `UPDATE mailboxes SET uidnext = uidnext + 1, modseq = ?, messages = messages + 1, unseen = unseen + ?, deleted = deleted + ?, octets = octets + ?`
		const named = ` WHERE account = ? AND name = ? AND removed = 0`
		if c.tx.Postgres() {
			return c.tx.Row(q+named+` RETURNING id, uidnext - 1`, int64(c.modseq), unseen, deleted, size, b.account, b.name).Scan(&box, &uid)
		}
		var err error
		if c.box != 0 && b.name == c.into {
			box, uid = c.box, c.after
		} else {
			err = c.tx.Row(`SELECT id, uidnext FROM mailboxes`+named, b.account, b.name).Scan(&box, &uid)
		}
		if err == nil {
			_, err = c.tx.Exec(q+` WHERE id = ?`, int64(c.modseq), unseen, deleted, size, box)
		}
		return err
	}
	if err = take(); !errors.Is(err, sql.ErrNoRows) {
		return box, uid, err
	}
	if !b.create {
		b.name = mailbox.Inbox
	}
	_, err = c.ensure(b.name, use(b.name))
	if IsRefusal(err) { // the account has as many mailboxes as it may
		b.name = mailbox.Inbox
		_, err = c.ensure(b.name, "")
	}
	if err == nil {
		err = take()
	}
	return box, uid, err
}

// wanted are the flags that a script gives a message. What cannot be a keyword, or is one too many, is
// left out: the message counts for more.
func (c *change) wanted(words []string) (all mailbox.Flags, err error) {
	for _, w := range words {
		f, err := c.flags([]string{w})
		if err != nil && !IsRefusal(err) && !errors.Is(err, ErrTooManyKeywords) {
			return 0, err
		}
		all |= f
	}
	return all, nil
}

// use is the special use of a mailbox that delivery makes by its standard name.
func use(name string) string {
	for _, m := range mailbox.Standards() {
		if m.Name == name {
			return m.Use
		}
	}
	return ""
}

// bits are what a message's flags add to the counters of its mailbox.
func bits(f mailbox.Flags) (unseen, deleted int64) {
	if f&mailbox.Seen == 0 {
		unseen = 1
	}
	if f&mailbox.Deleted != 0 {
		deleted = 1
	}
	return unseen, deleted
}

// maxReferences is of how many messages a thread is looked for.
const maxReferences = 20

// thread is that of the newest mail of the account that references names, or the mail's own.
func (c *change) thread(own int64, references []string) (int64, error) {
	for i := len(references) - 1; i >= max(0, len(references)-maxReferences); i-- {
		t, written := c.threads[references[i]]
		if written {
			return t, nil
		}
		err := c.tx.Row(`SELECT thread FROM mails WHERE message_id = ? AND message_id <> '' AND account = ? LIMIT 1`, references[i], c.account).Scan(&t)
		if !errors.Is(err, sql.ErrNoRows) {
			return t, err
		}
	}
	return own, nil
}

// mailTable is that of mails, for what writes one whole; mailRow are the values.
const mailTable = `mails (id, account, thread, sender, recipient, size, received, body, header, replaced, message_id, facts, evidence, structure, created)`

func (c *change) mailRow(m *mailbox.Mail, of int64, header []byte, replaced int64) []any {
	return []any{m.ID, c.account, m.Thread, m.Sender, m.Recipient, m.Size, store.Time(m.Received), of,
		store.Blob(header), replaced, m.MessageID, store.Blob(m.Facts), m.Evidence, store.Blob(m.Structure), int64(c.modseq)}
}

// insert writes the row of a mail.
func (c *change) insert(m *mailbox.Mail, of int64, header []byte, replaced int64) error {
	_, err := c.tx.Exec(`INSERT INTO `+mailTable+` VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, c.mailRow(m, of, header, replaced)...)
	if err != nil {
		return err
	}
	return unindexed(c.tx, c.account, m.ID)
}

// unindexed notes that a mail has come or gone, for package search.
func unindexed(tx *store.Tx, account string, mail int64) error {
	_, err := tx.Exec(`INSERT INTO mails_unindexed (account, mail) VALUES (?, ?) ON CONFLICT DO NOTHING`, account, mail)
	return err
}

// entryTable is that of where mails lie, for what writes a row; entryRow are the values.
const entryTable = `mailbox_entries (mailbox, uid, mail, flags, modseq, added, saved)`

func (c *change) entryRow(box int64, e mailbox.Entry) []any {
	return []any{box, int64(e.UID), e.Mail, int64(e.Flags), int64(c.modseq), int64(c.modseq), store.Time(e.Saved)}
}

// enter writes that a mail lies in a mailbox, whose counters have it already.
func (c *change) enter(box int64, e mailbox.Entry) error {
	c.arrived(box, e.UID, e.UID)
	_, err := c.tx.Exec(`INSERT INTO `+entryTable+` VALUES (?, ?, ?, ?, ?, ?, ?)`, c.entryRow(box, e)...)
	return err
}

// arrived tells the views of messages that have come into a mailbox, once that is durable.
func (c *change) arrived(box int64, first, last uint32) {
	if c.views.Fills(first, last) {
		c.tx.After(func() { c.views.Ripen(box) })
	}
}

// header is what final delivery adds (RFC 5321 §4.4): the sender, and the
// addresses (RFC 9228) for which this mailbox has the message, which its header
// fields need not name; and why it is in this mailbox (JNK-1).
func header(sender string, to *box) []byte {
	var b strings.Builder
	b.WriteString("Return-Path: <" + oneLine(sender) + ">\r\n")
	for _, a := range to.addresses[:min(len(to.addresses), maxDeliveredTo)] {
		b.WriteString("Delivered-To: " + oneLine(a) + "\r\n")
	}
	return append([]byte(b.String()), junk.Field([]byte(to.evidence))...)
}

// oneLine is an address without line ends. One that has any cannot have been
// accepted; it must not make a header field of its own here either.
func oneLine(s string) string { return lineEnds.Replace(s) }

var lineEnds = strings.NewReplacer("\r", "", "\n", "")

// refusal is an error of a mailbox: another try would meet it again.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// IsRefusal tells an error of Deliver that is a mailbox's from one of the store.
func IsRefusal(err error) bool { return errors.As(err, new(refusal)) }
