package jmapserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/jmapserver"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// stuck is the connection of a client that never reads: after so many writes, each ends at its deadline.
type stuck struct {
	t      *testing.T
	header http.Header
	takes  int

	mu       sync.Mutex
	deadline time.Time
	status   int
	first    chan struct{} // is closed when it has taken something
	once     sync.Once
}

func (s *stuck) Header() http.Header { return s.header }

func (s *stuck) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *stuck) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return nil
}

func (s *stuck) FlushError() error { return nil }

func (s *stuck) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadline.IsZero() && s.status == http.StatusOK {
		s.t.Errorf("%q is written without a deadline", b)
	}
	if s.takes--; s.takes < 0 {
		return 0, os.ErrDeadlineExceeded
	}
	s.once.Do(func() { close(s.first) })
	return len(b), nil
}

// JMP-1: who never reads what the event source tells holds it for the time of one write, and nothing afterwards.
func TestEventSourceUnread(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	listen := func(takes int) (*stuck, chan struct{}) {
		s, done := &stuck{t: t, header: http.Header{}, takes: takes, first: make(chan struct{})}, make(chan struct{})
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://mail.example.test/jmap/eventsource/?types=*&closeafter=no&ping=0", nil)
		r.SetBasicAuth("you", "you")
		go func() {
			defer close(done)
			w.s.ServeHTTP(s, r)
		}()
		return s, done
	}
	s, done := listen(1)
	<-s.first
	w.mail("INBOX", letter)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on though nobody reads")
	}
	for range 101 { // more than an account may have at the same time
		s, done = listen(0)
		<-done
	}
	if s.status != http.StatusOK {
		t.Errorf("those that have ended are counted: %d", s.status)
	}
}

// JMP-1: no name, type or id in the URL of a download does anything but name the file, and nobody gets what is another's.
func TestDownloadTricks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	mail := strings.Replace(string(w.mail("INBOX", letter)), "E", "B", 1)
	blob := w.uploaded("<script>alert(1)</script>")
	you, eve := string(jmapserver.AccountID("you")), string(jmapserver.AccountID("eve"))
	get := func(path string) (*http.Response, string) {
		resp, b := w.request("GET", "/jmap/download/"+path, "", nil)
		return resp, string(b)
	}
	for _, name := range []string{"..%2f..%2fetc%2fpasswd", "a%0d%0aSet-Cookie:%20x=y", "%00", "a%22;%20filename=%22b.exe", "%e2%80%ae.exe", "%ff%fe", "x.html", strings.Repeat("x", 4000)} {
		for _, media := range []string{"text/html", "text/html%0d%0aX:%20y", "nothing", strings.Repeat("x", 4000), "image/svg%2bxml"} {
			resp, _ := get(you + "/" + blob + "/" + name + "?type=" + media)
			h := resp.Header
			if resp.StatusCode != http.StatusOK || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") || h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || h.Get("Set-Cookie")+h.Get("X") != "" {
				t.Errorf("%.60s?type=%.60s: %d %v", name, media, resp.StatusCode, h)
			}
		}
	}
	for _, path := range []string{eve + "/" + blob + "/x", eve + "/" + mail + "/x", you + "/" + mail + "-9/x", you + "/" + mail + "-1-1-1-1-1-1-1-1/x", you + "/" + mail + "-/x", you + "/" + mail + "-1_99999999999999999999/x",
		you + "/" + strings.Repeat("B", 300) + "/x", you + "/B%2d1/x", you + "/U-1/x", you + "/U9223372036854775808/x", you + "/C1/x", you + "/%00/x"} {
		if resp, b := get(path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%.80s: %d %.80s", path, resp.StatusCode, b)
		}
	}
	for _, path := range []string{you + "/../" + eve + "/" + blob + "/x", you + "/" + blob + "/", you + "//x", "/" + blob + "/x"} {
		if resp, b := get(path); resp.StatusCode == http.StatusOK {
			t.Errorf("%s: %s", path, b)
		}
	}
}

