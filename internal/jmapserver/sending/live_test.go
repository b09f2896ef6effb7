package sending_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"waxwing/internal/jmapserver"
	"waxwing/internal/server"
	"waxwing/internal/server/servertest"
	"waxwing/internal/spool"
)

// world is a running server with the accounts you and eve, and a client of you.
type world struct {
	t        *testing.T
	s        *server.Server
	client   *http.Client
	url      string
	user, pw string
}

func start(t *testing.T) *world {
	t.Helper()
	s := servertest.HTTPS(t)
	return &world{t: t, s: s.Server, url: s.URL, client: s.Client, user: "you@example.test", pw: "a-good-password"}
}

type object = map[string]any

// post makes a request of calls, in which ACCOUNT stands for the account's id.
func (w *world) post(calls string) (int, []byte) {
	w.t.Helper()
	return w.postUsing(`"urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail", "urn:ietf:params:jmap:submission", "urn:waxwing:params:jmap:travel", "urn:ietf:params:jmap:quota"`, calls)
}

func (w *world) postUsing(using, calls string) (int, []byte) {
	w.t.Helper()
	text := strings.ReplaceAll(`{"using": [`+using+`], "methodCalls": [`+calls+`]}`, "ACCOUNT", string(jmapserver.AccountID("you")))
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url+"/jmap/api", strings.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth(w.user, w.pw)
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, b
}

// calls are the arguments of the responses.
func (w *world) calls(text string) (out []object) {
	w.t.Helper()
	status, b := w.post(text)
	var got struct {
		R [][3]any `json:"methodResponses"`
	}
	if err := json.Unmarshal(b, &got); err != nil || status != http.StatusOK {
		w.t.Fatalf("%s: %d %s", text, status, b)
	}
	for _, r := range got.R {
		out = append(out, r[1].(object))
	}
	return out
}

