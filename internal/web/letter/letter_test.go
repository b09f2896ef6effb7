package letter

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/htmlmail/hostile"
	"waxwing/internal/jmapserver/email"
	"waxwing/jmap"
	"waxwing/structure"
)

// mailOf is the mail of one account, by blob.
type mailOf map[jmap.ID]string

func (m mailOf) Blob(_ context.Context, account string, id jmap.ID) (io.ReadCloser, string, error) {
	if account != "joe" {
		return nil, "", nil
	}
	if id == "Bbroken" {
		return nil, "", errors.New("the disk is broken")
	}
	whole, number, part := strings.Cut(string(id), "-")
	text, ok := m[jmap.ID(whole)]
	if !ok {
		return nil, "", nil
	}
	if !part {
		return io.NopCloser(strings.NewReader(text)), "message/rfc822", nil
	}
	built, err := structure.Parse(strings.NewReader(text))
	if err != nil {
		return nil, "", err
	}
	body, p, err := (&email.Message{Built: built, Content: delivery.Bytes(text)}).Open(strings.ReplaceAll(number, "_", "."))
	if err != nil || body == nil {
		return nil, "", err
	}
	return body, p.Type + "/" + p.Subtype, nil
}

func mail(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

var designed = mail("From: Ann <ann@a.test>", "To: Joe <joe@b.test>", "Subject: =?utf-8?q?Pl=C3=A4ne?= <1>", "Date: Tue, 1 Dec 2026 10:00:00 +0100", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=m", "",
	"--m", "Content-Type: multipart/related; boundary=r", "",
	"--r", "Content-Type: multipart/alternative; boundary=a", "",
	"--a", "Content-Type: text/plain; format=flowed", "", "plain ", "text", "> quoted",
	"--a", "Content-Type: text/html; charset=iso-8859-1", "Content-Transfer-Encoding: quoted-printable", "",
	`<p>sch=F6n <img src=3D"cid:pic@a"> <img src=3D"http://track.test/1"><script>x</script></p><blockquote type=3Dcite>`+strings.Repeat("said before ", 60)+`</blockquote>`,
	"--a--",
	"--r", "Content-Type: image/png", "Content-ID: <pic@a>", "Content-Transfer-Encoding: base64", "", "UE5H",
	"--r--",
	"--m", "Content-Type: application/pdf; name=../a.pdf", "Content-Disposition: attachment; filename=../a.pdf", "", "PDF",
	"--m", "Content-Type: application/x-thing", "Content-Disposition: attachment; filename=A.PDF", "", "thing",
	"--m", "Content-Type: application/pdf", "Content-Disposition: attachment; filename*=utf-8''.._a.pdf", "", "again",
	"--m", "Content-Type: message/rfc822", "", "Subject: Inner", "", "inside",
	"--m", "Content-Type: text/calendar; method=REQUEST", "", "BEGIN:VCALENDAR", "METHOD:REQUEST", "BEGIN:VEVENT", "SUMMARY:Lunch <b>", "DTSTART:20261201T120000Z", "ORGANIZER:mailto:ann@a.test", "END:VEVENT", "END:VCALENDAR",
	"--m--")

// get asks for a path of the mails, as joe.
func get(t *testing.T, path string, header ...string) *http.Response {
	t.Helper()
	h := &Handler{Log: slog.New(slog.DiscardHandler), Mails: mailOf{"B1": designed, "B2": mail("Subject: x", "", "see https://a.test/", "> a", "> b", "> c", "> d", "> e"), "B3": mail("Subject: none", "Content-Type: image/svg+xml", "", "<svg onload=alert(1)>")},
		Who: func(w http.ResponseWriter, r *http.Request) (string, bool) {
			if r.Header.Get("Cookie") == "" {
				http.Error(w, "log in", http.StatusUnauthorized)
				return "", false
			}
			return r.Header.Get("Cookie"), true
		}}
	r := httptest.NewRequest("GET", Path+path, nil)
	r.Header.Set("Cookie", "joe")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// MAIL-2: whatever is served, and whatever goes wrong, carries the headers without which a frame lets most forms of tracking through.
func TestHeaders(t *testing.T) {
	t.Parallel()
	for path, status := range map[string]int{
		"B1/html": 200, "E1/html": 200, "B1/print": 200, "B1/raw": 200, "B1/zip": 200, "B1/facts": 200, "B1/quote": 200, "B1/part/1.2": 200, "B1/html?images=yes": 200,
		"B9/html": 404, "B1/part/9": 404, "B2/zip": 404, "B1/nothing": 404, "Bbroken/html": 500, "x%2Fy/html": 404,
	} {
		r := get(t, path)
		if r.StatusCode != status {
			t.Errorf("%s: %d, want %d: %s", path, r.StatusCode, status, body(t, r))
		}
		h := r.Header
		csp := h.Get("Content-Security-Policy")
		want := "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data: cid:; style-src 'unsafe-inline'; "
		if strings.Contains(path, "images=yes") {
			want = strings.Replace(want, "cid:;", "cid: https:;", 1)
		}
		if !strings.HasPrefix(csp, want) || !strings.Contains(csp, "frame-ancestors 'self'") {
			t.Errorf("%s: Content-Security-Policy: %s", path, csp)
		}
		for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "X-DNS-Prefetch-Control": "off", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	if r := get(t, "B1/html", "Cookie", ""); r.StatusCode != http.StatusUnauthorized {
		t.Error("nobody may read:", r.StatusCode)
	}
	if r := get(t, "B1/html", "Cookie", "eve"); r.StatusCode != http.StatusNotFound {
		t.Error("another account's mail:", r.StatusCode)
	}
	if r := get(t, "B1/html", "Sec-Fetch-Site", "cross-site"); r.StatusCode != http.StatusForbidden {
		t.Error("another site:", r.StatusCode)
	}
}

func has(t *testing.T, what, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

// What is shown of a mail: its pictures, its invitation, its quotes folded; and on paper.
func TestDocument(t *testing.T) {
	t.Parallel()
	s := body(t, get(t, "B1/html"))
	has(t, "the document", s, `<title>Pläne &lt;1&gt;</title>`, "schön", `src="data:image/png;base64,UE5H"`, `<details class="waxwing-quote"><summary>Quoted text`)
	if strings.Contains(s, "track.test") || strings.Contains(s, "<script") || strings.Contains(s, "Lunch") { // the page around it has the invitation
		t.Error(s)
	}
	has(t, "the document with pictures", body(t, get(t, "B1/html?images=yes")), `src="https://track.test/1"`)
	has(t, "the document in German", body(t, get(t, "B1/html", "Accept-Language", "de-AT")), "Zitierter Text", `lang="de"`)
	has(t, "on paper", body(t, get(t, "B1/print")), `<h1 dir="auto">Pläne`, "Ann &lt;ann@a.test&gt;", "Tue, 01 Dec 2026", "Invitation: Lunch &lt;b&gt;", "2026-12-01 12:00 (UTC)", `class="waxwing-quote" open`)
	has(t, "plain text", body(t, get(t, "B2/html")), `href="https://a.test/"`, "<details")
	has(t, "the source", body(t, get(t, "B1/raw")), "Content-ID: <pic@a>")
	if r := get(t, "B1/raw"); r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Error(r.Header)
	}
	has(t, "a mail that is a picture which can run scripts", body(t, get(t, "B3/html")), "<img>")
}

// Attachments in one file have names that lead nowhere, each once.
func TestZip(t *testing.T) {
	t.Parallel()
	r := get(t, "B1/zip")
	b := body(t, r)
	z, err := zip.NewReader(bytes.NewReader([]byte(b)), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %d", f.Name, len(text)))
	}
	got := strings.Join(names, ", ")
	has(t, "the file", got, "_a.pdf 3", "A.PDF 5", "_a (2).pdf 5", "Inner.eml 24")
	if strings.Contains(got, "/") || strings.Contains(got, "..") {
		t.Error(got)
	}
	if d := r.Header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment;") {
		t.Error(d)
	}
}

// Parts that a browser can show without harm are shown, all others given out.
func TestPart(t *testing.T) {
	t.Parallel()
	r := get(t, "B1/part/1.2")
	if r.Header.Get("Content-Type") != "image/png" || body(t, r) != "PNG" {
		t.Error(r.Header)
	}
	if r = get(t, "B3/part/1"); r.Header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
		t.Error(r.Header)
	}
	r = get(t, "B1/part/2")
	if csp := r.Header.Get("Content-Security-Policy"); r.Header.Get("Content-Type") != "application/pdf" || strings.Contains(csp, "script") || !strings.HasPrefix(csp, "default-src 'none'") {
		t.Error(r.Header)
	}
}

// What programs are told: what would be loaded, invitations, and what an answer quotes.
func TestData(t *testing.T) {
	t.Parallel()
	var f facts
	if err := json.Unmarshal([]byte(body(t, get(t, "B1/facts"))), &f); err != nil {
		t.Fatal(err)
	}
	if f.Remote != 1 || fmt.Sprint(f.Hosts) != "[track.test]" || len(f.Invitations) != 1 || f.Cut {
		t.Errorf("%+v", f)
	}
	var q quoted
	if err := json.Unmarshal([]byte(body(t, get(t, "B1/quote"))), &q); err != nil {
		t.Fatal(err)
	}
	if len(q.Text) != 2 || q.Text[0].Text != "plain text" || q.Text[1].Depth != 1 || len(q.HTML) == 0 {
		t.Errorf("%+v", q)
	}
}

// MAIL-2: every hostile form, as a mail that is read, printed and quoted, by way of the whole handler.
func TestHostileMail(t *testing.T) {
	t.Parallel()
	for _, f := range append(hostile.Tracking(func(n string) string { return "http://" + n + ".track.test/" }), hostile.Scripts(func(string) string { return "evil(1)" })...) {
		h := &Handler{Log: slog.New(slog.DiscardHandler), Mails: mailOf{"B1": mail("Content-Type: text/html", "", f.HTML)}, Who: func(http.ResponseWriter, *http.Request) (string, bool) { return "joe", true }}
		for _, kind := range []string{"html", "print", "quote", "html?images=yes"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", Path+"B1/"+kind, nil))
			s := w.Body.String()
			if w.Code != 200 || strings.Contains(s, "<script") || strings.Contains(s, "<iframe") || strings.Contains(s, "http-equiv") || strings.Contains(s, "<link") || strings.Contains(s, "=\"evil(1)") {
				t.Errorf("%s, %s: %d %s", f.Name, kind, w.Code, s)
			}
		}
	}
}

// counted counts what is opened.
type counted struct {
	Mails
	n atomic.Int64
}

func (c *counted) Blob(ctx context.Context, _ string, id jmap.ID) (io.ReadCloser, string, error) {
	c.n.Add(1)
	return c.Mails.Blob(ctx, "joe", id)
}

func anybody(_ http.ResponseWriter, r *http.Request) (string, bool) {
	return r.Header.Get("Cookie"), true
}

// MAIL-2: a mail that names its pictures again and again costs no more than each of them once, and no document has more of them, or of
// text, than is bounded.
func TestMuchOfOneMail(t *testing.T) {
	t.Parallel()
	const times = 3000
	picture := func(id string, octets int) []string {
		return []string{"--r", "Content-Type: image/png", "Content-ID: <" + id + ">", "", strings.Repeat("x", octets)}
	}
	parts := []string{"Subject: x", "MIME-Version: 1.0", "Content-Type: multipart/related; boundary=r", "", "--r", "Content-Type: multipart/mixed; boundary=m", ""}
	for range 4 {
		parts = append(parts, "--m", "Content-Type: text/html", "", strings.Repeat(`<img src="cid:small@a"><img src="cid:large@a"><img src="cid:huge@a">`, times))
	}
	parts = append(parts, "--m--")
	parts = slices.Concat(parts, picture("small@a", 10), picture("large@a", 3<<20), picture("huge@a", maxPicture+1), []string{"--r--"})
	c := &counted{Mails: mailOf{"B1": mail(parts...)}}
	h := &Handler{Log: slog.New(slog.DiscardHandler), Mails: c, Who: anybody}
	ask := func(kind string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", Path+"B1/"+kind, nil))
		return w.Body.String()
	}
	page := ask("html")
	if n := c.n.Load(); n > 20 {
		t.Errorf("%d parts were opened for %d pictures", n, 12*times)
	}
	if n := strings.Count(page, `src="data:image/png`); n < times || len(page) > 2*maxPictures {
		t.Errorf("%d pictures in %d octets", n, len(page))
	}
	c.n.Store(0)
	if f := ask("facts"); c.n.Load() > 10 || !strings.Contains(f, `"remote":0`) {
		t.Errorf("%d parts were opened to tell what is elsewhere: %s", c.n.Load(), f)
	}
	long := []string{"Subject: x", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=m", ""}
	for range 5 {
		long = append(long, "--m", "Content-Type: text/html", "", strings.Repeat("word ", maxRead/5))
	}
	c.Mails = mailOf{"B1": mail(append(long, "--m--")...)}
	if page := ask("html"); len(page) > maxTexts+(1<<20) || !strings.Contains(page, `class="waxwing-cut"`) {
		t.Errorf("%d octets of text", len(page))
	}
}

// stuck is a client that takes nothing.
type stuck struct {
	*httptest.ResponseRecorder
	begun chan<- struct{}
	free  <-chan struct{}
}

func (s *stuck) Write([]byte) (int, error) {
	s.begun <- struct{}{}
	<-s.free
	return 0, errors.New("gone")
}

// MAIL-2: clients that take their letters slowly keep nobody else waiting.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	h := &Handler{Log: slog.New(slog.DiscardHandler), Mails: &counted{Mails: mailOf{"B1": designed}}, Who: anybody}
	request := func(account, kind string) *http.Request {
		r := httptest.NewRequest("GET", Path+"B1/"+kind, nil)
		r.Header.Set("Cookie", account)
		return r
	}
	begun, free := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for i := range 3 * ofOne {
		all.Go(func() {
			defer func() { _ = recover() }() // http.ErrAbortHandler
			h.ServeHTTP(&stuck{httptest.NewRecorder(), begun, free}, request(fmt.Sprint("slow-", i%3), []string{"raw", "html", "zip"}[i%3]))
		})
		<-begun
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("joe", "html").WithContext(ctx))
	if !strings.Contains(w.Body.String(), "schön") {
		t.Errorf("behind %d slow readers: %d, %.100s", 3*ofOne, w.Code, w.Body)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w = httptest.NewRecorder()
	h.ServeHTTP(w, request("slow-0", "html").WithContext(gone))
	if w.Body.Len() != 0 {
		t.Error("an account has more letters under way than it may")
	}
	close(free)
	all.Wait()
	if len(h.each.of) != 0 || !h.room.TryAcquire(atOnce) {
		t.Errorf("places were not given back: %d", len(h.each.of))
	}
}
