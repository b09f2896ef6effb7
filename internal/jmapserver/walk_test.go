package jmapserver_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/mails"
	"waxwing/internal/jmapserver/uploads"
	"waxwing/internal/mailboxes"
	"waxwing/internal/search"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/jmap"
	"waxwing/structure"
)

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// world is a server with the account "you", and a client of it.
type world struct {
	t     testing.TB
	url   string
	http  *http.Client
	boxes *mailboxes.Store
	db    *store.Store
	s     *jmapserver.Server
	using []string
}

// newWorld makes one; whoever gives the name of an account as password is that account.
func newWorld(t testing.TB, db *store.Store) *world {
	t.Helper()
	users := &accounts.Store{DB: db}
	for _, name := range []string{"you", "eve"} {
		if err := users.AddAccount(t.Context(), name, "correct horse battery "+name); err != nil {
			t.Fatal(err)
		}
	}
	boxes := &mailboxes.Store{DB: db, Now: func() time.Time { return noon }}
	if _, err := boxes.Boxes(t.Context(), "you"); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return noon }
	s := &jmapserver.Server{
		Hostname: "mail.example.test", Boxes: boxes, TempDir: t.TempDir(), Now: now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Mails: &mails.Room{Boxes: boxes, Catalog: &catalog.Store{DB: db, Boxes: boxes}, Search: &search.Store{DB: db, Mails: boxes}, Uploads: &uploads.Store{DB: db, Now: now}, Hostname: dns.MustParse("mail.example.test"), TempDir: t.TempDir(), Now: now},
		Authenticate: func(r *http.Request) (string, error) {
			_, account, ok := r.BasicAuth()
			if !ok || account != "you" && account != "eve" {
				return "", &jmapserver.Refused{Status: http.StatusUnauthorized, Text: "no"}
			}
			return account, nil
		},
		Limits: jmapserver.DefaultLimits(1 << 20),
	}
	srv := httptest.NewTLSServer(s)
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	return &world{t: t, url: srv.URL, http: client, boxes: boxes, db: db, s: s, using: []string{jmapserver.Core, jmapserver.Mail}}
}

