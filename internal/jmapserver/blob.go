package jmapserver

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"waxwing/internal/imapserver/incoming"
	"waxwing/internal/jmapserver/mails"
	"waxwing/jmap"
)

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
	if err != nil {
		m.Close() // what could be read
		if errors.As(err, new(*http.MaxBytesError)) {
			return tooLarge(s.Limits.SizeUpload)
		}
		if errors.As(err, new(*os.PathError)) {
			return err
		}
		return &status{http.StatusBadRequest, "the upload broke off"}
	}
	defer m.Close()
	id, err := s.Mails.Uploads.Put(c.r.Context(), c.account, media, m.Content())
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, map[string]any{"accountId": AccountID(c.account), "blobId": mails.UploadID(id), "type": media, "size": m.Size()})
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

// download gives a blob out (RFC 8620 §6.2).
func (s *Server) download(w http.ResponseWriter, c client) error {
	if c.r.PathValue("account") != string(AccountID(c.account)) {
		return &status{http.StatusNotFound, "there is no such account"}
	}
	body, _, err := s.Mails.Blob(c.r.Context(), c.account, jmap.ID(c.r.PathValue("blob")))
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
	if c.r.Header.Get("Authorization") != "" { // else a browser would show it after its user has logged out
		h.Set("Cache-Control", "private, immutable, max-age=31536000")
	}
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
