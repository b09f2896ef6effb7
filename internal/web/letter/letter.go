// Package letter serves what a browser shows of one mail, as documents of their own below /mail/letter/ (MAIL-2): its HTML
// made harmless or its text, the same for paper, its source, its attachments in one file, and as data what an answer
// quotes and what the mail would load from elsewhere.
//
// A document is shown in a frame of the webmail. Two walls stand before what a stranger wrote in it: package htmlmail takes
// out of it what runs or loads anything, and the headers of the answer forbid the browser to do either.
package letter

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/email"
	"waxwing/internal/jmapserver/mails"
	"waxwing/internal/web/gate"
	"waxwing/jmap"
	"waxwing/message"
	"waxwing/structure"
)

// Path is where all of it stands: Path + ID + "/" + what is wanted. An ID is that of an Email of JMAP, or of a blob that is a message.
const Path = "/mail/letter/"

// Mails opens blobs of JMAP; *mails.Room does.
type Mails interface {
	// Blob opens what an id names for an account, with its media type; nil: there is nothing.
	Blob(ctx context.Context, account string, id jmap.ID) (io.ReadCloser, string, error)
}

// Handler serves letters. Its fields are set before its first use.
type Handler struct {
	Mails Mails
	// Who says whose mail a request is about; where it is nobody's, it has answered the request.
	Who func(w http.ResponseWriter, r *http.Request) (account string, ok bool)
	Log *slog.Logger

	setup sync.Once
	mux   *http.ServeMux
	room  *semaphore.Weighted // letters that are made at the same time
	each  places
}

// Bounds.
const (
	atOnce   = 8
	ofOne    = 4           // of an account, until they are sent
	more     = time.Minute // for each piece of an answer
	maxRead  = 2 << 20     // octets of a part of text that are shown
	maxTexts = 2 * maxRead // the same of all parts
	maxParts = 20          // that are shown one below the other
)

// The headers of MAIL-2. Nothing runs, nothing is loaded but what stands in the document itself, and nobody else's page shows it. A page that is
// opened from a link is no part of the sandbox, or it would not work; the scripts that could open one by themselves do not run.
const (
	policy       = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data: cid:; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
	remotePolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data: cid: https:; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)

// guarded writes the headers.
func guarded(h http.Header, csp string) {
	h.Set("Content-Security-Policy", csp)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-DNS-Prefetch-Control", "off")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// errNone is that there is no such mail, or no such part of it.
var errNone = errors.New("there is no such mail, or no such part of it")

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.setup.Do(h.prepare)
	guarded(w.Header(), policy)
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) prepare() {
	h.room = semaphore.NewWeighted(atOnce)
	h.mux = http.NewServeMux()
	for kind, serve := range map[string]func(http.ResponseWriter, *http.Request, *letter) error{
		"html": h.html, "print": h.print, "raw": h.raw, "zip": h.zip, "facts": h.facts, "quote": h.quote, "part/{number}": h.part,
	} {
		h.mux.HandleFunc("GET "+Path+"{id}/"+kind, func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, serve) })
	}
}

// serve answers for those whose mail it is.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, what func(http.ResponseWriter, *http.Request, *letter) error) {
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		http.Error(w, "other sites are not shown mail", http.StatusForbidden)
		return
	}
	account, ok := h.Who(w, r)
	if !ok {
		return
	}
	leave := h.each.take(r.Context(), account)
	if leave == nil {
		return
	}
	defer leave()
	if h.room.Acquire(r.Context(), 1) != nil {
		return
	}
	made := sync.OnceFunc(func() { h.room.Release(1) })
	defer made()
	l, err := h.open(r.Context(), account, jmap.ID(r.PathValue("id")))
	if err == nil {
		l.made = made
		err = what(w, r, l)
	}
	switch {
	case err == nil || r.Context().Err() != nil:
	case errors.Is(err, errNone):
		http.Error(w, errNone.Error(), http.StatusNotFound)
	default:
		h.Log.Error("a mail could not be shown", "account", account, "id", r.PathValue("id"), "error", err)
		http.Error(w, "the mail could not be shown; the log of the server says why", http.StatusInternalServerError)
	}
}

