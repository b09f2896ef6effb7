package delivery

import (
	"net/netip"
	"time"

	"waxwing/dns"
	"waxwing/internal/reason"
	"waxwing/smtp"
	"waxwing/tlsrpt"
)

// Outcome is what became of a recipient.
type Outcome uint8

// The outcomes.
const (
	Pending   Outcome = iota // waits; nothing was settled
	Delivered                // accepted by the next hop or put in a mailbox
	Deferred                 // failed for now
	Failed                   // failed for good
)

var outcomeWords = [...]string{"pending", "delivered", "deferred", "failed"}

func (o Outcome) String() string { return outcomeWords[o] }

// Result is what one attempt of a Job came to.
type Result struct {
	Destination Destination
	Finding     Finding
	Decision    Decision
	Visits      []Visit           `json:"Attempts"` // per plan that was tried, in order; the name is that in files of outcomes
	Recipients  []RecipientResult // one per recipient of the job, in its order
	Started     time.Time
	Ended       time.Time
	Transport   Means
	// Name is that of the transport that the operator set up; "" for the built-in ones.
	Name string
	// Copies are what the mailboxes of this server get, one for each recipient that
	// Recipients calls delivered into one. Whoever settles them writes those copies in the
	// same transaction: a mailbox thus gets a message exactly once.
	Copies []Copy
	// Structure is how the message is built, for the mailboxes that get it (package structure), and
	// References are the messages that it answers, the nearest last.
	Structure  []byte   `json:"-"`
	References []string `json:"-"`
	// Forwards are messages that go on to others. Whoever settles their recipients queues them
	// in the same transaction.
	Forwards []Forward `json:",omitempty"`
	// Memories are what scripts of accounts want kept in mind, once their recipients are settled as
	// delivered; in the same transaction.
	Memories []Memory `json:",omitempty"`
}

// ByOthers says of a recipient whether another program has the message for it already: neither
// copy nor message that goes on is left to be written.
func (r *Result) ByOthers() func(recipient int64) bool {
	ours := map[int64]bool{}
	for _, c := range r.Copies {
		ours[c.Recipient] = true
	}
	for _, f := range r.Forwards {
		ours[f.Recipient] = true
	}
	return func(id int64) bool { return !ours[id] }
}

// Forward is a message that goes on to others, for the sake of one recipient: an alias with
// members elsewhere, or the sender to whom a notification finds its way back (ACC-1).
type Forward struct {
	Recipient   int64  // its id
	Sender      string // the envelope sender that it goes on with; "": the null reverse-path
	DeliveredTo string // the alias, for the header (INB-8); "": none
	To          []string
	Notify      Notify
	ORcpt       string
	// Text is a message of our own that goes out in place of the one that came: what an account's
	// script answers or tells. Nil: the one that came goes on.
	Text []byte `json:",omitempty"`
	// Once is the key of the Memory that keeps it from being sent twice; "": nothing does.
	Once string `json:",omitempty"`
	// Header goes on in place of the message's own header, whose octets are the first Replaced; a
	// script has changed it. Nil: the message goes on as it came.
	Header   []byte `json:",omitempty"`
	Replaced int64  `json:",omitempty"`
}

// Means is how an attempt was made, in one word for metrics and the history. It says whom
// its sessions are about.
type Means string

// The means of transports.
const (
	ByDirect Means = "direct" // the hosts of the recipient's domain, by whatever way: only their sessions are reported (RPT-4)
	ByRelay  Means = "relay"  // a host of the operator's
	ByLocal  Means = "local"  // mailboxes here
	ByFail   Means = "fail"   // nobody: the operator's answer
	ByNone   Means = "none"   // nobody: the way was not there
)

// Copy is a message for a mailbox of this server, for the sake of one recipient.
type Copy struct {
	Recipient int64  // its id
	Address   string // as it was given in RCPT
	Account   string
	Mailbox   string
	Evidence  string // of the recipient
	// Flags are what it gets there from the start, as words: `\Seen`, keywords.
	Flags []string `json:",omitempty"`
	// Create: the mailbox is made if it is missing. Else the message goes to Inbox then.
	Create bool `json:",omitempty"`
	// Header stands in place of the message's own, as in Forward; nil: the message is as it came.
	Header   []byte `json:",omitempty"`
	Replaced int64  `json:",omitempty"`
}

