package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"waxwing/internal/body"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/transfer/maildir"
	"waxwing/internal/transfer/mbox"
)

// Exporter gives out what lies in mailboxes of one account. It belongs to one goroutine.
type Exporter struct {
	Boxes    *mailboxes.Store
	Account  string
	CRLF     bool       // lines end as they do in the mailbox, and not with LF
	Progress func(Done) // nil: nobody looks
	Left     func(Left) // told of each that could not be given out

	done Done
}

// Done is how far it has come.
func (ex *Exporter) Done() Done { return ex.done }

func (ex *Exporter) left(what string, err error) {
	ex.done.Left++
	ex.Left(Left{what, err})
}

// step is after how many messages Progress is told.
const step = 100

// each calls fn for the messages of a mailbox that there are, in order. An error of fn ends it.
func (ex *Exporter) each(ctx context.Context, b *mailbox.Box, fn func(m *mailbox.Message, flags []string, text io.Reader) error) error {
	words, err := ex.Boxes.Keywords(ctx, ex.Account)
	if err != nil {
		return err
	}
	ex.done.Part, ex.done.Whole = 0, b.Messages
	return ex.Boxes.Mails(ctx, b.ID, mailbox.All(), func(m *mailbox.Message) error {
		c, _, err := ex.Boxes.Content(ctx, m.ID)
		if errors.Is(err, mailboxes.ErrNoSuchMessage) || errors.Is(err, body.ErrGone) {
			return nil // it was erased meanwhile
		}
		if err != nil {
			return err
		}
		text, err := c.Open()
		if err != nil {
			return err
		}
		defer text.Close()
		if err := fn(m, m.Entry.Flags.Words(words), text); err != nil {
			return fmt.Errorf("message %d of mailbox %q: %w", m.Entry.UID, b.Name, err)
		}
		ex.done.Messages, ex.done.Octets, ex.done.Part = ex.done.Messages+1, ex.done.Octets+m.Size, ex.done.Part+1
		if ex.Progress != nil && ex.done.Part%step == 0 {
			ex.Progress(ex.done)
		}
		return ctx.Err()
	})
}

// Mbox writes a mailbox as an mbox file.
func (ex *Exporter) Mbox(ctx context.Context, b *mailbox.Box, file io.Writer) error {
	w := mbox.NewWriter(file, ex.CRLF)
	err := ex.each(ctx, b, func(m *mailbox.Message, flags []string, text io.Reader) error {
		return w.Write(mbox.Message{Sender: m.Sender, Date: m.Received, Flags: flags}, text)
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// Mboxes writes mailboxes into a directory, an mbox file each. The directory is made, or is empty.
func (ex *Exporter) Mboxes(ctx context.Context, boxes []mailbox.Box, dir string) error {
	root, err := emptyDir(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for i := range boxes {
		if err := ex.mboxFile(ctx, root, &boxes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (ex *Exporter) mboxFile(ctx context.Context, root *os.Root, b *mailbox.Box) error {
	name := b.Name + ".mbox"
	err := root.MkdirAll(path.Dir(name), 0o700)
	var file *os.File
	if err == nil {
		file, err = root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil { // such as a name that is too long for a file
		ex.left(fmt.Sprintf("folder %q", b.Name), err)
		return nil
	}
	err = ex.Mbox(ctx, b, file)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// Maildir writes mailboxes into a directory: INBOX at its top, and the others as folders in it
// (Maildir++). The directory is made, or is empty.
func (ex *Exporter) Maildir(ctx context.Context, boxes []mailbox.Box, dir string) error {
	root, err := emptyDir(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := makeMaildir(root, "."); err != nil {
		return err
	}
	for i := range boxes {
		b := &boxes[i]
		at := path.Join(".", maildir.Dir(b.Name))
		if err := makeMaildir(root, at); err != nil {
			ex.left(fmt.Sprintf("folder %q", b.Name), err)
			continue
		}
		if err := ex.maildir(ctx, root, at, b); err != nil {
			return err
		}
	}
	return nil
}

func makeMaildir(root *os.Root, at string) error {
	for _, dir := range []string{"cur", "new", "tmp"} {
		if err := root.MkdirAll(path.Join(at, dir), 0o700); err != nil {
			return err
		}
	}
	if at == "." {
		return nil
	}
	return root.WriteFile(path.Join(at, "maildirfolder"), nil, 0o600)
}

func (ex *Exporter) maildir(ctx context.Context, root *os.Root, at string, b *mailbox.Box) error {
	d := maildirWriter{ex: ex, root: root, at: at}
	err := ex.each(ctx, b, d.write)
	if words := d.keywords.Bytes(); err == nil && len(words) > 0 {
		err = root.WriteFile(path.Join(at, maildir.KeywordFile), words, 0o600)
	}
	return err
}

// maildirWriter writes one folder.
type maildirWriter struct {
	ex       *Exporter
	root     *os.Root
	at       string
	keywords maildir.Keywords
}

// write writes a message as others deliver into Maildirs: under a name of tmp first.
func (d *maildirWriter) write(m *mailbox.Message, flags []string, text io.Reader) error {
	tmp := path.Join(d.at, "tmp", fmt.Sprint(m.Entry.UID))
	file, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := d.ex.copy(file, text)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	name, unnamed := (&maildir.File{Arrived: m.Received, UID: m.Entry.UID, Size: n, CRLF: m.Size, Flags: flags}).Name(&d.keywords)
	if len(unnamed) > 0 {
		d.ex.left(path.Join(d.at, "cur", name), fmt.Errorf("a Maildir has letters for %d keywords: given out without %s", len(d.keywords), strings.Join(unnamed, ", ")))
	}
	if err := d.root.Chtimes(tmp, m.Received, m.Received); err != nil {
		return err
	}
	return d.root.Rename(tmp, path.Join(d.at, "cur", name))
}

// copy writes a message with its lines as they are to end, and says how many octets that are.
func (ex *Exporter) copy(w io.Writer, text io.Reader) (n int64, err error) {
	if ex.CRLF {
		return io.Copy(w, text)
	}
	u := unix{w: bufio.NewWriter(w)}
	if _, err := io.Copy(&u, text); err != nil {
		return 0, err
	}
	if u.held {
		u.put([]byte{'\r'})
	}
	return u.n, u.w.Flush()
}

// unix takes the CR before each LF away.
type unix struct {
	w    *bufio.Writer // tells errors when it is flushed
	n    int64
	held bool // a CR is held back
}

func (u *unix) put(p []byte) {
	u.w.Write(p)
	u.n += int64(len(p))
}

func (u *unix) Write(p []byte) (int, error) {
	all := len(p)
	for len(p) > 0 {
		if u.held && p[0] != '\n' {
			u.put([]byte{'\r'})
		}
		i := bytes.IndexByte(p, '\r')
		if u.held = i >= 0; !u.held {
			u.put(p)
			break
		}
		u.put(p[:i])
		p = p[i+1:]
	}
	return all, nil
}

// emptyDir makes a directory, and refuses one in which something is.
func emptyDir(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty: name a directory that is, or is not there yet", dir)
	}
	return os.OpenRoot(dir)
}
