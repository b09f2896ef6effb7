package email_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/email"
	"waxwing/jmap"
	"waxwing/structure"
)

// lists are the types of textBody, htmlBody and attachments of a message with a structure.
func lists(t *testing.T, structureOf string) [3]string {
	t.Helper()
	text := strings.ReplaceAll(structureOf, "\n", "\r\n")
	built, err := structure.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	m := &email.Message{Built: built, Content: delivery.Bytes(text)}
	w := &email.Wanted{Properties: []string{"textBody", "htmlBody", "attachments"}, PartProperties: []string{"partId"}}
	if fault := w.Prepare(false); fault != nil {
		t.Fatal(fault)
	}
	out := map[string]any{}
	if err := m.Facts(w, out); err != nil {
		t.Fatal(err)
	}
	var got [3]string
	for i, name := range w.Properties {
		var ids []string
		for _, p := range out[name].([]any) {
			ids = append(ids, p.(map[string]any)["partId"].(string))
		}
		got[i] = strings.Join(ids, " ")
	}
	return got
}

// node writes a multipart for lists.
func node(kind string, parts ...string) string {
	b := "b" + kind + strings.ReplaceAll(strings.Repeat("x", len(parts)), " ", "") + string(rune('a'+len(strings.Join(parts, ""))%26))
	out := "Content-Type: multipart/" + kind + "; boundary=" + b + "\n\n"
	for _, p := range parts {
		out += "--" + b + "\n" + p + "\n"
	}
	return out + "--" + b + "--\n"
}

func leaf(mediaType string, more ...string) string {
	return "Content-Type: " + mediaType + "\n" + strings.Join(more, "\n") + strings.Repeat("\n", min(len(more), 1)) + "\nx"
}

// RFC 8621 §4.1.4: its own example, and the cases that it speaks of.
func TestLists(t *testing.T) {
	t.Parallel()
	attached := "Content-Disposition: attachment"
	example := node("mixed", leaf("text/plain"), node("mixed",
		node("alternative", node("mixed", leaf("text/plain"), leaf("image/jpeg", "Content-Disposition: inline"), leaf("text/plain")),
			node("related", leaf("text/html"), leaf("image/jpeg"))), leaf("image/jpeg", attached), leaf("application/x-excel"), leaf("message/rfc822", "", "Subject: x")), leaf("text/plain"))
	for _, c := range []struct {
		text string
		want [3]string
	}{
		{leaf("text/plain"), [3]string{"1", "1", ""}},
		{leaf("text/html"), [3]string{"1", "1", ""}},
		{leaf("application/pdf"), [3]string{"", "", "1"}},
		{node("alternative", leaf("text/plain"), leaf("text/html")), [3]string{"1", "2", ""}},
		{node("alternative", leaf("text/plain")), [3]string{"1", "1", ""}},
		{node("mixed", leaf("text/plain"), leaf("image/png"), leaf("text/plain", "Content-Disposition: inline; filename=x.txt")), [3]string{"1 2", "1 2", "3"}},
		{example, [3]string{"1 2.1.1.1 2.1.1.2 2.1.1.3 3", "1 2.1.2.1 3", "2.1.1.2 2.1.2.2 2.2 2.3 2.4"}},
	} {
		if got := lists(t, c.text); got != c.want {
			t.Errorf("%s\ngot  %q\nwant %q", c.text, got, c.want)
		}
	}
}

// RFC 8621 §4.2: neither a character nor a tag is cut.
func TestTruncate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		most int
		html bool
		want string
	}{{"abc", 3, false, "abc"}, {"abc", 2, false, "ab"}, {"aé", 2, false, "a"}, {"a<b>c", 3, true, "a"}, {"a<b>c", 4, true, "a<b>"}, {"a<b>c", 3, false, "a<b"}, {"€", 2, true, ""}} {
		if got := email.Truncate(c.text, c.most, c.html); got != c.want {
			t.Errorf("%q to %d: %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

// FuzzRender: of whatever octets, each property can be written as JSON.
func FuzzRender(f *testing.F) {
	f.Add([]byte("From: =?utf-8?q?a?= <a@b>\r\nDate: x\r\nList-Help: <a b>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=x\r\nContent-Transfer-Encoding: base64\r\n\r\n!!\r\n--b--\r\n"))
	f.Add([]byte("\xff: \x00\r\n\r\n\xff"))
	w := &email.Wanted{All: true, MaxBodyValue: 10, PartProperties: []string{"partId", "size", "headers", "name", "type", "charset", "disposition", "cid", "language", "location", "header:X:asText:all"},
		Properties: []string{"messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt", "hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments", "bodyStructure", "headers",
			"header:From:asGroupedAddresses", "header:List-Help:asURLs:all", "header:Date:asDate", "header:X"}}
	if fault := w.Prepare(false); fault != nil {
		f.Fatal(fault)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		built, err := structure.Parse(strings.NewReader(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		m := &email.Message{Built: built, Content: delivery.Bytes(data), Blob: func(number string) jmap.ID { return jmap.ID("B-" + strings.ReplaceAll(number, ".", "_")) }}
		out := map[string]any{}
		if err := m.Facts(w, out); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(out)
		if err != nil || jmap.CheckIJSON(b) != nil {
			t.Fatalf("%v: %s", err, b)
		}
	})
}

// FuzzCompose: whatever a client says of a new mail, it is refused, or what is written has the header that was asked for and no other.
func FuzzCompose(f *testing.F) {
	f.Add([]byte(`{"from": [{"name": "a\r\nX: y", "email": "a@b"}], "subject": "a\nb", "header:X-A": " a\r\n b", "bodyValues": {"1": {"value": "x"}}, "textBody": [{"partId": "1"}]}`))
	f.Add([]byte(`{"bodyStructure": {"type": "multipart/mixed", "subParts": [{"blobId": "B1", "type": "message/rfc822", "name": "\u0000", "cid": "a"}]}, "bodyValues": {}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var properties map[string]json.RawMessage
		if jmap.CheckIJSON(data) != nil || json.Unmarshal(data, &properties) != nil {
			return
		}
		d := &email.Draft{Properties: properties, Max: 1 << 20, Now: time.Unix(1e9, 0), MessageID: "<a@b>", Blob: func(jmap.ID) ([]byte, string, bool, error) { return []byte("x\x00\r\n"), "text/plain", true, nil }}
		text, err := d.Compose()
		if err != nil {
			return
		}
		built, err := structure.Parse(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		head := email.ReadHeader(text[:built.Root.Body])
		known := map[string]bool{"date": true, "message-id": true, "mime-version": true, "content-type": true, "content-transfer-encoding": true, "content-disposition": true, "content-id": true, "content-language": true, "content-location": true}
		for name := range properties {
			h, ok := email.Convenient(name)
			if !ok {
				h, ok = email.ParseHeaderProperty(name)
			}
			known[strings.ToLower(h.Name)] = known[strings.ToLower(h.Name)] || ok
		}
		if strings.Contains(string(data), "header:") {
			return // parts may have fields of their own, and stand for the whole
		}
		for _, field := range head {
			if !known[strings.ToLower(field.Name)] {
				t.Fatalf("%s of %s", field.Name, data)
			}
		}
	})
}
