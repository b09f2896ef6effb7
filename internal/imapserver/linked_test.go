package imapserver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"waxwing/internal/store/storetest"
)

// IMP-2, CONTEXT=SORT: the result of a SORT is kept up to date, with the place of each message.
func TestSortUpdate(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		c, other := w.login(), w.login()
		for _, subject := range []string{"d", "b", "f", "h"} {
			other.append("INBOX", strings.Replace(hello, "hello", subject, 1))
		}
		c.ok("SELECT INBOX")
		has(t, c.ok("UID SORT RETURN (UPDATE ALL) (REVERSE SUBJECT) utf-8 UNSEEN"), `* ESEARCH (TAG "a3") UID ALL 4,3,1:2`)
		for _, subject := range []string{"e", "i", "a"} {
			other.append("INBOX", strings.Replace(hello, "hello", subject, 1))
		}
		has(t, c.ok("NOOP"), "* 7 EXISTS", `* ESEARCH (TAG "a3") UID ADDTO (3 5 1 6 7 7)`) // h f e d b, i h f e d b, i h f e d b a
		other.ok("SELECT INBOX")
		other.ok(`STORE 3,6 +FLAGS \Seen`)
		has(t, c.ok("NOOP"), `* ESEARCH (TAG "a3") UID REMOVEFROM (3 3 1 6)`)
		other.ok(`STORE 5,3 +FLAGS \Deleted`)
		other.ok("EXPUNGE")
		has(t, c.ok("NOOP"), `* ESEARCH (TAG "a3") UID REMOVEFROM (2 5)`, "* 3 EXPUNGE\n* 4 EXPUNGE") // h e d b a: e goes
		other.ok(`UID STORE 6 -FLAGS \Seen`)
		has(t, c.ok("NOOP"), `* ESEARCH (TAG "a3") UID ADDTO (1 6)`)
		c.ok(`CANCELUPDATE "a3"`)
		c.expect("BAD", `CANCELUPDATE "a3"`)
		other.ok(`UID STORE 6 +FLAGS \Seen`)
		if got := strings.Join(c.ok("NOOP"), "\n"); strings.Contains(got, "ESEARCH") {
			t.Errorf("cancelled: %s", got)
		}
		c.ok("SEARCH RETURN (SAVE) ALL")
		has(t, c.ok("SEARCH RETURN (UPDATE COUNT) 1:2"), "COUNT 2", "* NO [NOUPDATE ")
		for range 10 {
			c.ok("SEARCH RETURN (UPDATE) UNSEEN")
		}
		has(t, c.ok("SEARCH RETURN (UPDATE) SEEN"), "* NO [NOUPDATE ")
	})
}

