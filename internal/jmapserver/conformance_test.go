package jmapserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"waxwing/internal/jmapserver"
	"waxwing/internal/store/storetest"
)

// must is a sentence of RFC 8620 or RFC 8621 with what shows that it is kept: method calls, and what stands in the responses, one after the other.
type must struct {
	rfc   string // number and section
	says  string
	calls string
	want  []string // a part of each response, with its name
}

// musts are walked in order, over one account with the mails and mailboxes of TestConformance.
var musts = []must{
	{"8620 §3.3", "calls are processed sequentially, and a method is unknown without its capability", `["Nothing/get", {}, "a"], ["Core/echo", {"x": 1}, "b"]`, []string{`error {"type":"unknownMethod"`, `Core/echo {"x":1}`}},
	{"8620 §3.6.2", "accountNotFound, invalidArguments", `["Email/get", {"accountId": "other", "ids": []}, "a"], ["Email/get", {"ids": []}, "b"], ["Email/get", {"accountId": "ACCOUNT", "ids": [], "nothing": 1}, "c"]`,
		[]string{`error {"type":"accountNotFound"`, `error {"type":"invalidArguments"`, `error {"type":"invalidArguments"`}},
	{"8620 §3.7", "a reference that cannot be resolved is invalidResultReference; a name given twice invalidArguments", `["Core/echo", {"#a": {"resultOf": "z", "name": "x", "path": "/a"}}, "a"], ["Core/echo", {"#a": {}, "a": 1}, "b"]`,
		[]string{`error {"type":"invalidResultReference"`, `error {"type":"invalidArguments"`}},
	{"8620 §4", "Core/echo returns its arguments", `["Core/echo", {"a": [1, null]}, "a"]`, []string{`Core/echo {"a":[1,null]}`}},
	{"8620 §5.1", "a record that is asked for twice comes once, one that is not there is in notFound, id always comes", `["Mailbox/get", {"accountId": "ACCOUNT", "ids": ["INBOX", "INBOX", "Mx"], "properties": ["role"]}, "a"]`, []string{`"list":[{"id":"INBOX","role":"inbox"}],"notFound":["Mx"]`}},
	{"8620 §5.1", "an unknown property is invalidArguments, too many ids are requestTooLarge", `["Mailbox/get", {"accountId": "ACCOUNT", "ids": [], "properties": ["x"]}, "a"], ["Mailbox/get", {"accountId": "ACCOUNT", "ids": [MANY]}, "b"]`,
		[]string{`error {"type":"invalidArguments"`, `error {"type":"requestTooLarge"`}},
	{"8620 §5.2", "maxChanges is above 0; an unknown state is cannotCalculateChanges", `["Email/changes", {"accountId": "ACCOUNT", "sinceState": "0", "maxChanges": 0}, "a"], ["Email/changes", {"accountId": "ACCOUNT", "sinceState": "zzzzzz"}, "b"]`,
		[]string{`error {"type":"invalidArguments"`, `error {"type":"cannotCalculateChanges"`}},
	{"8620 §5.3", "ifInState that is not the state is stateMismatch, and nothing is done", `["Email/set", {"accountId": "ACCOUNT", "ifInState": "x", "destroy": ["MAIL"]}, "a"], ["Email/get", {"accountId": "ACCOUNT", "ids": ["MAIL"], "properties": ["id"]}, "b"]`,
		[]string{`error {"type":"stateMismatch"`, `"list":[{"id":"MAIL"}]`}},
	{"8620 §5.3", "notFound, willDestroy, invalidPatch, invalidProperties, each for its record alone", `["Email/set", {"accountId": "ACCOUNT", "update": {"Ex": {"keywords/a": true}, "MAIL": {"keywords/a": true, "keywords": {}}}}, "a"], ["Email/set", {"accountId": "ACCOUNT", "update": {"MAIL": {"subject": "x"}}}, "b"], ["Email/set", {"accountId": "ACCOUNT", "update": {"OTHER": {"keywords/a": true}}, "destroy": ["OTHER", "OTHER"]}, "c"]`,
		[]string{`"type":"invalidPatch"`, `"properties":["subject"],"type":"invalidProperties"`, `"destroyed":["OTHER"],"newState":"STATE","notCreated":null,"notDestroyed":null,"notUpdated":{"OTHER":{"description":"it is destroyed","type":"willDestroy"}}`}},
	{"8620 §5.3", "what cannot be set may be sent as it is", `["Email/set", {"accountId": "ACCOUNT", "update": {"MAIL": {"id": "MAIL", "keywords/$flagged": true}}}, "a"]`, []string{`"updated":{"MAIL":null}`}},
	{"8620 §5.5", "an unknown condition is unsupportedFilter, an unknown property to sort by unsupportedSort, no anchor anchorNotFound, a negative limit invalidArguments", `["Email/query", {"accountId": "ACCOUNT", "filter": {"x": 1}}, "a"], ["Email/query", {"accountId": "ACCOUNT", "sort": [{"property": "x"}]}, "b"], ["Email/query", {"accountId": "ACCOUNT", "anchor": "Ex"}, "c"], ["Email/query", {"accountId": "ACCOUNT", "limit": -1}, "d"]`,
		[]string{`error {"type":"unsupportedFilter"`, `error {"type":"unsupportedSort"`, `error {"type":"anchorNotFound"`, `error {"type":"invalidArguments"`}},
	{"8620 §5.5", "an unknown collation is unsupportedSort; a position beyond the end gives nothing", `["Email/query", {"accountId": "ACCOUNT", "sort": [{"property": "subject", "collation": "x"}]}, "a"], ["Email/query", {"accountId": "ACCOUNT", "position": 99, "calculateTotal": true}, "b"]`,
		[]string{`error {"type":"unsupportedSort"`, `"ids":[],`}},
	{"8620 §5.6", "more changes than maxChanges are tooManyChanges", `["Email/query", {"accountId": "ACCOUNT", "filter": {"hasKeyword": "zzz"}}, "a"], ["Email/set", {"accountId": "ACCOUNT", "update": {"MAIL": {"keywords/zzz": true}}}, "b"], ["Email/queryChanges", {"accountId": "ACCOUNT", "filter": {"hasKeyword": "zzz"}, "#sinceQueryState": {"resultOf": "a", "name": "Email/query", "path": "/queryState"}, "maxChanges": 0}, "c"], ["Email/queryChanges", {"accountId": "ACCOUNT", "filter": {"hasKeyword": "zzz"}, "#sinceQueryState": {"resultOf": "a", "name": "Email/query", "path": "/queryState"}}, "d"]`,
		[]string{`"ids":[]`, `"updated":{"MAIL":null}`, `error {"type":"tooManyChanges"`, `"added":[{"id":"MAIL","index":0}]`}},
	{"8620 §6.3", "Blob/copy from an account that is not there is fromAccountNotFound", `["Blob/copy", {"accountId": "ACCOUNT", "fromAccountId": "other", "blobIds": []}, "a"]`, []string{`error {"type":"fromAccountNotFound"`}},
	{"8621 §2", "INBOX has its role, may not be renamed or removed, and has no parent", `["Mailbox/get", {"accountId": "ACCOUNT", "ids": ["INBOX"], "properties": ["role", "parentId", "myRights"]}, "a"]`, []string{`"mayDelete":false`}},
	{"8621 §2.5", "a mailbox with others below it is mailboxHasChild; a name that is there is invalidProperties", `["Mailbox/set", {"accountId": "ACCOUNT", "create": {"p": {"name": "p"}, "c": {"name": "c", "parentId": "#p"}, "d": {"name": "inbox"}}}, "a"], ["Mailbox/query", {"accountId": "ACCOUNT", "filter": {"name": "p", "hasAnyRole": false}}, "b"], ["Mailbox/set", {"accountId": "ACCOUNT", "#destroy": {"resultOf": "b", "name": "Mailbox/query", "path": "/ids"}}, "c"]`,
		[]string{`"type":"invalidProperties"`, `"ids":[`, `"type":"mailboxHasChild"`}},
	{"8621 §3", "a thread has its mails in the order in which they came", `["Email/get", {"accountId": "ACCOUNT", "ids": ["MAIL"], "properties": ["threadId"]}, "a"], ["Thread/get", {"accountId": "ACCOUNT", "#ids": {"resultOf": "a", "name": "Email/get", "path": "/list/*/threadId"}}, "b"]`, []string{`"threadId":`, `"emailIds":["MAIL"]`}},
	{"8621 §4.1.1", "keywords are small, a mail lies somewhere, a value of a keyword is true", `["Email/set", {"accountId": "ACCOUNT", "update": {"MAIL": {"keywords": {"$Seen": true, "ABC": true}}}}, "a"], ["Email/get", {"accountId": "ACCOUNT", "ids": ["MAIL"], "properties": ["keywords"]}, "b"], ["Email/set", {"accountId": "ACCOUNT", "update": {"MAIL": {"keywords/x": false}}}, "c"], ["Email/set", {"accountId": "ACCOUNT", "update": {"MAIL": {"mailboxIds/INBOX": null}}}, "d"]`,
		[]string{`"updated":{"MAIL":null}`, `"keywords":{"$seen":true,"abc":true}`, `"properties":["keywords"],"type":"invalidProperties"`, `"properties":["mailboxIds"],"type":"invalidProperties"`}},
	{"8621 §4.1.2", "a form that a field may not have is invalidArguments; :all is a list; a field that is not there is null", `["Email/get", {"accountId": "ACCOUNT", "ids": ["MAIL"], "properties": ["header:From:asDate"]}, "a"], ["Email/get", {"accountId": "ACCOUNT", "ids": ["MAIL"], "properties": ["header:Subject:asText:all", "header:X-No:asURLs", "header:from:asGroupedAddresses"]}, "b"]`,
		[]string{`error {"type":"invalidArguments"`, `"header:Subject:asText:all":["Grüße"],"header:X-No:asURLs":null,"header:from:asGroupedAddresses":[{"addresses":[{"email":"ann@example.org","name":"Ann Example"}],"name":null}]`}},
	{"8621 §4.2", "bodyStructure has all parts; maxBodyValueBytes cuts and says so", `["Email/get", {"accountId": "ACCOUNT", "ids": ["MAIL"], "properties": ["bodyStructure", "bodyValues"], "bodyProperties": ["type", "partId"], "fetchAllBodyValues": true, "maxBodyValueBytes": 7}, "a"]`,
		[]string{`"bodyStructure":{"partId":null,"subParts":[{"partId":"1","type":"text/plain"},{"partId":"2","type":"application/pdf"}],"type":"multipart/mixed"},"bodyValues":{"1":{"isEncodingProblem":false,"isTruncated":true,"value":"Hello "}}`}},
	{"8621 §4.4", "each condition finds what it says", `["Email/query", {"accountId": "ACCOUNT", "filter": {"operator": "AND", "conditions": [{"inMailbox": "INBOX"}, {"inMailboxOtherThan": ["ARCHIVE"]}, {"after": "2026-01-05T12:00:00Z"}, {"before": "2026-01-05T12:00:01Z"}, {"after": "0002-01-01T00:00:00Z"}, {"before": "9999-12-31T00:00:00Z"}, {"minSize": 1}, {"maxSize": 99999}, {"hasKeyword": "abc"}, {"notKeyword": "x"}, {"allInThreadHaveKeyword": "$seen"}, {"someInThreadHaveKeyword": "abc"}, {"noneInThreadHaveKeyword": "x"}, {"hasAttachment": true}, {"text": "hello"}, {"from": "ann"}, {"to": "you@example.test"}, {"subject": "grüße"}, {"body": "hello"}, {"header": ["Message-ID"]}, {"header": ["Subject", "rüß"]}]}}, "a"],
		["Email/query", {"accountId": "ACCOUNT", "filter": {"operator": "OR", "conditions": [{"inMailbox": "ARCHIVE"}, {"after": "2026-01-05T12:00:01Z"}, {"before": "2026-01-05T12:00:00Z"}, {"maxSize": 1}, {"hasKeyword": "x"}, {"hasAttachment": false}, {"from": "nobody"}, {"cc": "ann"}, {"bcc": "ann"}, {"header": ["X-No"]}, {"header": ["Subject", "x"]}]}}, "b"]`, []string{`"ids":["MAIL"]`, `"ids":[]`}},
	{"8621 §4.4.2", "each property sorts", `["Email/query", {"accountId": "ACCOUNT", "sort": [{"property": "hasKeyword", "keyword": "$flagged"}, {"property": "someInThreadHaveKeyword", "keyword": "a"}, {"property": "from"}, {"property": "to"}, {"property": "subject", "isAscending": false}, {"property": "sentAt"}, {"property": "size"}, {"property": "receivedAt"}]}, "a"], ["Email/query", {"accountId": "ACCOUNT", "sort": [{"property": "hasKeyword"}]}, "b"]`, []string{`"ids":["MAIL"]`, `error {"type":"invalidArguments"`}},
	{"8621 §4.7", "Email/copy needs two accounts", `["Email/copy", {"accountId": "ACCOUNT", "fromAccountId": "ACCOUNT", "create": {}}, "a"]`, []string{`error {"type":"invalidArguments"`}},
	{"8621 §4.8", "a blob that is not there is invalidProperties", `["Email/import", {"accountId": "ACCOUNT", "emails": {"a": {"blobId": "Ux", "mailboxIds": {"INBOX": true}}}}, "a"]`, []string{`"properties":["blobId"],"type":"invalidProperties"`}},
	{"8621 §5", "without a text to look for, snippets are null", `["SearchSnippet/get", {"accountId": "ACCOUNT", "filter": null, "emailIds": ["MAIL", "Ex"]}, "a"], ["SearchSnippet/get", {"accountId": "ACCOUNT", "filter": {"subject": "GRÜSSE"}, "emailIds": ["MAIL"]}, "b"]`,
		[]string{`"list":[{"emailId":"MAIL","preview":null,"subject":null}],"notFound":["Ex"]`, `SearchSnippet/get`}},
}

