package account

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/text"
	"waxwing/internal/transfer"
	"waxwing/internal/transfer/mbox"
	"waxwing/internal/web/pages"
	"waxwing/internal/websession"
)

const (
	maxTaken   = 4 << 30   // octets of a file that is taken in
	maxArchive = 2 << 30   // the same of an archive, which lies on the disk meanwhile
	maxMessage = 256 << 20 // octets of a message in it
	maxShown   = 50        // messages that could not be taken, on the page
	moreTime   = time.Minute
)

// The ways in which mail is given out.
const (
	asMaildir = "Maildir, in one archive"
	asMboxes  = "mbox files, in one archive"
)

func transferPage(_ *Handler, a *asked) (pages.Page, error) {
	return pages.Page{Title: "Import and export", Command: waxwing("mail export", a.who(), "PATH"), Blocks: []pages.Block{
		pages.Form{Title: "Take all your mail with you", Method: "get", Action: Path + "transfer/export", Submit: "Download", Fields: []pages.Field{
			{Name: "as", Label: "As", Kind: "select", Options: []string{asMboxes, asMaildir}}}},
		pages.Form{Title: "Bring mail from elsewhere", Method: "post", Action: Path + "transfer/import", Submit: "Upload", Fields: []pages.Field{
			{Name: "mailbox", Label: "Into the mailbox", Help: "it is made where there is none; the folders of an archive become mailboxes below it, and without a name stand where they stood", Value: "Imported"},
			{Name: "file", Label: "An mbox file, or a Maildir or mbox files in a ZIP archive", Kind: "file", Required: true}}},
		pages.Prose{Body: "Messages that a mailbox has already are left out: a file can be brought again after an upload that broke off. What is larger than 4 GB, or 2 GB as an archive, is taken in by the operator: waxwing mail import."},
	}}, nil
}

// busy are the accounts whose mail is being given out or taken in: one transfer each, since each takes the disk for long.
type busy struct {
	mu  sync.Mutex
	who map[string]bool
}

// maxTransfers is how many accounts may do so at the same time.
const maxTransfers = 4

func (b *busy) enter(name string) (leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.who[name] {
		return nil, faultOf("your mail is on its way already: wait until that has ended")
	}
	if len(b.who) >= maxTransfers {
		return nil, faultOf("others bring or take their mail just now: try again in some minutes")
	}
	if b.who == nil {
		b.who = map[string]bool{}
	}
	b.who[name] = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.who, name)
	}, nil
}

// export streams all mail of the account.
func (h *Handler) export(w http.ResponseWriter, r *http.Request) {
	h.In.In(w, r, func(x websession.Session) {
		a := &asked{r, w, x}
		leave, err := h.busy.enter(a.who())
		if err != nil {
			h.write(a, "", refused(err.Error()))
			return
		}
		defer leave()
		boxes, err := h.Rooms.Boxes.Boxes(r.Context(), a.who())
		if err != nil {
			h.failed(a, err)
			return
		}
		h.Log.Info("mail is exported on the account pages", "account", a.who(), "remote", x.Remote)
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.who() + "-mail.zip"}))
		out := &paced{w: w, c: http.NewResponseController(w)}
		ex := &transfer.Exporter{Boxes: h.Rooms.Boxes, Account: a.who(), Left: func(l transfer.Left) { h.Log.Info("not exported", "account", a.who(), "text", l.String()) }}
		if r.URL.Query().Get("as") == asMaildir {
			err = ex.MaildirZip(r.Context(), boxes, out)
		} else {
			err = ex.MboxZip(r.Context(), boxes, out)
		}
		if err != nil {
			if r.Context().Err() == nil {
				h.Log.Warn("an export broke off", "account", a.who(), "error", err)
			}
			panic(http.ErrAbortHandler) // half an archive must not look like a whole one
		}
	})
}

// paced gives a client time for each piece.
type paced struct {
	w io.Writer
	r io.Reader
	c *http.ResponseController
}

func (p *paced) Write(b []byte) (int, error) {
	_ = p.c.SetWriteDeadline(time.Now().Add(moreTime)) // where that cannot be set, the whole has the time of a request
	return p.w.Write(b)
}

func (p *paced) Read(b []byte) (int, error) {
	_ = p.c.SetReadDeadline(time.Now().Add(moreTime))
	return p.r.Read(b)
}

