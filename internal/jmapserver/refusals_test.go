package jmapserver_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"waxwing/internal/account"
	"waxwing/internal/allowance"
	"waxwing/internal/jmapserver"
	"waxwing/internal/jmapserver/invitation"
	"waxwing/internal/jmapserver/mails"
	"waxwing/internal/jmapserver/people"
	"waxwing/internal/jmapserver/push"
	"waxwing/internal/jmapserver/sending"
	"waxwing/internal/jmapserver/sorting"
	"waxwing/internal/jmapserver/travel"
	"waxwing/internal/jmapserver/unsubscribe"
	"waxwing/internal/server"
	"waxwing/internal/server/servertest"
)

var update = flag.Bool("update", false, "write docs/jmap-conformance.md anew")

// methods are all that the server as it is answers, with the capability that each needs.
func methods() map[string]string {
	s := &jmapserver.Server{Mails: &mails.Room{}, Push: &push.Room{}}
	s.Rooms = append(append((&travel.Room{}).Served(), (&sending.Room{}).Served(), (&people.Room{}).Served(), (&unsubscribe.Room{}).Served(), (&invitation.Room{}).Served()), (&sorting.Room{}).Served()...)
	return s.Methods()
}

// named are the errors that the RFCs name for methods by what they do (RFC 8620 §5), beside those of all methods.
var named = map[string]string{
	"get":          "requestTooLarge",
	"changes":      "cannotCalculateChanges",
	"set":          "requestTooLarge stateMismatch forbidden overQuota tooLarge rateLimit notFound invalidPatch willDestroy invalidProperties singleton",
	"copy":         "fromAccountNotFound fromAccountNotSupportedByMethod notFound",
	"query":        "anchorNotFound unsupportedSort unsupportedFilter",
	"queryChanges": "tooManyChanges cannotCalculateChanges",
	// And those that a method has further (RFC 8621, RFC 9661).
	"Mailbox/set": "mailboxHasChild mailboxHasEmail", "Email/set": "blobNotFound tooManyKeywords tooManyMailboxes", "Email/copy": "alreadyExists stateMismatch",
	"Email/import": "stateMismatch alreadyExists invalidProperties overQuota invalidEmail", "Email/parse": "requestTooLarge", "SearchSnippet/get": "unsupportedFilter",
	"Identity/set":        "forbiddenFrom",
	"EmailSubmission/set": "invalidEmail tooManyRecipients noRecipients invalidRecipients forbiddenMailFrom forbiddenFrom forbiddenToSend cannotUnsend",
	"SieveScript/set":     "blobNotFound invalidSieve sieveIsActive alreadyExists", "SieveScript/validate": "blobNotFound", "PushSubscription/get": "forbidden",
}

// common are the errors that all methods have (RFC 8620 §3.6.2), with the test that shows each, or why it cannot be.
var common = [][2]string{
	{"unknownMethod", "TestRefusals: each method without its capability"},
	{"invalidArguments", "TestRefusals: each method with an argument that it does not have; Core/echo takes all"},
	{"invalidResultReference", "TestRefusals: each method with a reference to no response"},
	{"accountNotFound", "TestRefusals: each method with the id of another account; Core/echo and PushSubscription/* are of none"},
	{"serverUnavailable", "TestRequestTime: the time of the request has passed"},
	{"serverFail", "TestServerFail: each method with a store that is closed"},
	{"serverPartialFail", "TestPartialFail: what has been written cannot be told of"},
	{"forbidden", "TestRefusals, where it is named below; else everything in an account is its owner's"},
	{"accountReadOnly", "no account is: whoever logs in is its owner"},
	{"accountNotSupportedByMethod", "no account is without a type: what the server has, all accounts have"},
}

// whole is a running server with the accounts you and eve, and a client of you.
type whole struct {
	t     *testing.T
	s     *server.Server
	http  *http.Client
	url   string
	names map[string]string // by names that stand for ids in calls
}