// JMP-1: each MUST of the RFCs that one request shows.
func TestConformance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	names := map[string]string{"MAIL": string(w.mail("INBOX", letter)), "OTHER": string(w.mail("INBOX", "Subject: other\n\nx\n")), "INBOX": string(w.box("INBOX")), "ARCHIVE": string(w.box("Archive"))}
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf(`"M%d"`, i)
	}
	for _, m := range musts {
		calls := strings.ReplaceAll(m.calls, "MANY", strings.Join(many, ","))
		for name, id := range names {
			calls = strings.ReplaceAll(calls, `"`+name+`"`, `"`+id+`"`)
			calls = strings.ReplaceAll(calls, "mailboxIds/"+name+`"`, "mailboxIds/"+id+`"`)
		}
		got := w.calls(calls)
		if len(got) != len(m.want) {
			t.Errorf("RFC %s, %s: %d responses", m.rfc, m.says, len(got))
			continue
		}
		for i, want := range m.want {
			is := got[i].name + " " + text(got[i].args)
			if got[i].name == "error" {
				is = fmt.Sprintf(`error {"type":%q`, got[i].args["type"])
			}
			for name, id := range names {
				want = strings.ReplaceAll(want, `"`+name+`"`, `"`+id+`"`)
			}
			if s, ok := got[i].args["newState"].(string); ok {
				want = strings.ReplaceAll(want, `"STATE"`, `"`+s+`"`)
			}
			if !strings.Contains(is, want) {
				t.Errorf("RFC %s, %s: response %d\nis   %s\nwant %s", m.rfc, m.says, i, is, want)
			}
		}
	}
}

