// Package mailbox holds the nouns of mail that has arrived: a delivery into a mailbox
// and the message that lies there. It does no I/O.
package mailbox

import "time"

// Inbox is the mailbox that every account has (RFC 9051 §5.1).
const Inbox = "INBOX"

// Delivery is one copy of a message for one mailbox.
type Delivery struct {
	Account   string
	Mailbox   string // "" is Inbox; made where missing
	Sender    string // the reverse-path without brackets; "" is the null one
	Recipient string // the address as it was given in RCPT
	Received  time.Time
	// Header is put before the content: Return-Path (RFC 5321 §4.4) and what
	// else belongs to this copy alone. Whole fields with CRLF.
	Header []byte
}

// Message is one that lies in a mailbox.
type Message struct {
	ID        int64
	Account   string
	Mailbox   string
	Sender    string
	Recipient string
	Size      int64 // octets, Delivery.Header included
	Received  time.Time
}