// mail puts a message into a mailbox, and returns the id of the mail.
func (w *world) mail(box, text string, flags ...string) jmap.ID {
	w.t.Helper()
	text = strings.ReplaceAll(text, "\n", "\r\n")
	m, err := structure.Parse(strings.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	kept, err := m.AppendBinary(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	id, refs := m.Thread()
	b, uids, err := w.boxes.Append(w.t.Context(), "you", box, []mailboxes.Appended{{Flags: flags, Date: noon, Content: delivery.Bytes(text), MessageID: id, References: refs, Structure: kept}})
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := store.Read(w.t.Context(), w.db, func(tx *store.Tx) (n int64, err error) {
		return n, tx.Row(`SELECT mail FROM mailbox_entries WHERE mailbox = ? AND uid = ?`, b.ID, int64(uids[0])).Scan(&n)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return mails.ID('E', n)
}

func (w *world) request(method, path, contentType string, body io.Reader) (*http.Response, []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth("you@example.test", "you")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, b
}

type object = map[string]any

// raw makes a request of calls, each ["Name", {…}, "id"] in JSON, in which ACCOUNT stands for the account's id.
func (w *world) raw(calls string) (int, object) {
	w.t.Helper()
	using, err := json.Marshal(w.using)
	if err != nil {
		w.t.Fatal(err)
	}
	text := fmt.Sprintf(`{"using": %s, "methodCalls": [%s]}`, using, calls)
	text = strings.ReplaceAll(text, "ACCOUNT", string(jmapserver.AccountID("you")))
	resp, b := w.request("POST", "/jmap/api", "application/json", strings.NewReader(text))
	var out object
	if err := json.Unmarshal(b, &out); err != nil {
		w.t.Fatalf("%s: %v in %s", calls, err, b)
	}
	return resp.StatusCode, out
}

// result is the arguments of a response.
type result struct {
	name string
	args object
}

func (w *world) calls(text string) (out []result) {
	w.t.Helper()
	status, got := w.raw(text)
	if status != http.StatusOK {
		w.t.Fatalf("%s: %d %v", text, status, got)
	}
	for _, r := range got["methodResponses"].([]any) {
		triple := r.([]any)
		out = append(out, result{triple[0].(string), triple[1].(object)})
	}
	return out
}

// call makes one method call, whose response must not be an error.
func (w *world) call(name, args string) object {
	w.t.Helper()
	r := w.calls(fmt.Sprintf(`[%q, {"accountId": "ACCOUNT"%s}, "0"]`, name, more(args)))
	if r[0].name != name {
		w.t.Fatalf("%s %s: %s %v", name, args, r[0].name, r[0].args)
	}
	return r[0].args
}

// fails makes one method call, and returns the type of its error.
func (w *world) fails(name, args string) string {
	w.t.Helper()
	r := w.calls(fmt.Sprintf(`[%q, {"accountId": "ACCOUNT"%s}, "0"]`, name, more(args)))
	if r[0].name != "error" {
		w.t.Fatalf("%s %s: %s %v, want an error", name, args, r[0].name, r[0].args)
	}
	return r[0].args["type"].(string)
}

func more(args string) string {
	if args == "" {
		return ""
	}
	return ", " + args
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (w *world) want(got any, want string) {
	w.t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(text(got)), &a); err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		w.t.Fatalf("%s: %v", want, err)
	}
	if text(a) != text(b) {
		w.t.Errorf("got  %s\nwant %s", text(a), text(b))
	}
}

// box is the id of a mailbox.
func (w *world) box(name string) jmap.ID {
	w.t.Helper()
	b, err := w.boxes.Box(w.t.Context(), "you", name)
	if err != nil {
		w.t.Fatal(err)
	}
	return mails.ID('M', b.ID)
}

const letter = `From: "Ann Example" <ann@example.org>
To: you@example.test
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Date: Mon, 5 Jan 2026 11:00:00 +0100
Message-ID: <1@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Hello =E2=82=AC
--b
Content-Type: application/pdf; name=plan.pdf
Content-Disposition: attachment; filename=plan.pdf
Content-Transfer-Encoding: base64

aGVsbG8=
--b--
`

// JMP-1: the whole path, on both engines: session, echo, mailboxes, query, get by reference, set, download, changes.
func TestWalk(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		id := w.mail("INBOX", letter)
		inbox, archive := w.box("INBOX"), w.box("Archive")

		resp, b := w.request("GET", "/.well-known/jmap", "", nil)
		var session object
		if err := json.Unmarshal(b, &session); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", resp.StatusCode, b)
		}
		w.want(session["primaryAccounts"].(object)[jmapserver.Mail], `"`+string(jmapserver.AccountID("you"))+`"`)

		r := w.calls(`["Core/echo", {"hello": true}, "a"], ["Email/query", {"accountId": "ACCOUNT", "filter": {"inMailbox": "` + string(inbox) + `"}, "calculateTotal": true}, "b"],
			["Email/get", {"accountId": "ACCOUNT", "#ids": {"resultOf": "b", "name": "Email/query", "path": "/ids"}, "fetchTextBodyValues": true,
			"properties": ["subject", "from", "sentAt", "keywords", "mailboxIds", "textBody", "attachments", "bodyValues", "hasAttachment", "preview", "messageId", "header:To:asRaw"], "bodyProperties": ["partId", "type", "size", "name", "blobId"]}, "c"]`)
		w.want(r[0].args, `{"hello": true}`)
		w.want(r[1].args["ids"], `["`+string(id)+`"]`)
		got := r[2].args["list"].([]any)[0].(object)
		pdf := got["attachments"].([]any)[0].(object)["blobId"].(string)
		w.want(got, `{"id": "`+string(id)+`", "subject": "Grüße", "from": [{"name": "Ann Example", "email": "ann@example.org"}], "sentAt": "2026-01-05T11:00:00+01:00", "keywords": {},
			"mailboxIds": {"`+string(inbox)+`": true}, "textBody": [{"partId": "1", "type": "text/plain", "size": 9, "name": null, "blobId": "`+strings.Replace(pdf, "-2", "-1", 1)+`"}],
			"attachments": [{"partId": "2", "type": "application/pdf", "size": 5, "name": "plan.pdf", "blobId": "`+pdf+`"}],
			"bodyValues": {"1": {"value": "Hello €", "isEncodingProblem": false, "isTruncated": false}}, "hasAttachment": true, "preview": "Hello €", "messageId": ["1@example.org"], "header:To:asRaw": " you@example.test"}`)

		_, file := w.request("GET", "/jmap/download/"+string(jmapserver.AccountID("you"))+"/"+pdf+"/plan.pdf?type=application/pdf", "", nil)
		if string(file) != "hello" {
			t.Errorf("downloaded %q", file)
		}
		before := w.call("Email/get", `"ids": []`)["state"].(string)
		set := w.call("Email/set", `"update": {"`+string(id)+`": {"keywords/$seen": true, "keywords/todo": true, "mailboxIds/`+string(archive)+`": true}}`)
		w.want(set["updated"], `{"`+string(id)+`": null}`)
		got = w.call("Email/get", `"ids": ["`+string(id)+`"], "properties": ["keywords", "mailboxIds"]`)["list"].([]any)[0].(object)
		w.want(got, `{"id": "`+string(id)+`", "keywords": {"$seen": true, "todo": true}, "mailboxIds": {"`+string(inbox)+`": true, "`+string(archive)+`": true}}`)
		w.want(w.call("Email/changes", `"sinceState": "`+before+`"`)["updated"], `["`+string(id)+`"]`)
		w.want(w.call("Thread/changes", `"sinceState": "`+before+`"`)["updated"], `[]`)

		w.call("Email/set", `"update": {"`+string(id)+`": {"mailboxIds": {"`+string(archive)+`": true}}}`)
		list := w.call("Mailbox/get", `"ids": ["`+string(inbox)+`", "`+string(archive)+`"], "properties": ["role", "totalEmails", "unreadEmails", "totalThreads"]`)["list"]
		w.want(list, `[{"id": "`+string(inbox)+`", "role": "inbox", "totalEmails": 0, "unreadEmails": 0, "totalThreads": 0}, {"id": "`+string(archive)+`", "role": "archive", "totalEmails": 1, "unreadEmails": 0, "totalThreads": 1}]`)
		w.want(w.call("Email/set", `"destroy": ["`+string(id)+`"]`)["destroyed"], `["`+string(id)+`"]`)
		w.want(w.call("Email/changes", `"sinceState": "`+before+`"`)["destroyed"], `["`+string(id)+`"]`)
		w.want(w.call("Email/get", `"ids": ["`+string(id)+`"]`)["notFound"], `["`+string(id)+`"]`)
	})
}