// letter is a mail that is being shown.
type letter struct {
	h       *Handler
	ctx     context.Context
	account string
	blob    jmap.ID
	built   *structure.Message
	parts   email.Parts
	left    int64  // octets of text that may still be read
	made    func() // the next letter can be made: what is left to do is to send this one
}

// open finds a mail and how it is built.
func (h *Handler) open(ctx context.Context, account string, id jmap.ID) (*letter, error) {
	l := &letter{h: h, ctx: ctx, account: account, blob: id, left: maxTexts}
	if n, is := call.Number(call.EmailKind, id); is {
		l.blob = mails.BlobID(n, "")
	}
	body, err := l.source()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if l.built, err = structure.Parse(body); err != nil {
		return nil, err
	}
	l.parts = email.PartsOf(l.built)
	return l, nil
}

// source reads the message.
func (l *letter) source() (io.ReadCloser, error) {
	body, _, err := l.h.Mails.Blob(l.ctx, l.account, l.blob)
	if err == nil && body == nil {
		err = errNone
	}
	return body, err
}

// content reads what is in a part.
func (l *letter) content(number string) (io.ReadCloser, error) {
	body, _, err := l.h.Mails.Blob(l.ctx, l.account, l.blob+jmap.ID("-"+strings.ReplaceAll(number, ".", "_")))
	if err == nil && body == nil {
		err = errNone
	}
	return body, err
}

// octets are those of a part, up to so many; cut says that there were more.
func (l *letter) octets(number string, most int64) (b []byte, cut bool, err error) {
	body, err := l.content(number)
	if err != nil {
		return nil, false, err
	}
	defer body.Close()
	b, err = io.ReadAll(io.LimitReader(body, most+1))
	if int64(len(b)) > most {
		b, cut = b[:most], true
	}
	return b, cut, err
}

// text is a part of text in UTF-8.
func (l *letter) text(p email.Leaf) (string, bool, error) {
	b, cut, err := l.octets(p.Number, min(maxRead, l.left))
	if err != nil {
		return "", false, err
	}
	l.left -= int64(len(b))
	charset := strings.ToLower(p.Param("charset"))
	if charset == "" || charset == "us-ascii" || charset == "ascii" {
		charset = "utf-8"
	}
	s, ok := message.DecodeCharset(charset, b)
	if !ok {
		s = string(b)
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", ""), cut, nil
}

// mediaType is a part's type in lower case.
func mediaType(p email.Leaf) string { return strings.ToLower(p.Type + "/" + p.Subtype) }

// raw is the message as it is stored.
func (h *Handler) raw(w http.ResponseWriter, _ *http.Request, l *letter) error {
	body, err := l.source()
	if err != nil {
		return err
	}
	defer body.Close()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return l.stream(w, body)
}

// shownAsIs are the media types that a browser shows by itself, without running anything of them.
var shownAsIs = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "application/pdf": true}

// part is one part: shown where a browser can do so without harm, else given out as a file.
func (h *Handler) part(w http.ResponseWriter, r *http.Request, l *letter) error {
	for _, p := range l.parts.All {
		if p.Number != r.PathValue("number") {
			continue
		}
		body, err := l.content(p.Number)
		if err != nil {
			return err
		}
		defer body.Close()
		head := w.Header()
		kind, how := mediaType(p), "inline"
		switch {
		case !shownAsIs[kind]:
			kind, how = "application/octet-stream", "attachment"
		case kind == "application/pdf":
			// The browser's own viewer shows it, which a sandbox would keep from running.
			head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'")
		}
		head.Set("Content-Type", kind)
		head.Set("Content-Disposition", mime.FormatMediaType(how, map[string]string{"filename": fileName(p, 1)}))
		return l.stream(w, body)
	}
	return errNone
}

// stream sends what can be long, which a client may take slowly: nobody else waits for it. An answer that breaks off
// must not look like a whole one.
func (l *letter) stream(w http.ResponseWriter, body io.Reader) error {
	l.made()
	if _, err := io.Copy(gate.Paced(w, more), body); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// answer sends data.
func answer(w http.ResponseWriter, data any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(data)
}
