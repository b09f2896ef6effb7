package jmapserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/jmapserver"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/jmap"
)

// TestJMAPMusts: each test that docs/jmap-conformance.md names is there, and no sentence stands without any or a reason.
func TestJMAPMusts(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "jmap-conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, dir := range []string{"jmap", "websocket", filepath.Join("internal", "jmapserver"), filepath.Join("internal", "sifting"), filepath.Join("internal", "server")} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(b), -1) {
				there[m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "| \n"), `\|`, "¦"), " | ")
		if !regexp.MustCompile(`^\| \d`).MatchString(line) {
			continue
		}
		rows++
		if len(cells) != 3 || cells[2] == "" {
			t.Errorf("%s: it is shown by nothing", line)
			continue
		}
		for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(cells[2], -1) {
			if !there[name] {
				t.Errorf("%s: there is no test %s", cells[0], name)
			}
		}
	}
	if rows < 240 {
		t.Errorf("%d rows", rows)
	}
}

// RFC 8620 §2, RFC 8621 §1.3: what the session says.
func TestSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.sorts()
	_, b := w.request("GET", "/jmap/session", "", nil)
	var s struct {
		Capabilities    map[string]map[string]any
		Accounts        map[string]struct{ AccountCapabilities map[string]map[string]any }
		PrimaryAccounts map[string]string
		APIURL          string `json:"apiUrl"`
		DownloadURL     string `json:"downloadUrl"`
		UploadURL       string `json:"uploadUrl"`
		EventSourceURL  string `json:"eventSourceUrl"`
		Username, State string
	}
	if err := json.Unmarshal(b, &s); err != nil || s.Username != "you" || s.State == "" || s.APIURL == "" {
		t.Fatalf("%v in %s", err, b)
	}
	for _, limit := range []string{"maxSizeUpload", "maxConcurrentUpload", "maxSizeRequest", "maxConcurrentRequests", "maxCallsInRequest", "maxObjectsInGet", "maxObjectsInSet", "collationAlgorithms"} {
		if s.Capabilities[jmapserver.Core][limit] == nil {
			t.Errorf("%s is missing", limit)
		}
	}
	for url, names := range map[string]string{s.DownloadURL: "accountId blobId type name", s.UploadURL: "accountId", s.EventSourceURL: "types closeafter ping"} {
		for name := range strings.FieldsSeq(names) {
			if strings.Count(url, "{"+name+"}") != 1 {
				t.Errorf("%s has no %s", url, name)
			}
		}
	}
	of := s.Accounts[string(jmapserver.AccountID("you"))].AccountCapabilities
	for uri := range of {
		if s.Capabilities[uri] == nil || s.PrimaryAccounts[uri] != string(jmapserver.AccountID("you")) {
			t.Errorf("%s stands with the account alone", uri)
		}
	}
	mail := of[jmapserver.Mail]
	for _, name := range []string{"maxMailboxesPerEmail", "maxMailboxDepth", "maxSizeMailboxName", "maxSizeAttachmentsPerEmail", "emailQuerySortOptions", "mayCreateTopLevelMailbox"} {
		if _, has := mail[name]; !has {
			t.Errorf("%s is missing", name)
		}
	}
	if n, ok := mail["maxSizeMailboxName"].(float64); !ok || n < 100 || s.Capabilities[jmapserver.WebSocket]["supportsPush"] != true {
		t.Errorf("%s", b)
	}
}

