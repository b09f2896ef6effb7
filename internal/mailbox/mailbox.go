// Package mailbox holds the nouns of mail that has arrived: a delivery into a mailbox
// and the message that lies there. It does no I/O.
package mailbox

import "time"

// Mailboxes that mail is delivered into.
const (
	Inbox = "INBOX" // every account has it (RFC 9051 §5.1)
	Junk  = "Junk"  // made when the first message is put there (RFC 6154 §2)
	// Rejects has messages that were refused, of accounts that want to see them.
	Rejects = "Rejects"
)

// Delivery is a message on its way into mailboxes.
type Delivery struct {
	Body     int64  // where its octets are (package body)
	Data     []byte // the octets, of a body that is stored with the delivery; nil: it is stored already
	Size     int64  // octets of the body
	Sender   string // the reverse-path without brackets; "" is the null one
	Received time.Time
	// MessageID is that of the header, as message.CleanMessageID has it; "": none.
	MessageID string
	Facts     []byte // what was found out about who sent it, JSON; nil: nobody looked
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
	Facts     []byte // what was found out about who sent it, JSON; empty: nobody looked
	Evidence  string // why it was put into this mailbox, JSON (package junk); "": nobody looked
	Taught    Class  // what the account's classifier has learnt it as
}

// Class is what a message is to an account's classifier.
type Class uint8

// The classes.
const (
	Unknown Class = iota
	IsGood
	IsJunk
)

var classWords = [...]string{"unknown", "good", "junk"}

func (c Class) String() string { return classWords[c] }