// JMP-1: a mail is composed and sent in one request, arrives in the other account, and its draft becomes a sent mail; one that is
// held is taken back; as others one cannot write. All through the server as it is, with its passwords.
func TestSubmission(t *testing.T) {
	t.Parallel()
	w := start(t)
	if status, _ := (&world{t: t, client: w.client, url: w.url, user: "you@example.test", pw: "wrong"}).post(``); status != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", status)
	}
	boxes := map[string]string{}
	r := w.calls(`["Mailbox/get", {"accountId": "ACCOUNT"}, "0"], ["Identity/get", {"accountId": "ACCOUNT"}, "1"]`)
	for _, b := range r[0]["list"].([]any) {
		if role, ok := b.(object)["role"].(string); ok {
			boxes[role] = b.(object)["id"].(string)
		}
	}
	identity := r[1]["list"].([]any)[0].(object)
	if identity["email"] != "you@example.test" || identity["mayDelete"] != false {
		t.Errorf("identity %v", identity)
	}
	send := func(from, parameters string) []object {
		return w.calls(fmt.Sprintf(`["Email/set", {"accountId": "ACCOUNT", "create": {"m": {"mailboxIds": {"%s": true}, "keywords": {"$draft": true}, "from": [{"email": "%s"}], "to": [{"email": "eve@example.test"}],
			"bcc": [{"email": "you@example.test"}], "subject": "hello", "bodyValues": {"t": {"value": "ho"}}, "textBody": [{"partId": "t", "type": "text/plain"}]}}}, "0"],
			["EmailSubmission/set", {"accountId": "ACCOUNT", "create": {"s": {"identityId": "%s", "emailId": "#m"%s}}, "onSuccessUpdateEmail": {"#s": {"keywords/$draft": null, "mailboxIds/%s": null, "mailboxIds/%s": true}}}, "1"]`,
			boxes["drafts"], from, identity["id"], parameters, boxes["drafts"], boxes["sent"]))
	}
	r = send("you@example.test", "")
	if len(r) != 3 {
		t.Fatalf("%v", r)
	}
	made := r[1]["created"].(object)["s"].(object)
	if made["undoStatus"] != "final" || len(r[2]["updated"].(object)) != 1 {
		t.Errorf("%v", r)
	}
	for _, account := range []string{"eve", "you"} {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			all, err := w.s.Mailboxes.List(t.Context(), account, "INBOX", 10)
			if err == nil && len(all) == 1 {
				break
			}
			if err != nil || time.Now().After(end) {
				t.Fatalf("%s has %d mails, %v", account, len(all), err)
			}
		}
	}
	eve := &world{t: t, client: w.client, url: w.url, user: "eve@example.test", pw: "another-password"}
	if _, b := eve.post(strings.ReplaceAll(`["Email/query", {"accountId": "EVE"}, "0"], ["Email/get", {"accountId": "EVE", "#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"}, "properties": ["header:Bcc", "subject"]}, "1"]`, "EVE", string(jmapserver.AccountID("eve")))); !strings.Contains(string(b), `"header:Bcc":null`) || !strings.Contains(string(b), `"subject":"hello"`) {
		t.Errorf("eve has %s", b)
	}
	if sent, err := w.s.Mailboxes.List(t.Context(), "you", "Sent", 10); err != nil || len(sent) != 1 || sent[0].Entry.Flags != 0 {
		t.Errorf("sent: %v, %v", sent, err)
	}
	got := w.calls(`["EmailSubmission/get", {"accountId": "ACCOUNT"}, "0"], ["EmailSubmission/changes", {"accountId": "ACCOUNT", "sinceState": "0"}, "1"], ["EmailSubmission/query", {"accountId": "ACCOUNT", "filter": {"undoStatus": "final"}}, "2"]`)
	status := got[0]["list"].([]any)[0].(object)["deliveryStatus"].(object)["eve@example.test"].(object)
	if status["delivered"] != "yes" || len(got[1]["created"].([]any)) != 1 || len(got[2]["ids"].([]any)) != 1 {
		t.Errorf("%v", got)
	}

	r = send("you@example.test", `, "envelope": {"mailFrom": {"email": "you@example.test", "parameters": {"HOLDFOR": "3600"}}, "rcptTo": [{"email": "eve@example.test"}]}`)
	made = r[1]["created"].(object)["s"].(object)
	if made["undoStatus"] != "pending" {
		t.Fatalf("held: %v", made)
	}
	r = w.calls(`["EmailSubmission/set", {"accountId": "ACCOUNT", "update": {"` + made["id"].(string) + `": {"undoStatus": "canceled"}}}, "0"], ["EmailSubmission/get", {"accountId": "ACCOUNT", "ids": ["` + made["id"].(string) + `"]}, "1"]`)
	if r[0]["updated"] == nil || r[1]["list"].([]any)[0].(object)["undoStatus"] != "canceled" {
		t.Errorf("taken back: %v", r)
	}
	r = send("eve@example.test", "")
	if e, _ := r[1]["notCreated"].(object)["s"].(object); e["type"] != "forbiddenFrom" && e["type"] != "forbiddenMailFrom" {
		t.Errorf("as eve: %v", r[1])
	}
	r = w.calls(`["Identity/set", {"accountId": "ACCOUNT", "create": {"a": {"email": "eve@example.test"}, "b": {"email": "you@example.test", "name": "You"}}, "update": {"` + identity["id"].(string) + `": {"textSignature": "-- \nyou"}}, "destroy": ["` + identity["id"].(string) + `"]}, "0"]`)
	if len(r[0]["created"].(object)) != 1 || len(r[0]["notCreated"].(object)) != 1 || len(r[0]["updated"].(object)) != 1 || len(r[0]["notDestroyed"].(object)) != 1 {
		t.Errorf("identities: %v", r[0])
	}
}

