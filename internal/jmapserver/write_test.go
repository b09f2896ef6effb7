package jmapserver_test

import (
	"encoding/json"
	"strings"
	"testing"

	"waxwing/internal/jmapserver"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// raw is the octets of a mail.
func (w *world) octets(blob string) string {
	w.t.Helper()
	_, b := w.request("GET", "/jmap/download/"+string(jmapserver.AccountID("you"))+"/"+blob+"/x", "", nil)
	return string(b)
}

// uploaded is the id of a new blob.
func (w *world) uploaded(text string) string {
	w.t.Helper()
	_, b := w.request("POST", "/jmap/upload/"+string(jmapserver.AccountID("you"))+"/", "text/plain", strings.NewReader(text))
	var up struct{ BlobID string }
	if err := json.Unmarshal(b, &up); err != nil {
		w.t.Fatal(err)
	}
	return up.BlobID
}

// JMP-1: a mail with text, HTML, a picture of the HTML and a file is composed, read again, and imported as what it is; in all of
// this a creation id stands for what was made.
func TestCompose(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		file := w.uploaded("a file\x00 of octets")
		drafts := string(w.box("Drafts"))
		r := w.calls(`["Mailbox/set", {"accountId": "ACCOUNT", "create": {"below": {"name": "two", "parentId": "#top"}, "top": {"name": "one"}}}, "a"],
			["Email/set", {"accountId": "ACCOUNT", "create": {"m": {"mailboxIds": {"` + drafts + `": true, "#below": true}, "keywords": {"$draft": true, "$seen": true},
				"from": [{"name": "Jürgen", "email": "you@example.test"}], "to": [{"name": "A, B", "email": "ann@example.org"}], "subject": "Grüße\r\nBcc: eve@example.org",
				"header:X-Note:asText": "ü", "inReplyTo": ["1@example.org"],
				"bodyValues": {"t": {"value": "Hé\nho"}, "h": {"value": "<p>Hé</p>"}}, "textBody": [{"partId": "t", "type": "text/plain"}], "htmlBody": [{"partId": "h", "type": "text/html"}],
				"attachments": [{"blobId": "` + file + `", "type": "image/png", "cid": "pic@x", "disposition": "inline"}, {"blobId": "` + file + `", "type": "application/pdf", "name": "Plän.pdf"}]}}}, "b"],
			["Email/get", {"accountId": "ACCOUNT", "#ids": {"resultOf": "b", "name": "Email/set", "path": "/created/m/id"}}, "x"]`)
		made, ok := r[1].args["created"].(object)
		if !ok {
			t.Fatalf("%v %v", r[0].args, r[1].args)
		}
		m := made["m"].(object)
		if r[2].name != "error" { // one id is no list of ids
			t.Errorf("%s %v", r[2].name, r[2].args)
		}
		got := w.call("Email/get", `"ids": ["`+m["id"].(string)+`"], "fetchAllBodyValues": true, "properties": ["subject", "from", "to", "keywords", "inReplyTo", "bodyValues", "attachments", "header:X-Note:asText", "header:Bcc", "hasAttachment"], "bodyProperties": ["type", "name", "size", "cid", "disposition"]`)["list"].([]any)[0].(object)
		delete(got, "id")
		w.want(got, `{"subject": "Grüße  Bcc: eve@example.org", "from": [{"name": "Jürgen", "email": "you@example.test"}], "to": [{"name": "A, B", "email": "ann@example.org"}], "keywords": {"$draft": true, "$seen": true},
			"inReplyTo": ["1@example.org"], "bodyValues": {"1.1": {"value": "Hé\nho\n", "isEncodingProblem": false, "isTruncated": false}, "1.2.1": {"value": "<p>Hé</p>\n", "isEncodingProblem": false, "isTruncated": false}},
			"attachments": [{"type": "image/png", "name": null, "size": 17, "cid": "pic@x", "disposition": "inline"}, {"type": "application/pdf", "name": "Plän.pdf", "size": 17, "cid": null, "disposition": "attachment"}],
			"header:X-Note:asText": "ü", "header:Bcc": null, "hasAttachment": true}`)
		if pdf := w.octets(m["blobId"].(string) + "-2"); pdf != "a file\x00 of octets" {
			t.Errorf("the file is %q", pdf)
		}
		boxes := w.call("Mailbox/query", `"sortAsTree": true, "filter": {"hasAnyRole": false}`)["ids"].([]any)
		if len(boxes) != 2 {
			t.Errorf("mailboxes: %v", boxes)
		}
		imported := w.call("Email/import", `"emails": {"i": {"blobId": "`+m["blobId"].(string)+`", "mailboxIds": {"`+drafts+`": true}}}`)["created"].(object)["i"].(object)
		if a, b := w.octets(m["blobId"].(string)), w.octets(imported["blobId"].(string)); a != b || !strings.Contains(a, "Message-ID: <") || !strings.Contains(a, "Date: Mon, 5 Jan 2026") {
			t.Errorf("imported %q of %q", b, a)
		}
		parsed := w.call("Email/parse", `"blobIds": ["`+m["blobId"].(string)+`", "`+file+`", "nothing"], "properties": ["subject"]`)
		w.want(parsed["notFound"], `["nothing"]`)
		w.want(parsed["notParsable"], `["`+file+`"]`)
		snippets := w.call("SearchSnippet/get", `"filter": {"text": "hé"}, "emailIds": ["`+m["id"].(string)+`"]`)["list"].([]any)[0].(object)
		if s, _ := snippets["preview"].(string); !strings.HasPrefix(s, "<mark>Hé</mark>  ho") {
			t.Errorf("snippet %v", snippets)
		}
	})
}