// JMP-1, RFC 8621 §4.6: a header field that is given in two forms, in any spelling, is given twice.
func TestContradictoryHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	box := `"mailboxIds": {"` + string(w.box("Drafts")) + `": true}`
	ann := `[{"email": "ann@example.org"}]`
	for _, pair := range []string{
		`"from": ` + ann + `, "header:From:asAddresses": ` + ann, `"from": ` + ann + `, "header:FROM": " eve@example.org"`, `"subject": "a", "header:SUBJECT:asText:all": ["b"]`,
		`"header:X-A:asText": "a", "header:x-a:asRaw": " b"`, `"header:X-A": " a", "header:X-A:all": [" b"]`, `"messageId": ["a@b"], "header:message-id:asMessageIds": ["c@d"]`,
		`"sentAt": "2026-01-05T12:00:00Z", "header:date": " Mon, 5 Jan 2026 11:00:00 +0100"`, `"header:MIME-Version": " 1.0"`, `"header:Content-Type:asRaw": " text/html"`,
		`"header:From:asGroupedAddresses": [], "from": ` + ann, `"header:X:asNothing": "x"`, `"header:": "x"`, `"header:a b": "x"`, `"header:X\r\nY": "x"`,
	} {
		got := w.call("Email/set", `"create": {"m": {`+box+`, `+pair+`}}`)
		not, _ := got["notCreated"].(object)
		if e, _ := not["m"].(object); e["type"] != "invalidProperties" || e["properties"] == nil {
			t.Errorf("%s: %v", pair, got)
		}
	}
}

// JMP-1: what is too deep, too long, or too many of something is refused before anything is done.
func TestTooMuchOfEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	post := func(body string) (int, string) {
		resp, b := w.request("POST", "/jmap/api", "application/json", strings.NewReader(body))
		return resp.StatusCode, string(b)
	}
	using := `{"using": ["` + jmapserver.Core + `", "` + jmapserver.Mail + `"], "methodCalls": [`
	deep := strings.Repeat(`{"operator": "NOT", "conditions": [`, 5000) + `{}` + strings.Repeat(`]}`, 5000)
	for body, want := range map[string]string{
		using + strings.TrimSuffix(strings.Repeat(`["Core/echo", {}, "0"],`, 10_000), ",") + `]}`: `"limit":"maxCallsInRequest"`,
		using + `["Email/query", {"accountId": "a", "filter": ` + deep + `}, "0"]]}`:              "error:notJSON",
		strings.Repeat("[", 1_000_000):     "error:notJSON",
		strings.Repeat(`{"a":`, 1_000_000): "error:notJSON",
		`{"using": [` + strings.Repeat(`"urn:x", `, 100_000) + `"urn:x"], "methodCalls": []}`:               "error:unknownCapability",
		`{"using": [], "methodCalls": [["Core/echo", {"a": ` + strings.Repeat("9", 1_000_000) + `}, "0"]]}`: `unknownMethod`,
	} {
		if status, b := post(body); !strings.Contains(b, want) {
			t.Errorf("%.60s…: %d %.200s, want %s", body, status, b, want)
		}
	}
	wide := make([]string, 201)
	for i := range wide {
		wide[i] = fmt.Sprintf(`{"text": "word%d"}`, i)
	}
	if got := w.fails("Email/query", `"filter": {"operator": "AND", "conditions": [`+strings.Join(wide, ", ")+`]}`); got != "invalidArguments" {
		t.Errorf("201 conditions: %s", got)
	}
	if got := w.fails("Email/get", `"ids": [], "properties": [`+strings.TrimSuffix(strings.Repeat(`"subject", `, 201), ", ")+`]`); got != "invalidArguments" {
		t.Errorf("201 properties: %s", got)
	}
	// A client that sends an upload and breaks off leaves nothing.
	r, half := io.Pipe()
	go func() {
		_, _ = half.Write(make([]byte, 100<<10))
		half.CloseWithError(io.ErrUnexpectedEOF)
	}()
	req, err := http.NewRequestWithContext(t.Context(), "POST", w.url+"/jmap/upload/"+string(jmapserver.AccountID("you"))+"/", r)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("you", "you")
	if resp, err := w.http.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("half an upload: %d", resp.StatusCode)
	}
	if n := len(w.list(t.Context(), `SELECT id FROM jmap_uploads`)); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// list is what a query of one column of numbers finds.