func startWhole(t *testing.T) *whole {
	t.Helper()
	s, ctx := servertest.HTTPS(t), t.Context()
	five := int64(5)
	for _, err := range []error{
		// An app password is looked up; an account's own takes its time.
		s.Accounts.AddAppPassword(ctx, account.AppPassword{Account: "you", Name: "test", Protocols: []account.Protocol{account.JMAP}}, "of-the-program"),
		s.Allowance.SetLimit(ctx, "you", func(allowance.Own) allowance.Own { return allowance.Own{Recipients: &five} })} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return &whole{t: t, s: s.Server, url: s.URL, http: s.Client, names: map[string]string{"ACCOUNT": string(jmapserver.AccountID("you"))}}
}

var capitals = regexp.MustCompile(`[A-Z][A-Z0-9]{2,}`)

// filled puts ids in the place of the names that stand for them.
func (w *whole) filled(text string) string {
	return capitals.ReplaceAllStringFunc(text, func(name string) string {
		if id, ok := w.names[name]; ok {
			return id
		}
		return name
	})
}

// send posts something, and returns what is answered.
func (w *whole) send(path, media, body string) []byte {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url+"/jmap/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth("you@example.test", "of-the-program")
	req.Header.Set("Content-Type", media)
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// calls makes a request, and returns the responses.
func (w *whole) calls(using []string, calls string) (out []result) {
	w.t.Helper()
	list, err := json.Marshal(using)
	if err != nil {
		w.t.Fatal(err)
	}
	b := w.send("api", "application/json", w.filled(`{"using": `+string(list)+`, "methodCalls": [`+calls+`]}`))
	var got struct {
		R [][3]any `json:"methodResponses"`
	}
	if err := json.Unmarshal(b, &got); err != nil || len(got.R) == 0 {
		w.t.Fatalf("%.300s: %s", calls, b)
	}
	for _, r := range got.R {
		out = append(out, result{r[0].(string), r[1].(object)})
	}
	return out
}

// all are all capabilities.
func all() []string {
	return slices.Compact(slices.Sorted(maps.Values(methods())))
}

// made makes a record of a method's type, and has a name stand for it.
func (w *whole) made(name, method, record string) object {
	w.t.Helper()
	got := w.calls(all(), calling(method, `"create": {"a": `+record+`}`))[0].args
	m, ok := got["created"].(object)
	if !ok {
		w.t.Fatalf("%s %s: %v", method, record, got)
	}
	w.names[name] = m["a"].(object)["id"].(string)
	return m["a"].(object)
}

// upload has a name stand for what is uploaded.
func (w *whole) upload(name, text string) {
	w.t.Helper()
	var up struct{ BlobID string }
	if b := w.send("upload/"+w.names["ACCOUNT"]+"/", "text/plain", text); json.Unmarshal(b, &up) != nil || up.BlobID == "" {
		w.t.Fatalf("%s: %s", name, b)
	}
	w.names[name] = up.BlobID
}

// furnish makes all that the cases name.
func (w *whole) furnish() {
	w.t.Helper()
	w.names["MANY"] = many(1001, `"x%"`)
	for _, b := range w.calls(all(), calling("Mailbox/get", ``))[0].args["list"].([]any) {
		if role, ok := b.(object)["role"].(string); ok {
			w.names[strings.ToUpper(role)] = b.(object)["id"].(string)
		}
	}
	w.names["IDENTITY"] = w.calls(all(), calling("Identity/get", ``))[0].args["list"].([]any)[0].(object)["id"].(string)
	w.made("PARENT", "Mailbox/set", `{"name": "parent"}`)
	w.made("CHILD", "Mailbox/set", `{"name": "child", "parentId": "PARENT"}`)
	mail := func(from, value string) string {
		return `{"mailboxIds": {"CHILD": true}, "from": [{"email": "` + from + `"}], "to": [{"email": "eve@example.test"}], "bodyValues": {"t": {"value": "` + value + `"}}, "textBody": [{"partId": "t"}]}`
	}
	w.made("MAIL", "Email/set", mail("you@example.test", "x"))
	w.made("OTHERS", "Email/set", mail("eve@example.test", "x"))
	w.made("LARGE", "Email/set", mail("you@example.test", strings.Repeat("x", 3<<20)))
	w.made("NOBODYS", "Email/set", `{"mailboxIds": {"CHILD": true}, "to": [{"email": "eve@example.test"}]}`)
	w.made("OWN", "Identity/set", `{"email": "you@example.test"}`)
	w.made("SENT", "EmailSubmission/set", `{"identityId": "IDENTITY", "emailId": "MAIL"}`)
	w.upload("LETTER", "Subject: x\r\n\r\nx\r\n")
	w.upload("EMPTY", "")
	w.upload("LONG", strings.Repeat("# long\n", 2<<20/7))
	w.upload("SIEVE", "keep;")
	w.made("SCRIPT", "SieveScript/set", `{"name": "runs", "blobId": "SIEVE"}`)
	w.made("SPARE", "SieveScript/set", `{"name": "spare", "blobId": "SIEVE"}`)
	w.calls(all(), calling("SieveScript/set", `"onSuccessActivateScript": "SCRIPT"`))
}

// JMP-1, RFC 8620 §3.6, §5: each method refuses with each error that the RFCs name for it, where that can be; and none is served that is not in the table.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := startWhole(t)
	w.furnish()
	served := methods()
	w.refuseAll(served)
	var session struct{ Capabilities map[string]any }
	req, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/jmap/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("you@example.test", "of-the-program")
	resp, err := w.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&session); err != nil {
		t.Fatal(err)
	}
	for uri := range session.Capabilities {
		if !slices.Contains(all(), uri) && uri != jmapserver.WebSocket && uri != push.Capability {
			t.Errorf("no method of %s is in the table", uri)
		}
	}
	there := map[string]bool{}
	for _, r := range refusals() {
		if served[r.method] == "" {
			t.Errorf("%s is not served", r.method)
		}
		there[r.method+" "+r.kind] = true
		w.refuses(r)
	}
	for method := range served {
		_, verb, _ := strings.Cut(method, "/")
		if served[method] == "urn:waxwing:params:jmap:travel" { // get of our own: no records with properties
			verb = "get"
		}
		for kind := range strings.FieldsSeq(named[verb] + " " + named[method]) {
			if !there[method+" "+kind] && (verb != "get" || kind == "requestTooLarge") {
				t.Errorf("%s: nothing shows %s", method, kind)
			}
		}
	}
}

