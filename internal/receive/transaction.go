package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/screening"
	"waxwing/internal/store"
	"waxwing/message"
	"waxwing/smtp"
)

// maxReceived is how many Received fields a message may have (RFC 5321 §6.3).
const maxReceived = 100

func refuse(code int, subject, detail int, format string, args ...any) *smtp.Reply {
	return smtp.NewReply(code, smtp.Enhanced{Class: code / 100, Subject: subject, Detail: detail}, format, args...)
}

func localError(err error) *smtp.Reply {
	if errors.Is(err, store.ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return noRoom(err)
	}
	return refuse(451, 3, 0, "local error, try again later").WithCause(err)
}

// noRoom is the refusal of mail for which there is no room at the moment (RFC 5321
// §4.3.2, RFC 1870 §6.1).
func noRoom(err error) *smtp.Reply {
	return refuse(452, 3, 1, "insufficient system storage, try again later").WithCause(err)
}

// room refuses a message of size octets, 0: of unknown size, where the disk has too
// little room: it is written once as it comes in, and once into the store.
func (d *Door) room(size int64) *smtp.Reply {
	if d.Room == nil {
		return nil
	}
	if err := d.Room(2 * size); err != nil {
		return noRoom(err)
	}
	return nil
}

// hasRoom refuses mail at MAIL for which there is no room.
func (d *Door) hasRoom() Check {
	return Check{Sender: func(_ context.Context, f *Facts) *smtp.Reply { return d.room(f.Mail.Size) }}
}

// recipient makes a queue's recipient of RCPT's parameters.
func recipient(p smtp.RcptParams, to smtp.Address, d delivery.RecipientDomain) delivery.Recipient {
	r := delivery.Recipient{Address: to.String(), Domain: d, ORcpt: p.ORcpt}
	if to == p.To {
		r.Address = p.Recipient()
	}
	for _, n := range p.Notify {
		switch n {
		case "SUCCESS":
			r.Notify |= delivery.NotifySuccess
		case "FAILURE":
			r.Notify |= delivery.NotifyFailure
		case "DELAY":
			r.Notify |= delivery.NotifyDelay
		case "NEVER":
			r.Notify |= delivery.NotifyNever
		}
	}
	return r
}

// known reports whether the list has the recipient already: a second RCPT for
// one address is answered 250 and counts once.
func known(list []delivery.Recipient, r delivery.Recipient) bool {
	for i := range list {
		if list[i].Domain == r.Domain && sameAddress(list[i].Address, r.Address) {
			return true
		}
	}
	return false
}

// sameAddress reports that two addresses of one domain differ in quoting only (RFC
// 5321 §4.1.2): they are one mailbox.
func sameAddress(a, b string) bool {
	if a == b {
		return true
	}
	if !strings.Contains(a, `"`) && !strings.Contains(b, `"`) {
		return false
	}
	x, err := smtp.ParseReceived(a, true)
	y, yerr := smtp.ParseReceived(b, true)
	return err == nil && yerr == nil && x.Local == y.Local
}

// need is the TLS need (RFC 8689 §4.1, INB-7): REQUIRETLS outranks the header.
func (f *Facts) need() delivery.TLSNeed {
	switch {
	case f.Mail.RequireTLS:
		return delivery.RequireTLS
	case message.TLSRequiredNo(f.in.header):
		return delivery.TLSOptional
	}
	return delivery.FollowPolicy
}

func (f *Facts) ret() delivery.Ret {
	switch f.Mail.Ret {
	case "HDRS":
		return delivery.RetHeaders
	case "FULL":
		return delivery.RetFull
	}
	return delivery.RetDefault
}

// release is when a message that is to be held may go (RFC 4865); zero: at once.
func (f *Facts) release(now time.Time) time.Time {
	if f.Mail.HoldFor > 0 {
		return now.Add(f.Mail.HoldFor)
	}
	if f.Mail.HoldUntil.After(now) {
		return f.Mail.HoldUntil
	}
	return time.Time{}
}