// JMP-1, RFC 8620 §3.6.1, §6: what is wrong with a whole request, an upload or a download.
func TestRequestErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.s.Limits.SizeRequest, w.s.Limits.SizeUpload = 4000, 1000
	you := string(jmapserver.AccountID("you"))
	for _, c := range []struct {
		method, path, contentType, body string
		status                          int
		want                            string
	}{
		{"POST", "/jmap/api", "text/plain", `{}`, 400, "error:notJSON"},
		{"POST", "/jmap/api", "application/json", `{`, 400, "error:notJSON"},
		{"POST", "/jmap/api", "application/json", `{}`, 400, "error:notRequest"},
		{"POST", "/jmap/api", "application/json", `{"using": ["urn:nothing"], "methodCalls": []}`, 400, "error:unknownCapability"},
		{"POST", "/jmap/api", "application/json", strings.Repeat(" ", 5000), 400, `"limit":"maxSizeRequest"`},
		{"POST", "/jmap/api", "application/json; charset=utf-8", `{"using": [], "methodCalls": [` + strings.Repeat(`["a", {}, "b"], `, 64) + `["a", {}, "b"]]}`, 400, `"limit":"maxCallsInRequest"`},
		{"POST", "/jmap/api", "application/json", `{"using": [], "methodCalls": [], "createdIds": {"a": "b"}}`, 200, `"createdIds":{"a":"b"}`},
		{"POST", "/jmap/api", "application/json", `{"using": [], "methodCalls": [], "more": {"x": 1}}`, 200, `"methodResponses":[]`},
		{"GET", "/jmap/api", "", "", 405, ""},
		{"POST", "/jmap/upload/other/", "text/plain", "x", 404, "no such account"},
		{"POST", "/jmap/upload/" + you + "/", "text/plain", strings.Repeat("x", 1001), 413, `"limit":"maxSizeUpload"`},
		{"POST", "/jmap/upload/" + you + "/", "text/plain\x01", "x", 0, ""},
		{"GET", "/jmap/download/" + you + "/Bnothing/x", "", "", 404, "no such blob"},
		{"GET", "/jmap/download/other/Bnothing/x", "", "", 404, "no such account"},
		{"GET", "/jmap/download/" + you + "/U1-1-1-1-1-1-1/x", "", "", 404, "no such blob"},
		{"GET", "/jmap/eventsource/?ping=x", "", "", 400, "ping"},
	} {
		if c.status == 0 {
			continue // Go's client does not send it
		}
		resp, b := w.request(c.method, c.path, c.contentType, strings.NewReader(c.body))
		if resp.StatusCode != c.status || !strings.Contains(string(b), c.want) {
			t.Errorf("%s %s %.60s: %d %s", c.method, c.path, c.body, resp.StatusCode, b)
		}
	}
	for _, header := range [][2]string{{"Authorization", "Basic bm9ib2R5Om5vYm9keQ=="}, {"Authorization", ""}, {"Sec-Fetch-Site", "cross-site"}} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/.well-known/jmap", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("you", "you")
		req.Header.Set(header[0], header[1])
		resp, err := w.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if want := map[bool]int{true: 403, false: 401}[header[0] == "Sec-Fetch-Site"]; resp.StatusCode != want || want == 401 && resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%v: %d", header, resp.StatusCode)
		}
	}
}