// JMP-1: what cannot be written is refused, with the property that is at fault.
func TestComposeRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	box := `"mailboxIds": {"` + string(w.box("Drafts")) + `": true}`
	for _, c := range []struct{ mail, kind, property string }{
		{`{}`, "invalidProperties", "mailboxIds"},
		{`{"mailboxIds": {}}`, "invalidProperties", "mailboxIds"},
		{`{"mailboxIds": {"Mnone": true}}`, "invalidProperties", "mailboxIds"},
		{`{` + box + `, "keywords": {"a b": true}}`, "invalidProperties", "keywords"},
		{`{` + box + `, "headers": []}`, "invalidProperties", "headers"},
		{`{` + box + `, "header:Content-Type": " text/html"}`, "invalidProperties", "header:Content-Type"},
		{`{` + box + `, "header:X": "a\r\nBcc: eve@example.org"}`, "invalidProperties", "header:X"},
		{`{` + box + `, "from": [{"email": "a@b>\r\nX: y"}]}`, "invalidProperties", "from"},
		{`{` + box + `, "subject": "a", "header:Subject:asText": "b"}`, "invalidProperties", "header:Subject:asText"},
		{`{` + box + `, "textBody": [{"partId": "x"}]}`, "invalidProperties", "textBody"},
		{`{` + box + `, "bodyValues": {"x": {"value": "a"}}}`, "invalidProperties", "bodyValues"},
		{`{` + box + `, "bodyValues": {"x": {"value": "a"}}, "textBody": [{"partId": "x", "charset": "utf-8"}]}`, "invalidProperties", "textBody"},
		{`{` + box + `, "bodyValues": {"x": {"value": "a", "isTruncated": true}}, "textBody": [{"partId": "x"}]}`, "invalidProperties", "bodyValues"},
		{`{` + box + `, "bodyStructure": {"type": "text/plain", "partId": "x"}, "textBody": []}`, "invalidProperties", "textBody"},
		{`{` + box + `, "attachments": [{"blobId": "Unone"}]}`, "blobNotFound", ""},
		{`{` + box + `, "attachments": [{"blobId": "Unone", "header:Content-Transfer-Encoding": " 8bit"}]}`, "invalidProperties", "attachments"},
		{`{` + box + `, "bodyValues": {"x": {"value": "a"}, "y": {"value": "b"}}, "textBody": [{"partId": "x"}, {"partId": "y"}]}`, "invalidProperties", "textBody"},
		{`{` + box + `, "bodyValues": {"x": {"value": "a"}}, "textBody": [{"partId": "x", "type": "text/html"}]}`, "invalidProperties", "textBody"},
		{`{` + box + `, "bodyValues": {"x": {"value": "a"}}, "htmlBody": [{"partId": "x", "type": "text/plain"}]}`, "invalidProperties", "htmlBody"},
		{`{` + box + `, "bodyValues": {"x": {"value": "a"}}, "textBody": [{"partId": "x", "size": 1}]}`, "invalidProperties", "textBody"},
		{`{` + box + `, "header:From:asDate": "2026-01-05T12:00:00Z"}`, "invalidProperties", "header:From:asDate"},
		{`{` + box + `, "subject": "a", "bodyValues": {"x": {"value": "a"}}, "bodyStructure": {"type": "text/plain", "partId": "x", "header:Subject": " b"}}`, "invalidProperties", "bodyStructure"},
		{`{` + box + `, "bodyStructure": {"type": "multipart/mixed"}}`, "invalidProperties", "bodyStructure"},
	} {
		got := w.call("Email/set", `"create": {"m": `+c.mail+`}`)
		not, _ := got["notCreated"].(object)
		e, _ := not["m"].(object)
		properties, _ := e["properties"].([]any)
		if e["type"] != c.kind || c.property != "" && (len(properties) == 0 || properties[0] != c.property) {
			t.Errorf("%s: %v", c.mail, got)
		}
	}
}

// JMP-1: mailboxes are made, renamed, moved and removed, and what must not be is refused.
func TestMailboxSet(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		inbox := string(w.box("INBOX"))
		before := w.call("Mailbox/get", `"ids": []`)["state"].(string)
		made := w.call("Mailbox/set", `"create": {"a": {"name": "a"}, "b": {"name": "b", "parentId": "#a", "isSubscribed": true}, "x": {"name": "x", "parentId": "#y"}, "c": {"name": "c/d"}}`)
		a, b := made["created"].(object)["a"].(object)["id"].(string), made["created"].(object)["b"].(object)["id"].(string)
		if not := made["notCreated"].(object); len(not) != 2 {
			t.Errorf("not created: %v", not)
		}
		w.want(w.call("Mailbox/changes", `"sinceState": "`+before+`"`)["destroyed"], `[]`)
		got := w.call("Mailbox/set", `"update": {"`+b+`": {"name": "B", "parentId": null}, "`+inbox+`": {"name": "x"}, "`+a+`": {"role": "sent"}, "Mnone": {"name": "y"}}, "destroy": ["`+inbox+`"]`)
		w.want(got["updated"], `{"`+b+`": null}`)
		if len(got["notUpdated"].(object)) != 3 || len(got["notDestroyed"].(object)) != 1 {
			t.Errorf("%v", got)
		}
		w.mail("B", letter)
		got = w.call("Mailbox/set", `"destroy": ["`+b+`", "`+a+`"]`)
		w.want(got["destroyed"], `["`+a+`"]`)
		w.want(got["notDestroyed"].(object)[b].(object)["type"], `"mailboxHasEmail"`)
		w.want(w.call("Mailbox/set", `"destroy": ["`+b+`"], "onDestroyRemoveEmails": true`)["destroyed"], `["`+b+`"]`)
		w.want(w.call("Email/query", ``)["ids"], `[]`)
	})
}