func (w *world) list(ctx context.Context, query string) []int64 {
	w.t.Helper()
	all, err := store.List(ctx, w.db, store.Value[int64], query)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// RFC 8620 §6, RFC 8621 §3: blobs keep their ids whatever becomes of their mail, and threads theirs though a mail comes that answers both.
func TestWhatStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	one := string(w.mail("INBOX", "Message-ID: <one@x>\nSubject: one\n\nx\n"))
	two := string(w.mail("INBOX", "Message-ID: <two@x>\nSubject: two\n\nx\n"))
	look := func() string {
		return text(w.call("Email/get", `"ids": ["`+one+`", "`+two+`"], "properties": ["id", "blobId", "threadId"]`)["list"])
	}
	before := look()
	w.mail("INBOX", "Message-ID: <both@x>\nReferences: <one@x> <two@x>\nSubject: both\n\nx\n")
	w.call("Email/set", `"update": {"`+one+`": {"keywords/$seen": true, "mailboxIds": {"`+string(w.box("Archive"))+`": true}}}`)
	if after := look(); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}

// RFC 8621 §2, §2.5: roles and sortOrder are what programs say; an update is done whole or not; what gives a role up goes before what takes it.
func TestMailboxShape(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	junk := string(w.box("Junk"))
	spam := w.call("Mailbox/set", `"create": {"a": {"name": "Spam", "sortOrder": 3}}`)["created"].(object)["a"].(object)
	if spam["sortOrder"] != 3.0 {
		t.Errorf("made: %v", spam)
	}
	id := spam["id"].(string)
	look := func() string {
		return text(w.call("Mailbox/get", `"ids": ["`+id+`", "`+junk+`"], "properties": ["name", "role", "sortOrder"]`)["list"])
	}
	before := look()
	for _, patch := range []string{`{"name": "x", "role": "junk"}`, `{"name": "x", "role": "inbox"}`, `{"name": "x", "role": "nothing"}`, `{"name": "x", "sortOrder": -1}`, `{"name": "x", "sortOrder": 2147483648}`, `{"name": "x", "sortOrder": null}`, `{"name": "x", "isSubscribed": null}`, `{"name": "x", "totalEmails": 1}`} {
		got := w.call("Mailbox/set", `"update": {"`+id+`": `+patch+`}`)
		not, _ := got["notUpdated"].(object)
		if e, _ := not[id].(object); e["type"] != "invalidProperties" || look() != before {
			t.Errorf("%s: %v, %s", patch, got, look())
		}
	}
	state := w.call("Mailbox/get", `"ids": []`)["state"].(string)
	got := w.call("Mailbox/set", `"update": {"`+id+`": {"role": "junk", "name": "Rubbish", "sortOrder": 0}, "`+junk+`": {"role": null}}`)
	if len(got["updated"].(object)) != 2 || got["notUpdated"] != nil {
		t.Errorf("%v", got)
	}
	w.want(w.call("Mailbox/get", `"ids": ["`+id+`", "`+junk+`"], "properties": ["name", "role", "sortOrder"]`)["list"], `[{"id": "`+id+`", "name": "Rubbish", "role": "junk", "sortOrder": 0}, {"id": "`+junk+`", "name": "Junk", "role": null, "sortOrder": 10}]`)
	if got := w.call("Mailbox/changes", `"sinceState": "`+state+`"`); len(got["updated"].([]any)) != 2 || got["updatedProperties"] != nil {
		t.Errorf("changes: %v", got)
	}
	if got := w.call("Mailbox/query", `"filter": {"role": "junk"}`)["ids"]; text(got) != `["`+id+`"]` {
		t.Errorf("found: %v", got)
	}
}
