package jmapserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/imapserver/incoming"
	"waxwing/jmap"
)

// uploadKind begins the ids of uploads.
const uploadKind = "U"

// transferTime is how long a client may take for some more of a blob.
const transferTime = time.Minute

// upload takes a blob in (RFC 8620 §6.1).
func (s *Server) upload(w http.ResponseWriter, c client) error {
	if c.r.PathValue("account") != string(AccountID(c.account)) {
		return &status{http.StatusNotFound, "there is no such account"}
	}
	if c.r.ContentLength > s.Limits.SizeUpload {
		return tooLarge(s.Limits.SizeUpload)
	}
	leave, ok := s.crowd.enter("upload", c.account, s.Limits.ConcurrentUpload)
	if !ok {
		return jmap.LimitProblem("maxConcurrentUpload", "the account has too many uploads at the same time")
	}
	defer leave()
	media := c.r.Header.Get("Content-Type")
	if !isMedia(media) {
		media = "application/octet-stream"
	}
	in := &paced{r: http.MaxBytesReader(w, c.r.Body, s.Limits.SizeUpload), more: http.NewResponseController(w).SetReadDeadline}
	m, err := incoming.Raw(in, s.TempDir)
	defer m.Close()
	if err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return tooLarge(s.Limits.SizeUpload)
		}
		if errors.As(err, new(*os.PathError)) {
			return err
		}
		return &status{http.StatusBadRequest, "the upload broke off"}
	}
	id, err := s.Uploads.Put(c.r.Context(), c.account, media, m.Content())
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, map[string]any{"accountId": AccountID(c.account), "blobId": jmap.ID(uploadKind + delivery.ID(id).String()), "type": media, "size": m.Size()})
}

func tooLarge(most int64) error {
	return &jmap.Problem{Type: jmap.ProblemLimit, Status: http.StatusRequestEntityTooLarge, Limit: "maxSizeUpload", Detail: fmt.Sprintf("%d octets are taken", most)}
}

// paced gives a client time for each piece.
type paced struct {
	r    io.Reader
	more func(time.Time) error
}

func (p *paced) Read(b []byte) (int, error) {
	_ = p.more(time.Now().Add(transferTime)) // where that cannot be set, the whole has the time of a request
	return p.r.Read(b)
}

// isMedia tells whether a text is a media type that may stand in a header field.
func isMedia(s string) bool {
	media, _, err := mime.ParseMediaType(s)
	return err == nil && strings.Contains(media, "/") && len(s) < 256 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// Blob opens what an id names: an upload, a mail, or a part of one; nil: there is nothing.
func (s *Server) Blob(ctx context.Context, account string, id jmap.ID) (io.ReadCloser, string, error) {
	if rest, ok := strings.CutPrefix(string(id), uploadKind); ok {
		n, err := strconv.ParseInt(rest, 36, 64)
		if err != nil || n <= 0 {
			return nil, "", nil
		}
		u, err := s.Uploads.Open(ctx, account, n)
		if err != nil || u == nil {
			return nil, "", err
		}
		r, err := u.Content.Open()
		return r, u.Type, err
	}
	return s.Mails.Blob(ctx, account, id)
}

// download gives a blob out (RFC 8620 §6.2).
func (s *Server) download(w http.ResponseWriter, c client) error {
	if c.r.PathValue("account") != string(AccountID(c.account)) {
		return &status{http.StatusNotFound, "there is no such account"}
	}
	body, _, err := s.Blob(c.r.Context(), c.account, jmap.ID(c.r.PathValue("blob")))
	if err != nil {
		return err
	}
	if body == nil {
		return &status{http.StatusNotFound, "there is no such blob"}
	}
	defer body.Close()
	media := c.r.URL.Query().Get("type")
	if !isMedia(media) {
		media = "application/octet-stream"
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Disposition", disposition(c.r.PathValue("name")))
	h.Set("Cache-Control", "private, immutable, max-age=31536000")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'") // whoever opens it here anyway runs nothing of it
	out := &pacedWriter{w: w, more: http.NewResponseController(w).SetWriteDeadline}
	if _, err := io.Copy(out, body); err != nil && c.r.Context().Err() == nil {
		s.Log.Debug("a JMAP download broke off", "account", c.account, "error", err)
		panic(http.ErrAbortHandler) // half a blob must not look like a whole one
	}
	return nil
}

// pacedWriter gives a client time for each piece.
type pacedWriter struct {
	w    io.Writer
	more func(time.Time) error
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	_ = p.more(time.Now().Add(transferTime))
	return p.w.Write(b)
}

// disposition has a browser keep a file under a name.
func disposition(name string) string {
	if v := mime.FormatMediaType("attachment", map[string]string{"filename": name}); v != "" {
		return v
	}
	return "attachment"
}