// envelope makes the envelope of a message that may be accepted.
func (f *Facts) envelope(now time.Time) *delivery.Envelope {
	return &delivery.Envelope{
		ID:         store.NewID(),
		Sender:     f.Mail.Sender(),
		Recipients: f.Recipients,
		Need:       f.need(),
		Account:    f.Conn.Identity(),
		EightBit:   f.in.eightBit(), // what BODY says may be more than there is
		SMTPUTF8:   f.Mail.SMTPUTF8,
		EnvID:      f.Mail.EnvID,
		Ret:        f.ret(),
		Accepted:   now,
		NotBefore:  f.release(now),
		Hold:       f.Mail.Hold,
		Peer:       fmt.Sprintf("%s (%s)", f.Conn.HELO(), f.Conn.Remote().Addr()),
	}
}

// onlyRecipient is the address of the one recipient, if there is one alone.
func (f *Facts) onlyRecipient() (address string, ok bool) {
	switch {
	case len(f.Recipients)+len(f.reports) != 1:
		return "", false
	case len(f.reports) == 1:
		return f.reports[0].Address, true
	}
	return f.Recipients[0].Address, true
}

// take reads a message and refuses loops. The caller closes what it returns.
// A long message is in its file afterwards; look is called before that, once the
// header is known, and may be nil.
func (d *Door) take(r io.Reader, look func(*incoming) *smtp.Reply) (*incoming, *smtp.Reply) {
	in, more, err := d.read(r)
	if errors.Is(err, errCrowded) {
		return nil, refuse(452, 3, 1, "too much mail is coming in at this moment, try again later").WithCause(err)
	}
	if err != nil {
		return nil, localError(err) // the server answers for faults of the data itself
	}
	fail := looping(in)
	if fail == nil && d.Milters != nil {
		fail = brimful(in)
	}
	if hasNUL(*in.buf) {
		fail = errNUL()
	}
	if fail == nil && look != nil {
		fail = look(in)
	}
	if fail == nil && more {
		if err := in.spill(d.TempDir, r); err != nil {
			fail = localError(err)
		} else if in.nul {
			fail = errNUL()
		}
	}
	if fail != nil {
		in.close()
		return nil, fail
	}
	return in, nil
}

// errNUL refuses a message with a NUL octet: RFC 5322 §4 no longer allows it, RFC
// 2045 §2.7 and §2.8 allow it in neither 7bit nor 8bit data, and BINARYMIME is not
// offered. Programs that end text at a NUL would see another message than we do.
func errNUL() *smtp.Reply {
	return refuse(550, 6, 0, "the message holds a NUL octet, which mail may not; encode it (RFC 2045 section 6)")
}

// looping is the refusal of a message that has been through too many servers
// (5.4.6), or whose header is beyond all bounds (INB-2).
func looping(in *incoming) *smtp.Reply {
	n := message.ReceivedCount(in.header)
	if size := len(in.head()); size > message.MaxHeader {
		return refuse(552, 3, 4, "the message's header has %d octets, %d are allowed", size, message.MaxHeader)
	}
	if in.odd != nil {
		if errors.Is(in.odd, message.ErrTooManyFields) {
			return refuse(550, 6, 0, "%s", in.odd)
		}
		n += countReceived(in.body)
	}
	if n > maxReceived {
		return refuse(554, 4, 6, "mail loop: %d Received fields", n)
	}
	return nil
}

// brimful refuses a header that leaves milters no room: what they found would be lost without their marks.
func brimful(in *incoming) *smtp.Reply {
	if n, most := len(in.header.Fields), message.MaxFields-screening.RoomFields; n > most {
		return refuse(550, 6, 0, "the message's header has %d fields, %d are allowed", n, most)
	}
	if size, most := len(in.head()), message.MaxHeader-screening.RoomOctets; size > most {
		return refuse(552, 3, 4, "the message's header has %d octets, %d are allowed", size, most)
	}
	return nil
}

// countReceived counts in what follows a line that is no field: a loop must end
// whatever is wrong with the message.
func countReceived(b []byte) int {
	n := 0
	for line := range strings.SplitSeq(string(b[:min(len(b), message.MaxHeader)]), "\r\n") {
		if line == "" {
			break
		}
		if len(line) >= 9 && strings.EqualFold(line[:9], "Received:") {
			n++
		}
	}
	return n
}