// RFC 8620 §1.2, §1.6.3: each id that is told is one, and no two records have the same.
func TestIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	for range 3 {
		w.mail("INBOX", letter)
	}
	seen := map[string]bool{}
	for _, method := range []string{"Mailbox/get", "Email/get"} {
		args := ``
		if method == "Email/get" {
			args = `"ids": ` + text(w.call("Email/query", ``)["ids"]) + `, "properties": ["id", "blobId", "threadId"]`
		}
		for _, r := range w.call(method, args)["list"].([]any) {
			for name, v := range r.(object) {
				id, is := v.(string)
				if (name == "id" || strings.HasSuffix(name, "Id")) && is && !jmap.ID(id).Valid() {
					t.Errorf("%s %q of %s", name, id, method)
				}
				if name == "id" && seen[id] {
					t.Errorf("%s comes twice", id)
				}
				seen[id] = true
			}
		}
	}
	for _, id := range []jmap.ID{"", "a b", "a=", "ü", jmap.ID(strings.Repeat("a", 256))} {
		if id.Valid() {
			t.Errorf("%.20q is no id", string(id))
		}
	}
	if !jmapserver.AccountID("someone@else.example/ü").Valid() {
		t.Error(jmapserver.AccountID("someone@else.example/ü"))
	}
}

// RFC 8620 §1.7: without TLS no password is looked at.
func TestPlain(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://mail.example.test/jmap/session", nil)
	r.SetBasicAuth("you", "secret")
	if account, err := jmapserver.Passwords(nil)(r); err == nil || account != "" {
		t.Errorf("%q is let in", account)
	}
}

