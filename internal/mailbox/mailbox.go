// Package mailbox holds the nouns of mail that has arrived: a delivery into a mailbox,
// the mailboxes of an account and the messages that lie there. It does no I/O.
package mailbox

import "time"

// Mailboxes that mail is delivered into.
const (
	Inbox = "INBOX" // every account has it (RFC 9051 §5.1)
	Junk  = "Junk"  // RFC 6154 §2
	// Rejects has messages that were refused, of accounts that want to see them.
	Rejects = "Rejects"
)

// Delivery is a message on its way into mailboxes.
type Delivery struct {
	Body     int64  // where its octets are (package body)
	Data     []byte // the octets, of a body that is stored with the delivery; nil: it is stored already
	Coding   uint8  // how Data are coded (package body); 0: as they are
	Sum      []byte // the SHA-256 of Data; nil: none is kept
	Size     int64  // octets of the body
	Sender   string // the reverse-path without brackets; "" is the null one
	Received time.Time
	// MessageID is that of the header, as message.CleanMessageID has it; "": none.
	MessageID string
	Facts     []byte // what was found out about who sent it, JSON; nil: nobody looked
	// Structure is how the message is built, as package structure encodes it; nil: not known yet.
	Structure []byte
	// References are the messages that it answers, the nearest last, as message.CleanMessageID has them.
	References []string
}

// Mail is a message as an account has it, in one of its mailboxes or in several.
type Mail struct {
	ID        int64 // EMAILID (RFC 8474)
	Account   string
	Thread    int64 // THREADID
	Sender    string
	Recipient string
	Size      int64     // octets, with the fields that delivery has put before it
	Received  time.Time // INTERNALDATE
	MessageID string
	Facts     []byte // what was found out about who sent it, JSON; empty: nobody looked
	Evidence  string // why it was put into its first mailbox, JSON (package junk); "": nobody looked
	Taught    Class  // what the account's classifier has learnt it as
	Structure []byte // how it is built, as package structure encodes it; empty: not known yet
}

// Message is a mail in one mailbox, for listings.
type Message struct {
	Mail
	Mailbox string
	Entry   Entry
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
