package receive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/milters"
	"waxwing/internal/reason"
	"waxwing/internal/screening"
	"waxwing/message"
	"waxwing/milter"
	"waxwing/smtp"
)

// admitter takes a recipient that a milter adds, or says why not.
type admitter = func(ctx context.Context, f *Facts, to smtp.Address, written string) (delivery.Recipient, *smtp.Reply)

// screen is the check of the operator's milters (JNK-3).
func (d *Door) screen(admit admitter) Check {
	if d.Milters == nil {
		return Check{}
	}
	return Check{Sender: d.beginScreening, Recipient: screenRecipient,
		Message: func(ctx context.Context, f *Facts) Decision { return d.screened(ctx, f, admit) }}
}

func (d *Door) beginScreening(ctx context.Context, f *Facts) *smtp.Reply {
	name, _, iprev := f.name.Result(ctx)
	f.milters = d.Milters.Begin(milters.ClientOf(f.Conn, name.ASCII(), iprev))
	return f.milters.Mail(ctx, f.Mail).Reply
}

func screenRecipient(ctx context.Context, f *Facts) *smtp.Reply {
	return f.tellRecipient(ctx, f.Recipient)
}

func (f *Facts) tellRecipient(ctx context.Context, r delivery.Recipient) *smtp.Reply {
	return f.milters.Rcpt(ctx, r).Reply
}

// screened has the milters look at the whole message, and does as was decided.
func (d *Door) screened(ctx context.Context, f *Facts, admit admitter) Decision {
	id := delivery.ID(f.Envelope.ID).String()
	f.milters.Named(id)
	text := &screenedText{door: d, facts: f, admit: admit}
	defer text.close()
	out, err := f.milters.Whole(ctx, text)
	f.milters.Close()
	switch {
	case err != nil:
		return refused(localError(err))
	case out.Action == screening.Refuse:
		d.log().Info("message refused by a milter", "filter", out.By, "message", id, "from", f.Envelope.Sender, "word", string(reason.MilterReject), "text", out.Reply.String(), "peer", f.Envelope.Peer)
		return Decision{Reply: out.Reply, Unseen: out.Silent}
	case out.Action != screening.Discard && text.nobody() && text.astray.Refusal() != nil:
		return refused(text.astray.Refusal())
	case out.Action == screening.Discard, text.nobody():
		d.log().Warn("message thrown away: a milter wants it", "filter", out.By, "message", id, "from", f.Envelope.Sender, "recipients", len(f.Envelope.Recipients), "word", string(reason.MilterDiscard), "peer", f.Envelope.Peer)
		f.Envelope.Recipients, f.reports = nil, nil
		return Decision{Reply: smtp.NewReply(250, smtp.Enhanced{Class: 2}, "message accepted as %s", id)}
	}
	f.Envelope.Quarantine = out.Hold
	f.aftermath(out.Notes)
	if f.Author.IsZero() {
		return Decision{}
	}
	if f.Author, err = message.FromDomain(f.Header()); err != nil { // whose keys sign it
		return refused(refuse(550, 6, 0, "a filter has left the message without an author: %s", err))
	}
	return Decision{}
}

// aftermath notes what milters have come to, for the decision about junk and for those without one.
func (f *Facts) aftermath(notes []milters.Note) {
	for _, name := range f.milters.Silent {
		f.screened = append(f.screened, junk.Milter{Name: name, Action: junk.MilterSilent})
	}
	for _, n := range notes {
		m := junk.Milter{Name: n.Milter, Text: n.Text}
		switch {
		case n.Aside:
			m.Action = junk.MilterQuarantines
		case n.Held:
			m.Action = junk.MilterHolds
		}
		f.screened = append(f.screened, m)
	}
	f.Envelope.Need = f.need() // by the header as it is now
}

// putAside reports that a milter has the message put into Junk, or the operator for want of its answer.
func (f *Facts) putAside() bool {
	return slices.ContainsFunc(f.screened, func(m junk.Milter) bool { return m.Action.PutsAside() })
}

// intoJunk has the message put into Junk where milters want it, whether or not it was weighed: who is
// elsewhere, or has no filter, was not.
func intoJunk(_ context.Context, f *Facts) Decision {
	for i := range f.Envelope.Recipients {
		f.Envelope.Recipients[i].Junk = f.Envelope.Recipients[i].Junk || f.putAside()
	}
	return Decision{}
}

