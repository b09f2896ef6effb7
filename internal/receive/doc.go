// Package receive takes mail in: one door, two backends (INB-4 to INB-7).
//
// MX takes mail from the internet for hosted domains and for nobody else.
// Submission takes mail from accounts for anybody, completes it (RFC 6409 §8)
// and has it signed. Whatever they take goes through the same door: it is taken,
// checked, given its trace and accepted. The door reads a message once, asks the
// checks, puts a Received field before it (RFC 5321 §4.4, with the protocol of RFC
// 3848 and 6531 and the cipher of RFC 8314 §4.3), settles its TLS need (RFC 8689
// §4.1) and hands it to the queue. The client reads 250 only after Enqueue has
// returned nil.
//
// What is to decide on mail at the door is a Check: it is told the facts, and knows
// neither the dialogue nor the queue.
package receive

import (
	"context"
	"io"
	"log/slog"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/mailbox"
	"waxwing/internal/milters"
	"waxwing/internal/verify"
)

// Enqueuer makes a message durable. When Enqueue returns nil, the message is
// ours to deliver whatever happens. A delivery.Bytes may be kept and read
// later; any other content only until Enqueue returns, for its file is closed
// then. Safe for concurrent use.
type Enqueuer interface {
	Enqueue(ctx context.Context, env *delivery.Envelope, c delivery.Content) error
}

// Accounts knows who has mail here; internal/accounts does, with its errors
// ErrNotHosted and ErrNoSuchAddress. Safe for concurrent use.
type Accounts interface {
	IsHosted(ctx context.Context, name dns.Name) (bool, error)
	Resolve(ctx context.Context, local string, domain dns.Name) (account.Target, error)
	MaySendAs(ctx context.Context, name, address string) (bool, error)
	IsDisabled(ctx context.Context, domain dns.Name) (bool, error)
	Trusted(ctx context.Context, account string) ([]dns.Name, error)
	Access(ctx context.Context, account string) (account.Access, error)
	DisabledMail(ctx context.Context, domain dns.Name) (account.DisabledMail, error)
	Admit(ctx context.Context, alias string, from account.Poster) (account.Admission, error)
	Expand(ctx context.Context, alias string, from account.Poster) (account.Expansion, error)
}

// Signer returns the DKIM-Signature fields to put before msg;
// signing.ErrNoKeys lets it go unsigned. msg is only valid during the call. Safe
// for concurrent use.
type Signer interface {
	Sign(ctx context.Context, from dns.Name, msg []byte, extra []string) ([]byte, error)
}

// Report is mail to a report address, as it came: without our Received field.
type Report struct {
	Recipient string // local@domain as given in RCPT
	Sender    string
	Message   []byte        // only valid during Take, and not to be changed: it may be a mapped file
	Facts     *verify.Facts // what was found out about who sent it; nil: nobody looked
}

// ReportSink takes reports out of the mail. A message that it does not take is
// delivered as ordinary mail, with the reason in its header (RPT-14). An error
// makes the client try again, so Take must not mind being given a report twice;
// turns.ErrBusy says that too many are being looked at.
// Safe for concurrent use.
type ReportSink interface {
	Take(ctx context.Context, r Report) (taken bool, reason string, err error)
}

// Door is what all that take mail in have in common. Its fields are not changed once
// it is in use.
type Door struct {
	Hostname string // in Received
	LMTP     bool   // its clients speak LMTP, which Received tells
	Accounts Accounts
	Queue    Enqueuer
	// Postmaster names the address that gets mail to the bare <postmaster> (RFC
	// 5321 §4.5.1), to postmaster at Hostname where Hostname is not hosted, and
	// report mail that is none, to an address that nobody reads; "": there is none.
	// Nil: postmaster at Hostname.
	Postmaster func(ctx context.Context) (string, error)
	// Room says whether there is room for size octets more; an error refuses the
	// mail for now. Nil: there always is.
	Room func(size int64) error
	// Full says whether an account takes mail (MBX-5). Nil: all do.
	Full    func(ctx context.Context, account string) (mailbox.Fullness, error)
	TempDir string           // for messages beyond 1 MiB; empty: os.TempDir
	Memory  *Memory          // for all messages that are coming in; nil: unbounded
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: discard
	Guard   *guard.Guard     // contains panics
	// Milters are asked about each message, before Checks; nil: none is.
	Milters *milters.Room
	// Checks are asked after those on who may send what to whom, and before the
	// message is signed or looked at as a report.
	Checks []Check
	Rand   io.Reader // for Message-IDs; nil: crypto/rand
}

func (d *Door) now() time.Time {
	if d.Now == nil {
		return time.Now()
	}
	return d.Now()
}

func (d *Door) log() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}