// JMP-1: what is uploaded can be downloaded, by its account alone.
func TestUpload(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		for _, size := range []int{0, 1, 70 << 10, 300 << 10} {
			data := bytes.Repeat([]byte("\x00a\n"), size/3+1)[:size]
			resp, b := w.request("POST", "/jmap/upload/"+string(jmapserver.AccountID("you"))+"/", "text/plain", bytes.NewReader(data))
			var up struct {
				BlobID, Type string
				Size         int
			}
			if err := json.Unmarshal(b, &up); err != nil || resp.StatusCode != http.StatusCreated || up.Size != size || up.Type != "text/plain" {
				t.Fatalf("%d octets: %d %s", size, resp.StatusCode, b)
			}
			if _, got := w.request("GET", "/jmap/download/"+string(jmapserver.AccountID("you"))+"/"+up.BlobID+"/x", "", nil); !bytes.Equal(got, data) {
				t.Errorf("%d octets came back as %d", size, len(got))
			}
			if r, _, err := w.s.Mails.Blob(t.Context(), "eve", jmap.ID(up.BlobID)); r != nil || err != nil {
				t.Errorf("another account has the blob, or %v", err)
			}
		}
		w.s.Mails.Uploads.Now = func() time.Time { return noon.Add(25 * time.Hour) }
		if err := w.s.Mails.Uploads.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		n, err := store.Read(t.Context(), db, func(tx *store.Tx) (n int64, err error) {
			return n, tx.Row(`SELECT count(*) FROM bodies`).Scan(&n)
		})
		if err != nil || n != 0 {
			t.Errorf("%d bodies are left, %v", n, err)
		}
	})
}

// boxIn names a mailbox in calls.
func boxIn(calls, box string) string { return strings.ReplaceAll(calls, "BOX", box) }

// forget has nothing of any account in memory.
func (w *world) forget() {
	w.s.Mails.Catalog = &catalog.Store{DB: w.db, Boxes: w.boxes}
}