// screenedText is the message for the milters.
type screenedText struct {
	door  *Door
	facts *Facts
	admit admitter
	body  *milters.Body // of the milter that is asked
	// astray is of the recipients that could not be added, of all milters.
	astray screening.Astray
}

// nobody reports that the message has no recipient left.
func (s *screenedText) nobody() bool {
	return len(s.facts.Envelope.Recipients) == 0 && len(s.facts.reports) == 0
}

func (s *screenedText) close() {
	if s.body != nil {
		s.body.Close()
	}
}

// Parts: the body is what follows the empty line.
func (s *screenedText) Parts() (message.Header, io.Reader, error) {
	in := s.facts.in
	msg, err := in.whole()
	if err != nil {
		return message.Header{}, nil, err
	}
	_, body, err := message.SplitHeader(msg)
	return in.header, bytes.NewReader(body), err
}

func (s *screenedText) Replacement() io.Writer {
	s.close()
	s.body = &milters.Body{Limit: s.door.Milters.Largest, Memory: ownMemory, File: func() (*os.File, error) { return nameless(s.door.TempDir) }}
	return s.body
}

func (s *screenedText) Amend(h message.Header, replaced bool) error {
	var body *milters.Body
	if replaced {
		body = s.body
		if err := body.End(); err != nil {
			return err
		}
	}
	return s.facts.in.amend(h, body, s.door.TempDir)
}

// Envelope makes changes of the envelope. What is not made is a word of the log: there is nobody to
// hear more, unless the message would go astray.
func (s *screenedText) Envelope(ctx context.Context, all []screening.Envelope, astray screening.Astray) (words []string, refusal *smtp.Reply, err error) {
	env := s.facts.Envelope
	before := env.Recipients
	for _, e := range all {
		word, err := s.change(ctx, e)
		if err != nil {
			return nil, nil, err
		}
		if e.Op == milter.AddRecipient {
			astray.Refused = astray.Refused || word != "" && word != screening.NotNow
			astray.PutOff = astray.PutOff || word == screening.NotNow
		}
		words = append(words, word)
	}
	s.astray.Refused, s.astray.PutOff = s.astray.Refused || astray.Refused, s.astray.PutOff || astray.PutOff
	if removed := without(before, env.Recipients); len(removed) > 0 {
		standIn(env.Recipients, before, removed)
		refusal = astray.Refusal()
	}
	return words, refusal, nil
}

// without are the recipients of all that are not in list.
func without(all, list []delivery.Recipient) []delivery.Recipient {
	return slices.DeleteFunc(slices.Clone(all), func(r delivery.Recipient) bool { return known(list, r) })
}

// standIn has the recipients that a milter puts in place of removed ones ask for the notifications of
// those: the sender is told what becomes of the message, as if it went on from an alias.
func standIn(now, before, removed []delivery.Recipient) {
	var notify delivery.Notify
	for _, bit := range []delivery.Notify{delivery.NotifySuccess, delivery.NotifyFailure, delivery.NotifyDelay} {
		if slices.ContainsFunc(removed, func(r delivery.Recipient) bool { return r.Notify.Wants(bit) }) {
			notify |= bit
		}
	}
	if notify == 0 {
		notify = delivery.NotifyNever
	}
	for i := range now {
		if known(before, now[i]) {
			continue
		}
		now[i].Notify = notify
		if len(removed) == 1 {
			now[i].Notify, now[i].ORcpt = removed[0].Notify, removed[0].ORcpt
		}
	}
}

// change makes one change of the envelope, or says why not.
func (s *screenedText) change(ctx context.Context, e screening.Envelope) (word string, err error) {
	env := s.facts.Envelope
	switch e.Op {
	case milter.ChangeSender:
		env.Sender = e.Written
	case milter.RemoveRecipient:
		n := len(env.Recipients)
		env.Recipients = slices.DeleteFunc(slices.Clone(env.Recipients), func(r delivery.Recipient) bool { return sameRecipient(r, e.Address) })
		if len(env.Recipients) == n {
			return screening.NoSuchField, nil
		}
	default:
		return s.add(ctx, e)
	}
	return "", nil
}