// refuses makes the request of a case.
func (w *whole) refuses(r refusal) {
	w.t.Helper()
	if r.never != "" {
		return
	}
	if r.before != nil {
		defer r.before(w)()
	}
	all := w.calls(all(), r.calls)
	last := all[len(all)-1]
	if r.in == "" {
		if last.name != "error" || last.args["type"] != r.kind {
			w.t.Errorf("%s\n%.300s\nis   %.500s\nwant %s", r.method, r.calls, last.name+" "+text(last.args), r.kind)
		}
		return
	}
	not, _ := last.args[r.in].(object)
	for _, e := range not {
		if e.(object)["type"] == r.kind && (r.more == "" || e.(object)[r.more] != nil) {
			return
		}
	}
	w.t.Errorf("%s\n%.300s\nis   %.500s\nwant %s in %s, with %q", r.method, r.calls, last.name+" "+text(last.args), r.kind, r.in, r.more)
}

// refuseAll shows the errors that all methods have.
func (w *whole) refuseAll(served map[string]string) {
	w.t.Helper()
	type one struct{ method, args, kind string }
	ask := func(using []string, list []one) {
		w.t.Helper()
		for some := range slices.Chunk(list, 60) {
			calls := make([]string, len(some))
			for i, o := range some {
				calls[i] = `["` + o.method + `", {` + strings.TrimSuffix(o.args, ", ") + `}, "` + fmt.Sprint(i) + `"]`
			}
			for i, got := range w.calls(using, strings.Join(calls, ", ")) {
				if o := some[i]; got.name != "error" || got.args["type"] != o.kind {
					w.t.Errorf("%s {%s}: %s %v, want %s", o.method, o.args, got.name, got.args, o.kind)
				}
			}
		}
	}
	without := map[bool][]one{} // by whether the method is the core's
	list := []one{{"Nothing/get", "", "unknownMethod"}}
	for _, method := range slices.Sorted(maps.Keys(served)) {
		account := `"accountId": "ACCOUNT", `
		if method == "Core/echo" || strings.HasPrefix(method, "PushSubscription/") {
			account = ""
		}
		core := served[method] == jmapserver.Core
		without[core] = append(without[core], one{method, account, "unknownMethod"})
		list = append(list, one{method, account + `"#x": {"resultOf": "nothing", "name": "x", "path": "/x"}`, "invalidResultReference"},
			one{method, account + `"#x": {"resultOf": "nothing", "name": "x", "path": "/x"}, "x": 1`, "invalidArguments"})
		if method != "Core/echo" {
			list = append(list, one{method, account + `"nothing": 1`, "invalidArguments"})
		}
		if account != "" {
			list = append(list, one{method, `"accountId": "` + string(jmapserver.AccountID("eve")) + `"`, "accountNotFound"}, one{method, ``, "invalidArguments"}, one{method, `"AccountId": "ACCOUNT"`, "invalidArguments"})
		}
	}
	ask(all(), list)
	ask([]string{jmapserver.Core}, without[false])
	ask([]string{jmapserver.Mail}, without[true])
}