// JMP-2, JMP-3: how a mail travelled is told its sender with each recipient, its receiver hears what was found out, and strangers
// nothing; what is known of an address is told before it is written to; quotas are those of the mailboxes.
func TestTravel(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.s.Mailboxes.Quota.Messages = 100
	r := w.calls(`["Mailbox/get", {"accountId": "ACCOUNT"}, "0"], ["Identity/get", {"accountId": "ACCOUNT"}, "1"]`)
	box, identity := r[0]["list"].([]any)[0].(object)["id"].(string), r[1]["list"].([]any)[0].(object)["id"].(string)
	r = w.calls(`["Email/set", {"accountId": "ACCOUNT", "create": {"m": {"mailboxIds": {"` + box + `": true}, "from": [{"email": "you@example.test"}], "to": [{"email": "eve@example.test"}]}}}, "0"],
		["EmailSubmission/set", {"accountId": "ACCOUNT", "create": {"s": {"identityId": "` + identity + `", "emailId": "#m"}}}, "1"],
		["Posture/get", {"accountId": "ACCOUNT", "addresses": ["eve@example.test", "x@elsewhere.test", "no address"], "explain": true}, "2"], ["Quota/get", {"accountId": "ACCOUNT"}, "3"], ["Quota/query", {"accountId": "ACCOUNT"}, "4"]`)
	mail, sent := r[0]["created"].(object)["m"].(object)["id"].(string), r[1]["created"].(object)["s"].(object)["id"].(string)
	postures := r[2]["list"].([]any)
	if len(postures) != 2 || postures[0].(object)["hosted"] != true || len(r[2]["invalid"].([]any)) != 1 {
		t.Errorf("posture: %v", r[2])
	}
	if q := r[3]["list"].([]any); len(q) != 1 || q[0].(object)["resourceType"] != "count" || q[0].(object)["hardLimit"] != 100.0 || len(r[4]["ids"].([]any)) != 1 {
		t.Errorf("quota: %v", r[3:])
	}
	got := w.calls(`["Travel/get", {"accountId": "ACCOUNT", "ids": ["` + mail + `", "` + sent + `", "Enone", "Snone"]}, "0"]`)[0]
	list := got["list"].([]any)
	if len(list) != 2 || len(got["notFound"].([]any)) != 2 {
		t.Fatalf("%v", got)
	}
	for _, one := range list {
		travel, ok := one.(object)["sent"].(object)
		if !ok || travel["sender"] != "you@example.test" || len(travel["recipients"].([]any)) != 1 {
			t.Errorf("travel: %v", one)
		}
		copies, _ := travel["copies"].([]any)
		for _, c := range copies {
			if c.(object)["account"] != "you" {
				t.Errorf("the sender hears where others have their copies: %v", c)
			}
		}
	}
	eve := &world{t: t, client: w.client, url: w.url, user: "eve@example.test", pw: "another-password"}
	if _, b := eve.post(strings.ReplaceAll(`["Travel/get", {"accountId": "EVE", "ids": ["`+mail+`", "`+sent+`"]}, "0"], ["Email/get", {"accountId": "EVE", "ids": ["`+mail+`"]}, "1"]`, "EVE", string(jmapserver.AccountID("eve")))); strings.Contains(string(b), "you@example.test") || strings.Count(string(b), `"list":[]`) != 2 {
		t.Errorf("eve hears %s", b)
	}
	if status, b := eve.post(`["Email/get", {"accountId": "ACCOUNT", "ids": []}, "0"]`); !strings.Contains(string(b), "accountNotFound") {
		t.Errorf("eve in your account: %d %s", status, b)
	}
}

// JMP-1: the methods of people, scripts and vacation are there in the server as it is, each with what it needs.
func TestRooms(t *testing.T) {
	t.Parallel()
	w := start(t)
	using := `"urn:ietf:params:jmap:core", "urn:ietf:params:jmap:vacationresponse", "urn:ietf:params:jmap:sieve", "urn:waxwing:params:jmap:people"`
	resp, b := w.postUsing(using, `["Correspondent/query", {"accountId": "ACCOUNT", "text": ""}, "0"], ["VacationResponse/get", {"accountId": "ACCOUNT"}, "1"], ["SieveScript/get", {"accountId": "ACCOUNT"}, "2"],
		["PushSubscription/set", {"create": {"a": {"deviceClientId": "d", "url": "https://127.0.0.1/"}}}, "3"], ["PushSubscription/get", {}, "4"]`)
	for _, part := range []string{`["Correspondent/query",{`, `"id":"singleton"`, `["SieveScript/get",{`, `"created":{"a":{`, `"deviceClientId":"d"`} {
		if resp != http.StatusOK || !strings.Contains(string(b), part) {
			t.Errorf("%d: %s is missing in %s", resp, part, b)
		}
	}
}