// accept queues the message and gives the final reply.
func (d *Door) accept(ctx context.Context, env *delivery.Envelope, content delivery.Content) (*smtp.Reply, error) {
	env.Size = content.Size()
	if r := d.room(0); r != nil { // many may have come in since MAIL
		return nil, r
	}
	if err := d.Queue.Enqueue(ctx, env, content); err != nil {
		if r := (*smtp.Reply)(nil); errors.As(err, &r) { // of the recipients' scripts (SIV-1)
			return nil, r
		}
		return nil, localError(err)
	}
	id := delivery.ID(env.ID).String()
	d.log().Info("message accepted", "message", id, "from", env.Sender, "recipients", len(env.Recipients),
		"size", env.Size, "need", env.Need.String(), "account", env.Account, "peer", env.Peer)
	return smtp.NewReply(250, smtp.Enhanced{Class: 2}, "message accepted as %s", id), nil
}

// address completes the bare <postmaster> (RFC 5321 §4.5.1) and parses the
// domain. The postmaster of the host's own name, from whom our DSNs come, is the
// same person, whether or not that name is a hosted domain.
func (d *Door) address(ctx context.Context, to smtp.Address) (smtp.Address, delivery.RecipientDomain, *smtp.Reply) {
	if to.Domain == "" {
		return d.postmaster(ctx)
	}
	domain, err := delivery.ParseRecipientDomain(to.Domain)
	if err != nil {
		return to, domain, refuse(550, 1, 2, "bad recipient domain: %s", err)
	}
	if domain.IsLiteral() || domain.Name.ASCII() != d.Hostname || !strings.EqualFold(to.Local, "postmaster") {
		return to, domain, nil
	}
	hosted, err := d.Accounts.IsHosted(ctx, domain.Name)
	switch {
	case err != nil:
		return to, domain, localError(err)
	case hosted:
		return to, domain, nil
	}
	return d.postmaster(ctx)
}

// postmaster is the address of the one who answers for this server.
func (d *Door) postmaster(ctx context.Context) (smtp.Address, delivery.RecipientDomain, *smtp.Reply) {
	full := "postmaster@" + d.Hostname
	if d.Postmaster != nil {
		var err error
		if full, err = d.Postmaster(ctx); err != nil {
			return smtp.Address{}, delivery.RecipientDomain{}, localError(err)
		}
	}
	if full == "" {
		return smtp.Address{}, delivery.RecipientDomain{}, refuse(550, 1, 1, "there is no postmaster here yet")
	}
	to, err := smtp.ParseAddress(full, true)
	if err != nil {
		return to, delivery.RecipientDomain{}, localError(err)
	}
	domain, err := delivery.ParseRecipientDomain(to.Domain)
	if err != nil {
		return to, domain, localError(err)
	}
	return to, domain, nil
}

// errNotHosted says that a domain's mail does not end here.
var errNotHosted = errors.New("not hosted here")

// resolve checks that an address of a hosted domain exists: nil, errNotHosted,
// or the reply that refuses it.
func (d *Door) resolve(ctx context.Context, to smtp.Address, domain delivery.RecipientDomain) error {
	if domain.IsLiteral() {
		return errNotHosted
	}
	return d.exists(ctx, to.Local, domain.Name)
}

// full is the reply for an account that can keep no more (MBX-5); nil for others.
func (d *Door) full(ctx context.Context, of string) error {
	if d.Full == nil || of == "" {
		return nil
	}
	how, err := d.Full(ctx, of)
	switch {
	case err != nil:
		return localError(err)
	case how == mailbox.FullNow:
		return refuse(452, 2, 2, "the mailbox is full; try again later")
	case how == mailbox.FullLong:
		return refuse(552, 2, 2, "the mailbox is full")
	}
	return nil
}

func (d *Door) exists(ctx context.Context, local string, domain dns.Name) error {
	t, err := d.Accounts.Resolve(ctx, local, domain)
	off, mail := false, account.PutOff
	if err == nil {
		off, err = d.Accounts.IsDisabled(ctx, domain)
	}
	if err == nil && off {
		mail, err = d.Accounts.DisabledMail(ctx, domain)
	}
	switch {
	case off && err == nil && mail == account.PutOff:
		return refuse(450, 2, 1, "%s takes no mail at the moment", domain)
	case off && err == nil && mail == account.Refuse:
		return refuse(550, 2, 1, "%s takes no mail", domain)
	case err == nil && t.Refused:
		return refuse(550, 2, 1, "this mailbox is disabled")
	case err == nil:
		return d.full(ctx, t.Account)
	case errors.Is(err, accounts.ErrNotHosted):
		return errNotHosted
	case errors.Is(err, accounts.ErrNoSuchAddress):
		return refuse(550, 1, 1, "no such address here")
	}
	return localError(err)
}