// RFC 8620 §6: beyond what an account may upload, its oldest go first.
func TestUploadBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	first := w.uploaded("first")
	now := noon
	w.s.Mails.Uploads.Now = func() time.Time { now = now.Add(time.Second); return now }
	for range 3 {
		w.uploaded("more")
	}
	err := w.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE jmap_uploads SET size = ?`, int64(200<<20))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	last := w.uploaded("last")
	if got := w.octets(last); got != "last" {
		t.Errorf("the newest is %q", got)
	}
	if got := w.octets(first); got == "first" {
		t.Error("the oldest is there still")
	}
}

// RFC 8621 §2.2: whoever sees only that mail has come is told so; a new name is told as such, and so is what is subscribed.
func TestUpdatedProperties(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		made := w.call("Mailbox/set", `"create": {"a": {"name": "a"}}`)["created"].(object)["a"].(object)["id"].(string)
		const counts = `["totalEmails","unreadEmails","totalThreads","unreadThreads"]`
		for _, step := range []struct {
			do   func()
			want string
		}{
			{func() { w.mail("a", letter) }, counts},
			{func() { w.call("Mailbox/set", `"update": {"`+made+`": {"name": "b"}}`) }, "null"},
			{func() { w.mail("b", letter); w.mail("INBOX", letter) }, counts},
			{func() { w.call("Mailbox/set", `"update": {"`+made+`": {"isSubscribed": true}}`); w.mail("b", letter) }, "null"},
			{func() {}, "null"},
		} {
			before := w.call("Mailbox/get", `"ids": []`)["state"].(string)
			step.do()
			got := w.call("Mailbox/changes", `"sinceState": "`+before+`"`)
			if text(got["updatedProperties"]) != step.want {
				t.Errorf("%v, want %s", got, step.want)
			}
		}
	})
}

// FuzzCalls: whatever is asked, the server answers with a response or a problem in I-JSON, and does not fail.
func FuzzCalls(f *testing.F) {
	w := newWorld(f, storetest.Open(f))
	w.sorts()
	id := string(w.mail("INBOX", letter))
	for _, m := range musts {
		f.Add([]byte(strings.NewReplacer("MANY", `"x"`, `"MAIL"`, `"`+id+`"`).Replace(m.calls)))
	}
	f.Add([]byte(`["SieveScript/set", {"accountId": "ACCOUNT", "create": {"a": {"name": "x", "blobId": "U1"}}, "onSuccessActivateScript": "#a"}, "0"], ["VacationResponse/set", {"accountId": "ACCOUNT", "update": {"singleton": {"isEnabled": true}}}, "1"]`))
	using, err := json.Marshal(w.using)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, calls []byte) {
		body := `{"using": ` + string(using) + `, "methodCalls": [` + strings.ReplaceAll(string(calls), "ACCOUNT", string(jmapserver.AccountID("you"))) + `]}`
		r := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), "POST", "https://mail.example.test/jmap/api", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth("you", "you")
		a := httptest.NewRecorder()
		w.s.ServeHTTP(a, r)
		answer := bytes.TrimSpace(a.Body.Bytes())
		if err := jmap.CheckIJSON(answer); err != nil || a.Code != http.StatusOK && a.Code != http.StatusBadRequest {
			t.Fatalf("%d %s: %v", a.Code, answer, err)
		}
		if bytes.Contains(answer, []byte(`"serverFail"`)) && !bytes.Contains(calls, []byte("serverFail")) {
			t.Fatalf("%s\n%s", calls, answer)
		}
	})
}

// TestMusts: what single requests of TestConformance do not show.
func TestMusts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	first := string(w.mail("INBOX", "Subject: a <b> & GRÜSSE, hello dear wide world\nFrom: a@x\n\nx\n"))
	second := string(w.mail("INBOX", "Subject: hello world\nFrom: jøran@bücher.example\nDate: Mon, 5 Jan 2026 11:00:00 +0100\n\n"+strings.Repeat("long ", 200)+"needle "+strings.Repeat("end ", 200)+"\n"))
	inbox := string(w.box("INBOX"))
	refused := func(in, method, args string) object {
		t.Helper()
		got := w.call(method, args)
		m, _ := got[in].(object)
		for _, e := range m {
			return e.(object)
		}
		t.Errorf("%s %s: %v", method, args, got)
		return object{}
	}

	t.Run("8620 §3.5: null and what is left out are the same", func(t *testing.T) {
		if a, b := text(w.call("Mailbox/get", `"ids": null, "properties": null`)), text(w.call("Mailbox/get", ``)); a != b {
			t.Errorf("%s\n%s", a, b)
		}
	})
	t.Run("8620 §5.3: patches into what is not there, or into arrays, are none, and nothing of them is done", func(t *testing.T) {
		for _, patch := range []string{`{"keywords/a/b": true, "keywords/x": true}`, `{"nothing/a": true, "keywords/x": true}`} {
			if e := refused("notUpdated", "Email/set", `"update": {"`+first+`": `+patch+`}`); e["type"] != "invalidPatch" && e["type"] != "invalidProperties" {
				t.Errorf("%s: %v", patch, e)
			}
		}
		w.want(w.call("Email/get", `"ids": ["`+first+`"], "properties": ["keywords"]`)["list"], `[{"id": "`+first+`", "keywords": {}}]`)
	})
	t.Run("8620 §5.3: a creation id that is used again is the newest's", func(t *testing.T) {
		r := w.calls(`["Mailbox/set", {"accountId": "ACCOUNT", "create": {"x": {"name": "x1"}}}, "0"], ["Mailbox/set", {"accountId": "ACCOUNT", "create": {"x": {"name": "x2"}}}, "1"],
			["Mailbox/set", {"accountId": "ACCOUNT", "create": {"y": {"name": "y", "parentId": "#x"}}}, "2"]`)
		id := r[1].args["created"].(object)["x"].(object)["id"].(string)
		y := r[2].args["created"].(object)["y"].(object)["id"].(string)
		w.want(w.call("Mailbox/get", `"ids": ["`+y+`"], "properties": ["parentId"]`)["list"], `[{"id": "`+y+`", "parentId": "`+id+`"}]`)
		if e := refused("notUpdated", "Mailbox/set", `"update": {"`+id+`": {"parentId": "`+y+`"}}`); e["type"] != "invalidProperties" {
			t.Errorf("a loop: %v", e)
		}
		if e := refused("notUpdated", "Mailbox/set", `"update": {"`+id+`": {"role": "inbox"}}`); e["type"] != "invalidProperties" {
			t.Errorf("a second inbox: %v", e)
		}
	})
	t.Run("8620 §5.5: sorting is stable and knows Unicode, an anchor outweighs a position, a total comes where it is wanted", func(t *testing.T) {
		a, b := w.call("Email/query", ``), w.call("Email/query", `"sort": []`)
		if text(a["ids"]) != text(b["ids"]) || a["total"] != nil {
			t.Errorf("%v, %v", a, b)
		}
		w.want(w.call("Email/query", `"anchor": "`+first+`", "position": 7, "limit": 1`)["ids"], `["`+first+`"]`)
		w.want(w.call("Email/query", `"anchorOffset": 5`)["ids"], text(a["ids"]))
		w.want(w.call("Email/query", `"filter": {"subject": "grüsse"}`)["ids"], `["`+first+`"]`)
		if got := w.call("Email/queryChanges", `"sinceQueryState": "`+a["queryState"].(string)+`"`); got["total"] != nil {
			t.Errorf("%v", got)
		}
	})
	t.Run("8621 §2.3: mailboxes are sorted by sortOrder and name", func(t *testing.T) {
		for _, property := range []string{"sortOrder", "name"} {
			if n := len(w.call("Mailbox/query", `"sort": [{"property": "`+property+`"}]`)["ids"].([]any)); n < 6 {
				t.Errorf("%s: %d", property, n)
			}
		}
	})
	t.Run("8621 §1.5: EmailDelivery changes where mail comes, and not where it is read", func(t *testing.T) {
		states := func() string {
			s, err := w.s.States(t.Context(), "you")
			if err != nil {
				t.Fatal(err)
			}
			return s["EmailDelivery"]
		}
		before := states()
		w.call("Email/set", `"update": {"`+first+`": {"keywords/$seen": true}}`)
		if states() != before {
			t.Error("it has changed with a flag")
		}
		w.mail("Archive", letter)
		if states() == before {
			t.Error("it has not changed with a mail")
		}
	})
	t.Run("8621 §4.1.1: a keyword has 1 to 255 characters", func(t *testing.T) {
		for _, k := range []string{"", "a b", "a(b", `a\"b`, strings.Repeat("k", 256), "ü"} {
			if e := refused("notUpdated", "Email/set", `"update": {"`+first+`": {"keywords": {"`+k+`": true}}}`); e["type"] != "invalidProperties" {
				t.Errorf("%.20s: %v", k, e)
			}
		}
	})
	t.Run("8621 §4.2: what comes where no properties are asked for", func(t *testing.T) {
		got := w.call("Email/get", `"ids": ["`+second+`"]`)["list"].([]any)[0].(object)
		for _, name := range []string{"id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt", "hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments"} {
			if _, has := got[name]; !has {
				t.Errorf("%s is missing", name)
			}
		}
		if len(got) != 24 || text(got["from"]) != `[{"email":"jøran@bücher.example","name":null}]` || len([]rune(got["preview"].(string))) > 256 {
			t.Errorf("%v", got)
		}
	})
	t.Run("8621 §4.4.1: all words of a text are found, a phrase as it stands; nothing is a condition of all", func(t *testing.T) {
		both := []string{first, second}
		for text, want := range map[string][]string{"world hello": both, `\"hello world\"`: {second}, "hello , world": both, "needle hello": {second}, `'dear wide'`: {first}} {
			var got []string
			for _, id := range w.call("Email/query", `"filter": {"text": "`+text+`"}`)["ids"].([]any) {
				got = append(got, id.(string))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", text, got, want)
			}
		}
		if n := len(w.call("Email/query", `"filter": {}`)["ids"].([]any)); n != 3 {
			t.Errorf("{} finds %d", n)
		}
		for _, args := range []string{`[]`, `["a", "b", "c"]`, `[1]`} {
			if got := w.fails("Email/query", `"filter": {"header": `+args+`}`); got != "invalidArguments" {
				t.Errorf("%s: %s", args, got)
			}
		}
	})
	t.Run("8621 §4.6: a mail that is composed has a Message-ID and a Date; blobs that are missing are named", func(t *testing.T) {
		id := w.call("Email/set", `"create": {"m": {"mailboxIds": {"`+inbox+`": true}, "subject": "x"}}`)["created"].(object)["m"].(object)["id"].(string)
		got := w.call("Email/get", `"ids": ["`+id+`"], "properties": ["messageId", "sentAt"]`)["list"].([]any)[0].(object)
		if ids, ok := got["messageId"].([]any); !ok || len(ids) != 1 || got["sentAt"] == nil {
			t.Errorf("%v", got)
		}
		e := refused("notCreated", "Email/set", `"create": {"m": {"mailboxIds": {"`+inbox+`": true}, "attachments": [{"blobId": "Ua"}, {"blobId": "Ub"}]}}`)
		if missing := text(e["notFound"]); !strings.Contains(missing, `"Ua"`) {
			t.Errorf("%v", e)
		}
	})
	t.Run("8621 §4.8, §4.9: what is imported is parsed with its UTF-8, once more as another mail, and refused where anything is missing", func(t *testing.T) {
		blob := w.uploaded("Subject: ünïcode\r\nFrom: jøran@bücher.example\r\n\r\nx")
		parsed := w.call("Email/parse", `"blobIds": ["`+blob+`"], "properties": ["subject", "from"]`)["parsed"].(object)[blob].(object)
		if parsed["subject"] != "ünïcode" {
			t.Errorf("%v", parsed)
		}
		made := map[any]bool{}
		for range 2 {
			got := w.call("Email/import", `"emails": {"a": {"blobId": "`+blob+`", "mailboxIds": {"`+inbox+`": true}}}`)
			made[got["created"].(object)["a"].(object)["id"]] = true
		}
		if len(made) != 2 {
			t.Errorf("%v", made)
		}
		for _, email := range []string{`{"blobId": "` + blob + `"}`, `{"blobId": "` + blob + `", "mailboxIds": {}}`, `{"blobId": "` + blob + `", "mailboxIds": {"Mx": true}}`, `{"mailboxIds": {"` + inbox + `": true}}`,
			`{"blobId": "` + blob + `", "mailboxIds": {"` + inbox + `": true}, "keywords": {"a b": true}}`} {
			if e := refused("notCreated", "Email/import", `"emails": {"a": `+email+`}`); e["type"] != "invalidProperties" {
				t.Errorf("%s: %v", email, e)
			}
		}
	})
	t.Run("8621 §5: snippets are HTML, and short", func(t *testing.T) {
		got := w.call("SearchSnippet/get", `"filter": {"text": "grüsse"}, "emailIds": ["`+first+`"]`)["list"].([]any)[0].(object)
		if s, _ := got["subject"].(string); !strings.Contains(s, "a &lt;b&gt; &amp; <mark>GRÜSSE</mark>") {
			t.Errorf("%v", got)
		}
		got = w.call("SearchSnippet/get", `"filter": {"body": "needle"}, "emailIds": ["`+second+`"]`)["list"].([]any)[0].(object)
		if s, _ := got["preview"].(string); !strings.Contains(s, "<mark>needle</mark>") || len(s) > 255 {
			t.Errorf("%v", got)
		}
	})
	t.Run("8620 §6.2: a file has the name that was asked for", func(t *testing.T) {
		resp, _ := w.request("GET", "/jmap/download/"+string(jmapserver.AccountID("you"))+"/"+w.uploaded("x")+"/Pl%C3%A4n%20%221%22.pdf", "", nil)
		if got := resp.Header.Get("Content-Disposition"); !strings.Contains(got, "Pl%C3%A4n%20%221%22.pdf") {
			t.Errorf("%s", got)
		}
	})
}