// IMP-2, CATENATE and URLAUTH: what may be read by a URL, and what becomes of a command with one that may not.
func TestURLs(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		w.account("ann")
		c, ann := w.login(), w.dial()
		ann.ok("LOGIN ann secret")
		c.append("INBOX", hello)
		ann.append("INBOX", strings.Replace(hello, "how are you?", "private", 1))

		c.ok(`APPEND INBOX CATENATE (URL "/INBOX/;UID=1/;SECTION=HEADER.FIELDS%20(from%20to)" TEXT {8+}` + "\r\nwe are:\n" + ` URL "imap://joe@IMAP.example.test:143/INBOX/;UID=1/;PARTIAL=0.4")`)
		c.ok("SELECT INBOX")
		has(t, c.ok("FETCH 2 BODY[]"), "From: Joe <joe@example.net>\r\nTo: ann@example.com\r\n\r\nwe are:\r\nFrom")
		for _, url := range []string{
			"imap://ann@imap.example.test/INBOX/;UID=1", "/INBOX/;UID=9", "/Nowhere/;UID=1", "/INBOX;UIDVALIDITY=1/;UID=1", "/INBOX/;UID=1/;SECTION=7", "nonsense",
			"imap://joe@imap.example.test/INBOX/;UID=1;URLAUTH=authuser:internal:0100", "imap://joe@other.example.test/INBOX/;UID=1",
		} {
			for _, form := range []string{`(URL "%s" TEXT {3+}` + "\r\nabc)", `(TEXT {3+}` + "\r\nabc" + ` URL "%s")`, `(URL "%s") {3+}` + "\r\nabc"} {
				if _, tagged := c.do("APPEND INBOX CATENATE " + fmt.Sprintf(form, url)); !strings.HasPrefix(tagged, "NO [BADURL \""+url) {
					t.Errorf("%s: %s", url, tagged)
				}
			}
		}
		// A client that waits to be asked for what comes after a bad URL is answered instead.
		c.send("x1 APPEND INBOX CATENATE (URL \"/INBOX/;UID=9\" TEXT {3}\r\n")
		if l := c.line(); !strings.HasPrefix(l, "x1 NO [BADURL") {
			t.Error(l)
		}
		c.expect("BAD", `APPEND INBOX CATENATE (FILE "x")`)
		c.expect("BAD", `APPEND INBOX CATENATE ()`)
		c.expect("NO", `APPEND INBOX CATENATE (TEXT {0+}`+"\r\n)")

		gen := func(url string) string {
			t.Helper()
			l := c.ok(`GENURLAUTH "` + url + `" INTERNAL`)[0]
			return strings.Trim(strings.TrimPrefix(l, "* GENURLAUTH "), `"`)
		}
		fetch := func(c *client, url string) string {
			t.Helper()
			return strings.TrimPrefix(c.ok(`URLFETCH "` + url + `"`)[0], `* URLFETCH "`+url+`" `)
		}
		text := "imap://joe@imap.example.test/INBOX/;UID=1/;SECTION=TEXT;URLAUTH="
		forAnn, forJoe, forAll, submit := gen(text+"user+ann"), gen(text+"user+joe"), gen(text+"authuser"), gen(text+"submit+ann")
		const body = "{14}\r\nhow are you?\r\n"
		for url, want := range map[string]string{
			forAnn: body, forJoe: "NIL", forAll: body, submit: "NIL", text + "authuser": "NIL", strings.Replace(forAnn, "UID=1", "UID=2", 1): "NIL",
			strings.Replace(forAll, "authuser", "anonymous", 1): "NIL", "imap://joe@imap.example.test/INBOX/;UID=1": "NIL", "rubbish": "NIL",
		} {
			if got := fetch(ann, url); got != want {
				t.Errorf("ann fetches %s: %q, want %q", url, got, want)
			}
		}
		soon := gen(strings.Replace(text, ";URLAUTH", ";EXPIRE="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+";URLAUTH", 1) + "authuser")
		past := gen(strings.Replace(text, ";URLAUTH", ";EXPIRE=2001-01-01T00:00:00Z;URLAUTH", 1) + "authuser")
		if got := fetch(ann, soon) + fetch(ann, past); got != body+"NIL" {
			t.Errorf("with a time: %q", got)
		}
		ann.ok(`APPEND INBOX CATENATE (URL "` + strings.Replace(forAnn, "SECTION=TEXT", "SECTION=TEXT", 1) + `")`)
		c.expect("NO", `GENURLAUTH "imap://ann@imap.example.test/INBOX/;UID=1;URLAUTH=authuser" INTERNAL`)
		c.expect("NO", `GENURLAUTH "imap://joe@imap.example.test/Nowhere/;UID=1;URLAUTH=authuser" INTERNAL`)
		c.expect("BAD", `GENURLAUTH "/INBOX/;UID=1;URLAUTH=authuser" INTERNAL`)
		c.expect("BAD", `GENURLAUTH "imap://joe@imap.example.test/INBOX/;UID=1" INTERNAL`)
		c.expect("BAD", `GENURLAUTH "`+text+`authuser" XSAMPLE`)
		has(t, []string{second(c.do("RESETKEY INBOX"))}, "OK [URLMECH INTERNAL]")
		if got := fetch(ann, forAnn); got != "NIL" {
			t.Errorf("after RESETKEY: %q", got)
		}
		again := gen(text + "user+ann")
		c.ok("RESETKEY")
		if got := fetch(ann, again); got != "NIL" {
			t.Errorf("after RESETKEY of all: %q", got)
		}
		c.expect("NO", "RESETKEY Nowhere")
	})
}

// IMP-2: what is switched off is not announced, and its commands and options are unknown.
func TestDisabledExtensions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	w.srv.Disable = []string{"CATENATE", "URLAUTH", "CONTEXT=SEARCH", "CONTEXT=SORT", "ESORT"}
	c := w.login()
	for _, word := range w.srv.Disable {
		if l := c.ok("CAPABILITY")[0] + " "; strings.Contains(l, " "+word+" ") {
			t.Errorf("%s is announced: %s", word, l)
		}
	}
	c.ok("SELECT INBOX")
	for _, command := range []string{
		"APPEND INBOX CATENATE (TEXT {3+}\r\nabc)", "RESETKEY", `URLFETCH "imap://a"`, `GENURLAUTH "imap://a" INTERNAL`, `CANCELUPDATE "a1"`,
		"SEARCH RETURN (UPDATE) ALL", "SORT RETURN (COUNT) (DATE) utf-8 ALL",
	} {
		c.expect("BAD", command)
	}
}

// IMP-2: what one account is not offered, others are.
func TestDisabledForAnAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	w.srv.Disable = []string{"URLAUTH"}
	w.srv.DisableFor = func(_ context.Context, name string) []string {
		return map[string][]string{"joe": {"MOVE", "COMPRESS=DEFLATE"}}[name]
	}
	c := w.login()
	if l := c.ok("CAPABILITY")[0] + " "; strings.Contains(l, " MOVE ") || strings.Contains(l, " COMPRESS=DEFLATE ") || strings.Contains(l, " URLAUTH ") || !strings.Contains(l, " IDLE ") {
		t.Errorf("joe is offered %s", l)
	}
	c.ok("SELECT INBOX")
	c.expect("BAD", "MOVE 1 Trash")
	c.expect("BAD", "COMPRESS DEFLATE")
	w.srv.DisableFor = func(context.Context, string) []string { return nil }
	if l := w.login().ok("CAPABILITY")[0] + " "; !strings.Contains(l, " MOVE ") || strings.Contains(l, " URLAUTH ") {
		t.Errorf("another is offered %s", l)
	}
}