func sameRecipient(r delivery.Recipient, a smtp.Address) bool {
	domain, err := delivery.ParseRecipientDomain(a.Domain)
	return err == nil && domain == r.Domain && sameAddress(r.Address, a.String())
}

// add takes a recipient of a milter's. The sender does not know of it, and is told nothing.
func (s *screenedText) add(ctx context.Context, e screening.Envelope) (word string, err error) {
	env := s.facts.Envelope
	if len(env.Recipients) >= maxScreenedRecipients {
		return screening.TooMany, nil
	}
	r, reply := s.admit(ctx, s.facts, e.Address, e.Written)
	switch {
	case reply != nil && reply.Cause != nil:
		return "", reply
	case reply != nil && reply.Temporary():
		return screening.NotNow, nil
	case reply != nil:
		return screening.NotTaken, nil
	}
	r.Notify, r.Junk = delivery.NotifyNever, s.facts.aside != ""
	if !known(env.Recipients, r) {
		env.Recipients = append(slices.Clone(env.Recipients), r)
	}
	return "", nil
}

// maxScreenedRecipients is how many recipients milters may bring a message to.
const maxScreenedRecipients = 1000

// admit takes a recipient of a milter's for mail of other servers: somebody here, to whom the
// sender may write. Nothing is relayed for a milter either.
func (b *MX) admit(ctx context.Context, f *Facts, to smtp.Address, written string) (delivery.Recipient, *smtp.Reply) {
	r, reply := b.Door.admit(ctx, to, written)
	if reply == nil && !r.Local {
		reply = refuse(550, 7, 1, "%s is not hosted here", r.Domain)
	}
	if reply == nil {
		reply = b.mayRead(ctx, f, r)
	}
	return r, reply
}

// admit takes a recipient of a milter's for mail of an account, which may be anywhere.
func (b *Submission) admit(ctx context.Context, f *Facts, to smtp.Address, written string) (delivery.Recipient, *smtp.Reply) {
	r, reply := b.Door.admit(ctx, to, written)
	if reply == nil {
		reply = b.mayPost(ctx, f, r)
	}
	return r, reply
}

func (d *Door) admit(ctx context.Context, to smtp.Address, written string) (r delivery.Recipient, reply *smtp.Reply) {
	to, domain, reply := d.address(ctx, to)
	if reply != nil {
		return r, reply
	}
	r = recipient(smtp.RcptParams{To: to, Written: written}, to, domain)
	switch err := d.resolve(ctx, to, domain); {
	case err == nil:
		r.Local = true
	case errors.Is(err, errNotHosted):
	case !errors.As(err, &reply):
		reply = localError(err)
	}
	return r, reply
}

// amend gives the message another header and, if body is not nil, another body. After an error it is
// what it was.
func (in *incoming) amend(h message.Header, body *milters.Body, dir string) error {
	if in.file == nil && body == nil {
		in.header, in.edited = h, true
		return nil
	}
	msg, err := in.whole()
	if err != nil {
		return err
	}
	var text io.Reader
	if body != nil {
		text = body.Reader()
	} else {
		_, old, _ := message.SplitHeader(msg)
		text = bytes.NewReader(old)
	}
	if in.file == nil {
		if short, ok := body.Short(); ok {
			b := slices.Concat(h.Bytes(), []byte("\r\n"), short)
			*in = incoming{buf: &b, share: in.share}
			in.parse()
			return nil
		}
	}
	f, err := nameless(dir)
	if err != nil {
		return err
	}
	w := &counter{w: f}
	if _, err := io.Copy(w, io.MultiReader(bytes.NewReader(h.Bytes()), strings.NewReader("\r\n"), text)); err != nil {
		f.Close()
		return fmt.Errorf("write a message anew: %w", err)
	}
	in.rewritten(f, w, h)
	return nil
}

// rewritten takes the file with the message as it is now, in place of where it was.
func (in *incoming) rewritten(f *os.File, w *counter, h message.Header) {
	if in.mapped != nil {
		syscall.Munmap(in.mapped)
	}
	if in.file != nil {
		in.file.Close()
	}
	in.file, in.mapped, in.header = f, nil, h
	in.counted(w)
	in.detach()
}