// RFC 8621 §7: what is refused, with what the client needs to know, and what becomes of submissions whose mail is gone, that are destroyed, or that are old.
func TestSubmissionRefuses(t *testing.T) {
	t.Parallel()
	w := start(t)
	r := w.calls(`["Mailbox/get", {"accountId": "ACCOUNT"}, "0"], ["Identity/get", {"accountId": "ACCOUNT"}, "1"]`)
	box, identity := r[0]["list"].([]any)[0].(object)["id"].(string), r[1]["list"].([]any)[0].(object)["id"].(string)
	compose := func(from, body string) string {
		return w.calls(`["Email/set", {"accountId": "ACCOUNT", "create": {"m": {"mailboxIds": {"` + box + `": true}, "from": [{"email": "` + from + `"}], "to": [{"email": "eve@example.test"}], "bodyValues": {"t": {"value": "` + body + `"}}, "textBody": [{"partId": "t"}]}}}, "0"]`)[0]["created"].(object)["m"].(object)["id"].(string)
	}
	submit := func(mail, more string) object {
		return w.calls(`["EmailSubmission/set", {"accountId": "ACCOUNT", "create": {"s": {"identityId": "` + identity + `", "emailId": "` + mail + `"` + more + `}}}, "0"]`)[0]
	}
	mail := compose("you@example.test", "x")
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprintf(`{"email": "n%d@example.test"}`, i))
	}
	envelope := func(from, to string) string {
		return `, "envelope": {"mailFrom": {"email": "` + from + `"}, "rcptTo": [` + to + `]}`
	}
	for _, c := range []struct{ mail, more, kind, property string }{
		{"Enone", "", "invalidProperties", ""},
		{mail, envelope("you@example.test", ""), "noRecipients", ""},
		{mail, envelope("you@example.test", strings.Join(many, ",")), "tooManyRecipients", "maxRecipients"},
		{mail, envelope("you@example.test", `{"email": "nobody"}`), "invalidRecipients", "invalidRecipients"},
		{mail, envelope("you@example.test", `{"email": "unknown@example.test"}`), "invalidRecipients", "invalidRecipients"},
		{mail, envelope("eve@example.test", `{"email": "eve@example.test"}`), "forbiddenMailFrom", ""},
		{mail, `, "more": 1`, "invalidProperties", ""},
		{compose("eve@example.test", "x"), "", "forbiddenFrom", ""}, // the envelope is the identity's, the header is not
		{compose("you@example.test", strings.Repeat("x", 3<<20)), "", "tooLarge", "maxSize"},
	} {
		not, _ := submit(c.mail, c.more)["notCreated"].(object)
		e, _ := not["s"].(object)
		if e["type"] != c.kind || c.property != "" && e[c.property] == nil {
			t.Errorf("%.100s: %v, want %s", c.more, not, c.kind)
		}
	}
	held := submit(mail, `, "envelope": {"mailFrom": {"email": "you@example.test", "parameters": {"HOLDFOR": "3600"}}, "rcptTo": [{"email": "eve@example.test"}]}`)["created"].(object)["s"].(object)["id"].(string)
	got := w.calls(`["Email/set", {"accountId": "ACCOUNT", "destroy": ["` + mail + `"]}, "0"], ["EmailSubmission/get", {"accountId": "ACCOUNT", "ids": ["` + held + `"]}, "1"], ["EmailSubmission/query", {"accountId": "ACCOUNT", "sort": [{"property": "emailId"}, {"property": "threadId"}, {"property": "sentAt"}]}, "2"],
		["EmailSubmission/query", {"accountId": "ACCOUNT", "sort": [{"property": "x"}]}, "3"], ["EmailSubmission/set", {"accountId": "ACCOUNT", "destroy": ["` + held + `"]}, "4"], ["EmailSubmission/get", {"accountId": "ACCOUNT", "ids": null}, "5"]`)
	if got[1]["list"].([]any)[0].(object)["undoStatus"] != "pending" || len(got[2]["ids"].([]any)) != 1 || got[3]["type"] != "unsupportedSort" || len(got[4]["destroyed"].([]any)) != 1 || len(got[5]["list"].([]any)) != 0 {
		t.Errorf("%v", got)
	}
	list, err := spool.List(t.Context(), w.s.Store, spool.Filter{})
	if err != nil || len(list) != 1 {
		t.Errorf("in the queue: %v, %v", list, err)
	}
}