// heading is that of the table in docs/jmap-conformance.md.
const heading = "## Errors, method by method\n"

// TestRefusalsPage: docs/jmap-conformance.md has the table; -update writes it.
func TestRefusalsPage(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "jmap-conformance.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(page), heading)
	want := strings.TrimRight(before, "\n") + "\n\n" + heading + refusalsPage()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Error("docs/jmap-conformance.md is stale: go test ./internal/jmapserver -run TestRefusalsPage -update")
	}
}

func refusalsPage() string {
	var b strings.Builder
	b.WriteString("\nAll methods can refuse with these (RFC 8620 §3.6.2):\n\n| error | shown by |\n|---|---|\n")
	for _, c := range common {
		fmt.Fprintf(&b, "| `%s` | %s |\n", c[0], c[1])
	}
	b.WriteString("\nAnd each with those that its section names. `TestRefusals` makes each request, looks for its error, and fails where a method is served of which an error is missing here. Names in capital letters stand for ids; `MANY` are more than may be asked for at once.\n\n| method | error | provoked by, or why it cannot be |\n|---|---|---|\n")
	list := refusals()
	slices.SortStableFunc(list, func(a, b refusal) int { return strings.Compare(a.method, b.method) })
	for _, r := range list {
		why := r.never
		if why == "" {
			calls := regexp.MustCompile(`\s+`).ReplaceAllString(r.calls, " ")
			if at := strings.LastIndex(calls, `["`+r.method+`"`); at >= 0 {
				calls = calls[at:]
			}
			calls = strings.TrimSuffix(strings.TrimPrefix(calls, `["`+r.method+`", `), `, "0"]`)
			calls = strings.TrimPrefix(strings.Replace(calls, `{"accountId": "ACCOUNT"`, `{`, 1), `{, `)
			if len(calls) > 150 {
				calls = calls[:150] + "…"
			}
			why = "`" + strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(calls, "{"), "}"), "|", `\|`) + "`"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", r.method, r.kind, why)
	}
	return b.String()
}
