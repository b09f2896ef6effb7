package jmapserver_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/correspondents"
	"waxwing/internal/guard"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/invitation"
	"waxwing/internal/jmapserver/people"
	"waxwing/internal/jmapserver/push"
	"waxwing/internal/jmapserver/sending"
	"waxwing/internal/jmapserver/sorting"
	"waxwing/internal/jmapserver/travel"
	"waxwing/internal/jmapserver/unsubscribe"
	"waxwing/internal/scripts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// everything gives a world all the rooms that there are, as far as they need no queue and no resolver.
func (w *world) everything() {
	now := func() time.Time { return noon }
	users := &accounts.Store{DB: w.db}
	out := &sending.Room{DB: w.db, Boxes: w.boxes, Accounts: users, Now: now, Changed: w.s.Changed}
	who := &people.Room{Catalog: &catalog.Store{DB: w.db, Boxes: w.boxes}, Correspondents: &correspondents.Store{DB: w.db, Now: now}, Now: now}
	sorted := &sorting.Room{Scripts: &scripts.Store{DB: w.db, Now: now}, Blob: w.s.Mails.Blob, Changed: w.s.Changed}
	w.s.Push = &push.Room{DB: w.db, Accounts: users, States: w.s.States, Now: now, Log: w.s.Log, Guard: &guard.Guard{}}
	w.s.Rooms = append(append((&travel.Room{DB: w.db, Boxes: w.boxes, Accounts: users, Sent: out.SentAs}).Served(), out.Served(), who.Served()), sorted.Served()...)
	leaving := &unsubscribe.Room{Mails: w.s.Mails, Boxes: w.boxes, Now: now, Log: w.s.Log, Guard: &guard.Guard{}}
	w.s.Rooms = append(w.s.Rooms, leaving.Served(), (&invitation.Room{Mails: w.s.Mails, Uploads: w.s.Mails.Uploads, Own: out.Own, Now: now}).Served())
	w.using = append(w.using, all()...)
}

// plain are arguments with which a method looks into the store; false: it does not.
func plain(method string) (string, bool) {
	switch method {
	case "Core/echo", "Blob/copy", "Email/copy", "Mailbox/queryChanges", "Email/queryChanges", "EmailSubmission/queryChanges", "Quota/queryChanges", "Posture/get", "Unsubscribe/post":
		return "", false
	case "Travel/get", "Unsubscribe/get", "Invitation/get":
		return `"ids": ["E1"]`, true
	case "Invitation/reply":
		return `"emailId": "E1", "status": "accepted"`, true
	case "SearchSnippet/get":
		return `"filter": null, "emailIds": ["E1"]`, true
	case "Email/import":
		return `"emails": {}`, true
	case "Email/parse":
		return `"blobIds": ["B1"]`, true
	case "SieveScript/validate":
		return `"blobId": "U1"`, true
	}
	switch _, verb, _ := strings.Cut(method, "/"); verb {
	case "changes":
		return `"sinceState": "1"`, true
	case "set":
		return `"destroy": ["x"]`, true
	}
	return ``, true
}

// answers are the types of what each method that looks into the store is answered with.
func (w *world) answers() map[string]string {
	out := map[string]string{}
	for method := range w.s.Methods() {
		args, ok := plain(method)
		if !ok {
			continue
		}
		got := w.calls(calling(method, args))[0]
		out[method], _ = got.args["type"].(string)
	}
	return out
}

// RFC 8620 §3.6.2: where the store fails, a method says so, and that nothing was done.
func TestServerFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.everything()
	for method, kind := range w.answers() {
		if kind == "serverFail" {
			t.Errorf("%s fails though nothing is wrong", method)
		}
	}
	w.db.Close()
	for method, kind := range w.answers() {
		if kind != "serverFail" {
			t.Errorf("%s without a store: %q", method, kind)
		}
	}
}

// RFC 8620 §3.6.2: what was written and cannot be told of is a partial failure: the client must look for itself.
func TestPartialFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	kept := w.sorts()
	room := &sorting.Room{Scripts: kept, Blob: w.s.Mails.Blob, Changed: func(*store.Tx, string) error { return errors.New("nobody can be told") }}
	w.s.Rooms = room.Served()
	keep := w.uploaded("keep;")
	if got := w.fails("SieveScript/set", `"create": {"a": {"name": "new", "blobId": "`+keep+`"}}`); got != "serverPartialFail" {
		t.Errorf("a script is written, and nobody is told: %s", got)
	}
	if got := len(w.call("SieveScript/get", ``)["list"].([]any)); got != 1 {
		t.Errorf("%d scripts", got)
	}
	if got := w.call("SieveScript/set", `"destroy": ["nothing"]`); got["notDestroyed"] == nil {
		t.Errorf("nothing is written: %v", got)
	}
}

// JMP-1: the calls of a request have a time together, in which a search that reads through all mail ends.
func TestRequestTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.everything()
	w.fill(2000)
	w.s.Limits.RequestTime = 100 * time.Millisecond
	slow := make([]string, 150)
	for i := range slow {
		slow[i] = fmt.Sprintf(`{"header": ["X-Nothing-%d", "x"]}`, i)
	}
	got := w.calls(`["Email/query", {"accountId": "ACCOUNT", "filter": {"operator": "OR", "conditions": [` + strings.Join(slow, ", ") + `]}}, "0"], ["Core/echo", {}, "1"]`)
	for i, r := range got {
		if r.name != "error" || r.args["type"] != "serverUnavailable" {
			t.Errorf("call %d after the time: %s %v", i, r.name, r.args)
		}
	}
	w.s.Limits.RequestTime = time.Nanosecond
	for method, kind := range w.answers() {
		if kind != "serverUnavailable" {
			t.Errorf("%s without time: %q", method, kind)
		}
	}
	w.s.Limits.RequestTime = time.Minute
	if got := w.call("Email/query", `"limit": 1`); len(got["ids"].([]any)) != 1 {
		t.Errorf("afterwards: %v", got)
	}
}

// JMP-1: references that multiply what earlier calls have returned end where too much is held.
func TestReferencesMultiply(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	calls := []string{`["Core/echo", {"a": "` + strings.Repeat("x", 1<<20) + `"}, "0"]`}
	refs := make([]string, 500)
	for n := 1; n < 64; n++ {
		for i := range refs {
			refs[i] = fmt.Sprintf(`"#a%d": {"resultOf": "%d", "name": "Core/echo", "path": "/a"}`, i, n-1)
		}
		calls = append(calls, fmt.Sprintf(`["Core/echo", {"#a": {"resultOf": "0", "name": "Core/echo", "path": "/a"}, %s}, "%d"]`, strings.Join(refs, ", "), n))
	}
	size, refused := 0, 0
	for _, r := range w.calls(strings.Join(calls, ", ")) {
		size += len(text(r.args))
		if r.name == "error" {
			refused++
		}
	}
	if refused < 60 || size > 64<<20 {
		t.Errorf("%d calls were refused, the others have %d octets", refused, size)
	}
}

// JMP-1: what one account holds in requests leaves room for others.
func TestAccountMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.s.Limits.SizeRequest = 100 << 20
	big := `{"using": [], "methodCalls": []` + strings.Repeat(" ", 60<<20) + `}`
	resp, b := w.request("POST", "/jmap/api", "application/json", strings.NewReader(big))
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("more than an account's share: %d %.200s", resp.StatusCode, b)
	}
	if resp, b := w.request("POST", "/jmap/api", "application/json", strings.NewReader(`{"using": [], "methodCalls": []}`)); resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d %s", resp.StatusCode, b)
	}
}