// RecipientResult is the outcome of one recipient.
type RecipientResult struct {
	ID       int64
	Outcome  Outcome
	Word     reason.Word   // why, one word: "remote-reply", "dane-no-match", "connect-refused", …
	Enhanced smtp.Enhanced // for the DSN, where Reply has none
	Reply    *smtp.Reply   // the remote's answer that settled it; nil if none
	Text     string        // in words, for DSN and queue page
	Last     Fact          // what the last attempt failed by, of one that was tried long enough: Word is then Expired
	Host     MXHost        // who answered
	Addr     netip.Addr
	TLS      string // none, unverified, pkix, dane, dane+pkix: how the mail that was accepted travelled
	// PolicyFailure: the cause was a policy that could not be met (POL-6).
	PolicyFailure bool
	// Unfit, of a Pending one: the host takes other mail, and cannot take this for
	// want of an extension or for its size. It is for good once every host of the
	// domain has said so in one attempt (SES-14).
	Unfit bool
	// Unknown: the message was sent in full and no answer came, so the recipient may
	// have it (SES-13).
	Unknown bool
	// DSNRelayed: the next hop offered DSN and was given NOTIFY and ORCPT, so a
	// success notice is its to send (RFC 3461 §5.2).
	DSNRelayed bool
}

// Visit is one host in an attempt, with the TCP connections made to it.
type Visit struct {
	Plan     Plan
	Sessions []Session
}

// Session is one TCP connection to a host.
type Session struct {
	Addr      netip.Addr
	Local     netip.Addr
	Started   time.Time
	Connected bool
	Greeted   bool   // a 220 greeting came
	HELO      string // first word of the EHLO answer, at most 255 octets
	Plaintext bool   // the plaintext retry of POL-3
	// Reused: the connection was made for an earlier message and kept (SES-6). What
	// stands here of greeting, TLS and verification was found when it was made.
	Reused bool
	// Repeat: a reused session that is not to be counted for the job's recipient
	// domain, since it was counted with an earlier message to that domain, or
	// turned out dead before it served this one (SES-6, RPT-2).
	Repeat bool
	// SmallHello: the session stands in the place of the one before it, whose
	// handshake failed, and began with a smaller hello.
	SmallHello bool
	// Again: a session with a small hello took the place of this one, and is the one
	// that counts (RPT-2).
	Again bool
	TLS   *TLSFacts
	// Failure of TLS, classified at its source (SES-4): nil if TLS went as the
	// plan wanted, or if the session never came so far.
	TLSFailure *TLSFailure
	PKIX       *Verification // result of the PKIX check; nil if not made
	DANE       *Verification // result of the DANE check; nil if not made
	RequireTLS bool          // REQUIRETLS was offered after STARTTLS
	Err        *Failure      // what ended the session otherwise
	Transcript []string      // replies worth keeping for the queue page, bounded
}

// Verification is the result of one verification: Failure nil means it passed.
type Verification struct {
	Failure *TLSFailure
	Matched string // the TLSA record that matched, or the name
}

// TLSFailure is what TLS failed by, in RFC 8460's terms and in ours: a session, a
// verification, or a policy that failed before any session. It is the one type for that.
type TLSFailure struct {
	Type tlsrpt.ResultType `json:"type"`
	Word reason.Word       `json:"reason"`
	Text string            `json:"text"`          // bounded, for people
	EDE  uint16            `json:"ede,omitempty"` // the extended DNS error behind it (RPT-23); 0: none
}

func (f *TLSFailure) Error() string { return f.Text }

// TLSFacts are kept with the delivery (SES-4).
type TLSFacts struct {
	Version     string `json:"version"`      // "TLS1.3"
	Cipher      string `json:"cipher"`       // "TLS_AES_128_GCM_SHA256"
	KeyExchange string `json:"key_exchange"` // "X25519MLKEM768"
	Fingerprint string `json:"fingerprint"`  // SHA-256 of the leaf certificate, hexadecimal
	Resumed     bool   `json:"resumed"`
	// Weak is why the session is less than one that requires TLS would take; nil: it is not.
	Weak *TLSFailure `json:"weak,omitempty"`
}

// Observation is what one session, or one host skipped by policy, adds to one
// TLSRPT policy (RPT-1).
type Observation struct {
	RecipientDomain dns.Name
	Type            tlsrpt.PolicyType
	PolicyDomain    dns.Name
	Strings         []string
	MX              []string
	MXHost          dns.Name // the host the session was for
	OK, Failed      int      // sessions; their sum is 1 for one session
	Details         []Detail
	ReportOnly      bool // the session carried only reports (RPT-3): triggers no report unless failed
}

// Detail is one failure detail (RFC 8460 §4.3, the fields of failure-details).
type Detail struct {
	Type       tlsrpt.ResultType `json:"type"`
	SendingIP  string            `json:"sending_ip,omitempty"`
	MXHostname string            `json:"mx_host,omitempty"`
	HELO       string            `json:"helo,omitempty"`
	ReceiverIP string            `json:"receiving_ip,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	EDE        uint16            `json:"ede,omitempty"`  // the extended DNS error behind it (RPT-23); 0: none
	Info       string            `json:"info,omitempty"` // additional-information
	Count      int               `json:"count"`
}
