package dsn

import (
	"io"
	"net/netip"
	"time"

	"waxwing/dns"
	"waxwing/smtp"
)

// Action is what was done for a recipient (RFC 3464 §2.3.3).
type Action string

// The actions. Expanded is what became of mail for an alias of several members.
const (
	Failed    Action = "failed"
	Delayed   Action = "delayed"
	Delivered Action = "delivered"
	Relayed   Action = "relayed"
	Expanded  Action = "expanded"
)

// Recipient is what is to be said of one recipient.
type Recipient struct {
	Address  string // as in RCPT TO, without brackets
	Original string // ORCPT, "addr-type;address", its xtext decoded; empty: none was given
	Action   Action
	Status   smtp.Enhanced // zero: taken from Reply, else x.0.0
	Reply    *smtp.Reply   // what the remote server answered; nil if it did not come so far
	Text     string        // what happened, in words
	LastFail string        // what the last attempt failed by, where Text tells of them all; empty: left out
	// PolicyFirstFail: a published policy could not be met; when and how it was
	// first seen failing (POL-6). It is told beside Text.
	PolicyFirstFail string
	// Unanswered: when the message was sent in full to a server that never answered,
	// so that a recipient that is Failed or Delayed may have it; zero: it was not.
	Unanswered  time.Time
	RemoteMTA   string     // name of the server that answered, empty: none did
	RemoteAddr  netip.Addr // its address
	LastAttempt time.Time  // zero: left out
	RetryUntil  time.Time  // for Delayed
	LogID       string     // our own id, to find it in the log (Final-Log-ID)
}

// Report is one notification, about one or more recipients of one message.
type Report struct {
	Hostname dns.Name  // the reporting server
	From     string    // address of the From field; empty: postmaster@Hostname
	To       string    // the sender of the original: the notification's recipient
	Date     time.Time // of the notification

	EnvID      string    // RFC 3461 §4.4, decoded
	Arrival    time.Time // of the original; zero: left out
	Hold       string    // the release that the sender asked for (RFC 4865 §5.1.2), "for;3600" or "until;2026-01-31T12:00:00Z"; empty: none
	ReceivedBy string    // from whom the original came (Received-From-MTA), a domain name; may be empty
	Recipients []Recipient

	// Original is the message, or at least its header. Full returns all of it
	// (RET=FULL), else the header alone. RequireTLS wins over Full (RFC 8689
	// §5). Redact returns nothing of it: for a notification about a REQUIRETLS
	// message that has to travel without REQUIRETLS (POL-4).
	Original   []byte
	Full       bool
	RequireTLS bool
	Redact     bool
	// TLSOptional: the original had "TLS-Required: No", so the notification has
	// it too (RFC 8689 §5 protects both alike): else it might never arrive.
	TLSOptional bool

	// SMTPUTF8: the original was, so the notification's reader can take UTF-8
	// (RFC 6533). The notification must then be sent with SMTPUTF8.
	SMTPUTF8 bool
	// ASCII writes the notification in US-ASCII throughout, for hosts that offer no
	// SMTPUTF8 or 8BITMIME (RFC 6533 §3, §4.5).
	ASCII bool

	Human string // the part for people, where a notification was read; Compose writes its own

	Random io.Reader // for Message-ID and boundary; nil: crypto/rand
}
