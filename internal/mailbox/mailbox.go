// Package mailbox holds the nouns of mail that has arrived: a delivery into a mailbox
// and the message that lies there. It does no I/O.
package mailbox

import "time"

// Inbox is the mailbox that every account has (RFC 9051 §5.1).
const Inbox = "INBOX"

// Delivery is a message on its way into mailboxes.
type Delivery struct {
	Body     int64  // where its octets are (package body)
	Data     []byte // the octets, of a body that is stored with the delivery; nil: it is stored already
	Size     int64  // octets of the body
	Sender   string // the reverse-path without brackets; "" is the null one
	Received time.Time
}

// Message is one that lies in a mailbox.
type Message struct {
	ID        int64
	Account   string
	Mailbox   string
	Sender    string
	Recipient string
	Size      int64 // octets, with the fields that delivery has put before it
	Received  time.Time
}
