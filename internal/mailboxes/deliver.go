package mailboxes

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// maxDeliveredTo bounds the Delivered-To fields of one copy.
const maxDeliveredTo = 100

// box is where a message goes: the copies that lead to one mailbox, in their order.
type box struct {
	account, name string
	addresses     []string
	evidence      string // of the first address
}

// boxesOf joins the copies that lead to one mailbox.
func boxesOf(copies []delivery.Copy) ([]*box, error) {
	type key struct{ account, name string }
	at := map[key]*box{}
	var out []*box
	for _, c := range copies {
		name, err := boxName(c.Mailbox)
		if err != nil {
			return nil, err
		}
		k := key{c.Account, name}
		if at[k] == nil {
			at[k] = &box{account: c.Account, name: name, evidence: c.Evidence}
			out = append(out, at[k])
		}
		at[k].addresses = append(at[k].addresses, c.Address)
	}
	return out, nil
}

// Deliver puts a message into mailboxes, once into each, in the caller's transaction:
// together with what the caller settles, it is there or not. A mailbox that has the
// message already, for another address, gets no second one. A zero Received is now.
// An error that IsRefusal is the mailbox's; any other is the store's, and may pass.
func (s *Store) Deliver(tx *store.Tx, d mailbox.Delivery, copies []delivery.Copy) error {
	boxes, err := boxesOf(copies)
	if err != nil {
		return refusal{err}
	}
	if d.Received.IsZero() {
		d.Received = s.now()
	}
	if d.Data != nil {
		err = body.Insert(tx, d.Body, d.Data, len(boxes))
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

// deliver writes the row of one mailbox, unless it has the message.
func (s *Store) deliver(tx *store.Tx, d *mailbox.Delivery, b *box) (added bool, err error) {
	h := header(d.Sender, b)
	// One statement where there is the mailbox, and only a large body can be there already.
	insert := func() (int64, error) {
		return tx.Exec(`INSERT INTO mailbox_messages (id, mailbox, sender, recipient, size, received, body, header, message_id, facts, evidence)
			SELECT ?, id, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM mailboxes WHERE account = ? AND name = ?`,
			store.NewID(), d.Sender, b.addresses[0], int64(len(h))+d.Size, store.Time(d.Received), d.Body, h, d.MessageID, store.Blob(d.Facts), b.evidence, b.account, b.name)
	}
	if d.Data != nil {
		if n, err := insert(); n > 0 || err != nil {
			return err == nil, err
		}
	}
	id, err := s.mailbox(tx, b.account, b.name)
	if err != nil {
		return false, err
	}
	if d.Data == nil {
		var has int64
		err := tx.Row(`SELECT id FROM mailbox_messages WHERE body = ? AND mailbox = ? LIMIT 1`, d.Body, id).Scan(&has)
		if !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
	}
	n, err := insert()
	if err == nil && n == 0 {
		err = fmt.Errorf("mailbox %q went away while it was made", b.name)
	}
	return err == nil, err
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
