package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/message"
	"waxwing/structure"
)

// maxBatch is how many messages are written in one transaction; their octets are bounded by that of
// bodies, too.
const maxBatch = 256

// Importer puts messages into mailboxes of one account. It belongs to one goroutine.
type Importer struct {
	Boxes   *mailboxes.Store
	Account string
	Max     int64  // octets that a message may have
	Temp    string // the directory for long messages while they are read
	// Again leaves out messages that their mailbox has already, as after an import that was interrupted.
	Again    bool
	Progress func(Done) // nil: nobody looks
	Left     func(Left) // told of each that could not be taken

	done  Done
	boxes map[string]*target
	batch batch
}

// target is a mailbox that messages go into.
type target struct {
	err   error               // why it cannot have any
	known map[uint64]struct{} // with Again: what it has
}

// batch is messages that are written together.
type batch struct {
	box    string
	octets int64
	all    []mailboxes.Appended
	what   []string
	close  []func()
	also   func(*store.Tx) error // written with them, and so is that of the last
}

func nothing(*store.Tx) error { return nil }

// incoming is a message on its way in.
type incoming struct {
	what   string // where it stands, for Left
	box    string
	sender string
	flags  []string
	date   time.Time
	text   io.Reader
	also   func(*store.Tx) error // what is written with it, of the last one of a batch; nil: nothing
}

// Done is how far it has come.
func (im *Importer) Done() Done { return im.done }

func (im *Importer) left(what string, err error) {
	im.done.Left++
	im.Left(Left{what, err})
}

// target makes a mailbox where it is missing, once.
func (im *Importer) target(ctx context.Context, box string) (*target, error) {
	if t := im.boxes[box]; t != nil {
		return t, nil
	}
	t := &target{}
	if _, err := im.Boxes.Create(ctx, im.Account, box, ""); err != nil && !errors.Is(err, mailboxes.ErrMailboxExists) {
		if _, wrong := errors.AsType[*mailbox.NameError](err); !wrong && !mailboxes.IsRefusal(err) {
			return nil, err
		}
		t.err = err
		im.left(fmt.Sprintf("folder %q", box), err)
	} else if im.Again {
		if t.known, err = im.known(ctx, box); err != nil {
			return nil, err
		}
	}
	if im.boxes == nil {
		im.boxes = map[string]*target{}
	}
	im.boxes[box] = t
	return t, nil
}

// known are the messages that a mailbox has.
func (im *Importer) known(ctx context.Context, box string) (map[uint64]struct{}, error) {
	b, err := im.Boxes.Box(ctx, im.Account, box)
	if err != nil {
		return nil, err
	}
	all := map[uint64]struct{}{}
	return all, im.Boxes.Mails(ctx, b.ID, mailbox.All(), func(m *mailbox.Message) error {
		all[mark(m.MessageID, m.Size, m.Received)] = struct{}{}
		return nil
	})
}

// mark tells messages apart.
func mark(id string, size int64, date time.Time) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %s", size, date.Unix(), id)
	return h.Sum64()
}

// add takes a message. The error is one that ends the import; what is wrong with this one alone
// is told to Left.
func (im *Importer) add(ctx context.Context, in incoming) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := im.target(ctx, in.box)
	if err != nil || t.err != nil {
		return err
	}
	c, closeContent, err := hold(in.text, im.Temp, im.Max)
	if err != nil {
		if _, ours := errors.AsType[errWrite](err); ours {
			return err
		}
		im.left(in.what, err)
		return nil
	}
	return im.put(ctx, t, in, held{c, closeContent})
}

// held is a message that was read.
type held struct {
	content delivery.Content
	close   func()
}

// put puts a message into the batch, which it first writes where that is full.
func (im *Importer) put(ctx context.Context, t *target, in incoming, h held) error {
	c := h.content
	m, err := read(c)
	if err != nil {
		h.close()
		return err
	}
	m.Sender, m.Flags, m.Date = in.sender, in.flags, in.date
	if t.known != nil && !in.date.IsZero() {
		k := mark(m.MessageID, c.Size(), in.date)
		if _, has := t.known[k]; has {
			h.close()
			im.done.Known++
			return nil
		}
	}
	b := &im.batch
	if b.box != in.box || len(b.all) == maxBatch || b.octets+c.Size() > body.MaxTx {
		if err := im.flush(ctx); err != nil {
			h.close()
			return err
		}
	}
	b.box, b.octets = in.box, b.octets+c.Size()
	b.all, b.what, b.close = append(b.all, m), append(b.what, in.what), append(b.close, h.close)
	b.also = nothing
	if in.also != nil {
		b.also = in.also
	}
	return nil
}

// read finds out what is kept about a message.
func read(c delivery.Content) (m mailboxes.Appended, err error) {
	r, err := c.Open()
	if err != nil {
		return m, err
	}
	defer r.Close()
	s, err := structure.Parse(r)
	if err != nil {
		return m, err
	}
	m = mailboxes.Appended{Content: c, MessageID: message.CleanMessageID(s.Envelope.MessageID), References: s.Answers()}
	m.Structure, err = s.AppendBinary(nil)
	return m, err
}

// flush writes the batch.
func (im *Importer) flush(ctx context.Context) error {
	b := im.batch
	im.batch = batch{}
	defer func() {
		for _, end := range b.close {
			end()
		}
	}()
	if len(b.all) == 0 {
		return nil
	}
	_, _, err := im.Boxes.AppendWith(ctx, im.Account, b.box, b.all, b.also)
	switch {
	case err == nil:
		im.done.Messages, im.done.Octets = im.done.Messages+int64(len(b.all)), im.done.Octets+b.octets
	case refused(err):
		err = im.oneByOne(ctx, b)
	}
	if err == nil && im.Progress != nil {
		im.Progress(im.done)
	}
	return err
}

// refused tells an error of one message from one of the account or the store.
func refused(err error) bool {
	return mailboxes.IsRefusal(err) || errors.Is(err, mailboxes.ErrTooManyKeywords)
}

// oneByOne writes the messages of a batch of which one was refused: each that can be is taken, if
// need be without its keywords.
func (im *Importer) oneByOne(ctx context.Context, b batch) error {
	for i, m := range b.all {
		_, _, err := im.Boxes.Append(ctx, im.Account, b.box, []mailboxes.Appended{m})
		if refused(err) {
			why := err
			m.Flags = systemFlags(m.Flags)
			if _, _, err = im.Boxes.Append(ctx, im.Account, b.box, []mailboxes.Appended{m}); err == nil {
				im.left(b.what[i], fmt.Errorf("taken without its keywords: %w", why))
			}
		}
		switch {
		case err == nil:
			im.done.Messages, im.done.Octets = im.done.Messages+1, im.done.Octets+m.Content.Size()
		case refused(err):
			im.left(b.what[i], err)
		default:
			return err
		}
	}
	return im.Boxes.DB.Write(ctx, b.also)
}

func systemFlags(words []string) (out []string) {
	for _, w := range words {
		if _, ok := mailbox.SystemFlag(w); ok {
			out = append(out, w)
		}
	}
	return out
}

// counter counts what is read of a file, for Progress.
type counter struct {
	r io.Reader
	n *int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

var fromLine = []byte("From ")

// isMbox tells whether a file that begins so is one.
func isMbox(head []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(head, "\r\n"), fromLine) }