// take takes an mbox file in, as it comes.
func (h *Handler) take(w http.ResponseWriter, r *http.Request) {
	h.In.In(w, r, func(x websession.Session) {
		a := &asked{r, w, x}
		d, left, err := h.taken(a)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(moreTime)) // reading has used up the time of the request
		switch {
		case errors.As(err, new(fault)):
			h.write(a, "", refused(err.Error()))
			return
		case err != nil:
			h.failed(a, err)
			return
		}
		said := fmt.Sprintf("%s taken, %s octets", messages(d.Messages), text.Octets(d.Octets))
		if d.Known > 0 {
			said += fmt.Sprintf("; %d were there already", d.Known)
		}
		h.note(a, act{Command: waxwing("mail import", a.who(), "PATH"), Outcome: said})
		if d.Left == 0 {
			http.Redirect(w, r, Path+"transfer?done="+url.QueryEscape(said), http.StatusSeeOther)
			return
		}
		p := pages.Page{Title: "Not all was taken", Lead: sentence(said), Blocks: []pages.Block{pages.Text{Title: messages(d.Left) + " could not be", Body: left}}}
		h.write(a, "", p)
	})
}

// taken is what came of a file. A fault is the client's.
func (h *Handler) taken(a *asked) (d transfer.Done, left string, err error) {
	leave, err := h.busy.enter(a.who())
	if err != nil {
		return d, "", err
	}
	defer leave()
	a.Body = http.MaxBytesReader(a.w, a.Body, maxTaken)
	parts, err := a.MultipartReader()
	if err != nil {
		return d, "", faultOf("there is no file in the form")
	}
	box, file, err := fileOf(parts)
	if err != nil {
		return d, "", err
	}
	shown := 0
	im := &transfer.Importer{Boxes: h.Rooms.Boxes, Account: a.who(), Max: maxMessage, Temp: h.Rooms.TempDir, Again: true, Left: func(l transfer.Left) {
		if shown++; shown <= maxShown {
			left += l.String() + "\n"
		}
	}}
	err = h.bring(a, im, file, box)
	var name *mailbox.NameError
	switch {
	case errors.Is(err, mbox.ErrFormat):
		err = faultOf("the file is neither a ZIP archive nor an mbox file, whose first line begins with \"From \"")
	case errors.Is(err, transfer.ErrArchive), errors.Is(err, transfer.ErrListed), errors.Is(err, transfer.ErrUnpacked), errors.Is(err, transfer.ErrNoMail):
		err = faultOf(fmt.Sprintf("the archive was not taken: %s; %s taken before", err, messages(im.Done().Messages)))
	case errors.Is(err, mailboxes.ErrOverQuota):
		err = faultOf(fmt.Sprintf("your mailboxes are full: %s taken before", messages(im.Done().Messages)))
	case errors.As(err, new(*http.MaxBytesError)):
		err = faultOf(fmt.Sprintf("the file has more than %s octets; %s taken", text.Octets(maxTaken), messages(im.Done().Messages)))
	case errors.As(err, &name):
		err = fault{err}
	case err != nil && errors.Is(err, io.ErrUnexpectedEOF):
		err = faultOf(fmt.Sprintf("the upload broke off; %s taken before", messages(im.Done().Messages)))
	}
	return im.Done(), left, err
}

// bring takes the messages of a file: of an mbox file as it comes, of an archive when it has come.
func (h *Handler) bring(a *asked, im *transfer.Importer, file io.Reader, box string) error {
	ctx := context.WithoutCancel(a.Context())
	in := bufio.NewReader(&paced{r: file, c: http.NewResponseController(a.w)})
	if begin, _ := in.Peek(2); string(begin) != "PK" { // what cannot be read is found out again
		return im.Mbox(ctx, in, 0, cmp.Or(box, mailbox.Inbox), mbox.RD)
	}
	held, err := os.CreateTemp(h.Rooms.TempDir, "waxwing-transfer-*")
	if err != nil {
		return fmt.Errorf("a place for an archive: %w", err)
	}
	defer held.Close()
	if err := os.Remove(held.Name()); err != nil { // no crash leaves it behind
		return fmt.Errorf("a place for an archive: %w", err)
	}
	size, err := io.Copy(held, io.LimitReader(in, maxArchive+1))
	switch {
	case err != nil:
		return err
	case size > maxArchive:
		return faultOf(fmt.Sprintf("an archive has up to %s octets", text.Octets(maxArchive)))
	}
	return im.Zip(ctx, held, size, box)
}

func messages(n int64) string { return text.Count(int(n), "message") }

// fileOf finds the file of a form, behind the name of the mailbox.
func fileOf(parts *multipart.Reader) (box string, file io.Reader, err error) {
	for {
		p, err := parts.NextPart()
		if err != nil {
			return "", nil, faultOf("there is no file in the form")
		}
		switch p.FormName() {
		case "mailbox":
			b, err := io.ReadAll(io.LimitReader(p, 2000))
			if err != nil {
				return "", nil, faultOf("the form broke off")
			}
			box = strings.TrimSpace(string(b))
		case "file":
			return box, p, nil
		}
	}
}
