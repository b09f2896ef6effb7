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
	name, _, iprev := f.name.result(ctx)
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
	for _, r := range f.reports { // a report that is none is read by somebody
		if reply := f.tellRecipient(ctx, r.Recipient); reply != nil {
			return refused(reply)
		}
	}
	text := &screenedText{door: d, facts: f, admit: admit}
	defer text.close()
	out, err := f.milters.Whole(ctx, text)
	f.milters.Close()
	switch {
	case err != nil:
		return refused(localError(err))
	case out.Action == screening.Refuse:
		d.log().Info("message refused by a milter", "message", id, "from", f.Envelope.Sender, "word", string(reason.MilterReject), "text", out.Reply.String(), "peer", f.Envelope.Peer)
		return refused(out.Reply)
	case out.Action == screening.Discard, len(f.Envelope.Recipients) == 0 && len(f.reports) == 0:
		d.log().Warn("message thrown away: a milter wants it", "message", id, "from", f.Envelope.Sender, "recipients", len(f.Envelope.Recipients), "word", string(reason.MilterDiscard), "peer", f.Envelope.Peer)
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
	f.mute = f.milters.Silent
	aside := len(f.mute) > 0
	for _, n := range notes {
		m := junk.Milter{Name: n.Milter, Text: n.Text}
		if n.Aside {
			m.Action, aside = junk.MilterQuarantines, true
		}
		f.screened = append(f.screened, m)
	}
	for i := range f.Envelope.Recipients {
		f.Envelope.Recipients[i].Junk = f.Envelope.Recipients[i].Junk || aside
	}
	f.Envelope.Need = f.need() // by the header as it is now
}

// screenedText is the message for the milters.
type screenedText struct {
	door  *Door
	facts *Facts
	admit admitter
	body  *newBody // of the milter that is asked
}

func (s *screenedText) close() {
	if s.body != nil {
		s.body.close()
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
	s.body = &newBody{dir: s.door.TempDir, limit: s.door.Milters.Largest}
	return s.body
}

func (s *screenedText) Amend(h message.Header, replaced bool) error {
	var body *newBody
	if replaced {
		body = s.body
		if err := body.end(); err != nil {
			return err
		}
	}
	return s.facts.in.amend(h, body, s.door.TempDir)
}

// Envelope makes a change of the envelope. Its refusals are words of the log, not replies: there
// is nobody to hear them.
func (s *screenedText) Envelope(ctx context.Context, e screening.Envelope) (word string, err error) {
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

// newBody takes a body that a milter wants, with the line ends that mail has: a little of it in
// memory, what is longer in a file without a name.
type newBody struct {
	dir   string
	limit int64
	buf   []byte // of what is not in the file yet
	file  *os.File
	size  int64 // of all
	last  byte
}

// Write refuses what no mail may hold, as the milter's fault.
func (b *newBody) Write(p []byte) (int, error) {
	if hasNUL(p) {
		return 0, &milter.ProtocolError{Text: "a body with a NUL octet"}
	}
	for _, c := range p {
		if c == '\n' && b.last != '\r' {
			b.buf = append(b.buf, '\r')
		}
		if c != '\n' && b.last == '\r' {
			b.buf = append(b.buf, '\n')
		}
		b.buf, b.last = append(b.buf, c), c
	}
	if b.size+int64(len(b.buf)) > b.limit {
		return 0, &milter.ProtocolError{Text: fmt.Sprintf("a body of more than %d octets", b.limit)}
	}
	if len(b.buf) > ownMemory {
		return len(p), b.spill()
	}
	return len(p), nil
}

// spill moves what is in memory to the file.
func (b *newBody) spill() (err error) {
	if b.file == nil {
		if b.file, err = nameless(b.dir); err != nil {
			return err
		}
	}
	if _, err := b.file.Write(b.buf); err != nil {
		return fmt.Errorf("write a body of a milter's: %w", err)
	}
	b.size, b.buf = b.size+int64(len(b.buf)), b.buf[:0]
	return nil
}

// end completes the last line.
func (b *newBody) end() error {
	switch {
	case b.last == '\r':
		b.buf = append(b.buf, '\n')
	case b.last != '\n' && b.size+int64(len(b.buf)) > 0:
		b.buf = append(b.buf, "\r\n"...)
	}
	if b.file == nil {
		return nil
	}
	return b.spill()
}

func (b *newBody) close() {
	if b.file != nil {
		b.file.Close()
	}
}

// reader is the body from its start, after end.
func (b *newBody) reader() io.Reader {
	if b.file != nil {
		return io.NewSectionReader(b.file, 0, b.size)
	}
	return bytes.NewReader(b.buf)
}

// amend gives the message another header and, if body is not nil, another body. After an error it is
// what it was.
func (in *incoming) amend(h message.Header, body *newBody, dir string) error {
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
		text = body.reader()
	} else {
		_, old, _ := message.SplitHeader(msg)
		text = bytes.NewReader(old)
	}
	if in.file == nil && body.file == nil {
		b := slices.Concat(h.Bytes(), []byte("\r\n"), body.buf)
		*in = incoming{buf: &b, share: in.share}
		in.parse()
		return nil
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
