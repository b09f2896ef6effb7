package browser

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/store"
	"waxwing/internal/verify"
)

// opened opens the mail of that subject.
func (r *reader) opened(box, subject string) {
	r.t.Helper()
	r.mail("/mail/" + box)
	r.until("the row", row(subject))
	r.mail(value[string](r.visit, fmt.Sprintf(`[...document.querySelectorAll(".row a")].find(a => [...a.querySelectorAll(".subject")].some(e => e.textContent == %q)).getAttribute("href")`, subject)))
	r.until("the mail", `document.querySelector(".letterpane .title")`)
}

// tabTo goes on with Tab until what the expression names has the focus.
func (v *visit) tabTo(what, is string) {
	v.t.Helper()
	for range 60 {
		if value[bool](v, `(e => Boolean(`+is+`))(document.activeElement)`) {
			return
		}
		v.do("tab", chromedp.KeyEvent(kb.Tab))
	}
	v.t.Fatalf("no Tab leads to %s\n%s", what, value[string](v, "document.activeElement.outerHTML.slice(0, 300)"))
}

// labelled is an expression about an element e: a button or link with that text.
func labelled(text string) string {
	return fmt.Sprintf(`(e.innerText.trim() == %q || e.getAttribute("aria-label") == %q)`, text, text)
}

// raw is the source of the newest mail of a mailbox.
func (r *reader) raw(role string) string {
	r.t.Helper()
	return value[string](r.visit, fmt.Sprintf(`fetch("/jmap/session").then(r => r.json()).then(async s => {
		const a = s.primaryAccounts["urn:ietf:params:jmap:mail"];
		const r = await (await fetch("/jmap/api", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({using: ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"], methodCalls: [
			["Mailbox/query", {accountId: a, filter: {role: %q}}, "0"]]})})).json();
		const q = await (await fetch("/jmap/api", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({using: ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"], methodCalls: [
			["Email/query", {accountId: a, filter: {inMailbox: r.methodResponses[0][1].ids[0]}, sort: [{property: "receivedAt", isAscending: false}], limit: 1}, "0"]]})})).json();
		return (await fetch("/mail/letter/" + q.methodResponses[0][1].ids[0] + "/raw")).text();
	})`, role), chromedp.EvalAwaitPromise)
}

// windows has one draft open in two windows: who saves second is told, and nothing of either is lost.
func (r *reader) windows(t *testing.T) {
	r.in(t)
	r.mail("/mail/inbox")
	r.key("c")
	r.until("the field", `document.activeElement.id == "compose-to"`)
	r.do("to the subject", chromedp.Focus(chromedp.CSS("#compose-subject")))
	r.press("Two windows")
	r.ctrl("s")
	r.until("kept", says("Draft saved"))
	second := tab(t, r.ctx, r.base)
	second.mail("/mail/drafts")
	second.until("the draft", row("Two windows"))
	second.do("open it", chromedp.Click(chromedp.CSS(".row:has([data-part=link]) .what")))
	second.until("the same draft", composing+`?.querySelector("#compose-subject").value == "Two windows"`)
	for _, w := range []struct {
		v          *visit
		text, want string
	}{{r.visit, "written in the first ", "Draft saved"}, {second, "written in the second ", "in another window"}} {
		w.v.do("to the text", chromedp.Focus(chromedp.CSS("#compose-text")))
		w.v.press(w.text)
		w.v.ctrl("s")
		w.v.until(w.want, says(w.want))
		w.v.press(kb.Escape)
		w.v.until("closed", "!"+composing)
	}
	r.mail("/mail/drafts")
	r.until("both are kept", `[...document.querySelectorAll(".row .subject")].filter(e => e.textContent == "Two windows").length == 2`)
	r.has("written in the first", "written in the second")
	second.quiet("the second window")
	r.quiet("windows")
	if n := value[int](r.visit, gone, chromedp.EvalAwaitPromise); n < 2 {
		t.Errorf("%d drafts were there", n)
	}
}

// bounces sends a mail that comes back (MAIL-6): the notice stands beside it, in plain words, with what to do.
func (r *reader) bounces(t *testing.T) {
	r.in(t)
	r.undoFor(0)
	r.mail("/mail/compose?to=somebody@nomail.test")
	r.until("the composer", composing)
	r.do("to the subject", chromedp.Focus(chromedp.CSS("#compose-subject")))
	r.press("It comes back", kb.Tab, kb.Tab, "hello")
	r.ctrl(kb.Enter)
	r.until("it is sent", toast("Sent.")+` && !document.querySelector(".composer")`)
	r.mail("/mail/inbox")
	r.until("the notice has come", row("Your message could not be delivered"))
	r.opened("sent", "It comes back")
	r.until("the notice is in the same thread", `document.querySelectorAll(".letterpane .mail").length == 2`)
	r.until("what it says", `document.querySelector('.bounce [data-action=failed][data-recipient="somebody@nomail.test"]')`)
	r.has("What became of your mail", "not delivered", "The domain says of itself that it takes no mail.", "What helps: Ask the recipient for another address.")
	if value[bool](r.visit, `[...document.querySelectorAll(".mail .original")].some(e => e.open)`) || value[int](r.visit, `document.querySelectorAll(".mail .original .body").length`) != 1 {
		t.Error("the notice is shown as it came")
	}
	r.do("begin at the top", chromedp.Focus(chromedp.CSS(".letterpane .title")))
	r.tabTo("the way to the mail", labelled("Show the mail that this is about"))
	r.press(kb.Enter)
	r.until("the mail has the focus", `document.activeElement.closest(".mail") && !document.activeElement.closest(".mail").querySelector(".original")`)
	r.has("A notice about this mail came")
	r.tabTo("the way to the notice", labelled("Show it"))
	r.press(kb.Enter)
	r.until("the notice has the focus", `document.activeElement.closest(".mail").querySelector(".original")`)
	r.looks("/mail/bounce", ".mail .original > summary")
	r.quiet("bounces")
}

// looks has the page examined as it is, in both themes and widths; what is named there is opened before.
func (r *reader) looks(name, open string) {
	r.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{400, 1280} {
			r.screen(width, theme)
			value[int](r.visit, fmt.Sprintf(`document.querySelectorAll(%q).forEach(e => e.parentElement.open = true), 0`, open))
			r.examine(name, width, theme)
		}
	}
	r.screen(1280, "light")
}

const invitation = `--b
Content-Type: text/plain

Lunch?
--b
Content-Type: text/calendar; method=REQUEST; charset=utf-8

BEGIN:VCALENDAR
VERSION:2.0
METHOD:REQUEST
BEGIN:VEVENT
UID:lunch@capable.test
SEQUENCE:3
SUMMARY:Lunch <b>together</b>
LOCATION:The Fish
DTSTART:20261201T113000Z
DTEND:20261201T123000Z
ORGANIZER;CN=Ann:mailto:ann@capable.test
ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:%s
ATTENDEE;PARTSTAT=DECLINED;CN=Eve:mailto:eve@capable.test
END:VEVENT
END:VCALENDAR
--b--`

// invited answers an invitation by keyboard (MAIL-2): what is sent is an answer as RFC 5546 and RFC 6047 have it.
func (r *reader) invited(t *testing.T) {
	r.in(t)
	r.undoFor(0)
	r.put("INBOX", "Lunch", fmt.Sprintf(invitation, r.m.Address()), "MIME-Version: 1.0", "Content-Type: multipart/alternative; boundary=b")
	r.opened("inbox", "Lunch")
	r.until("the invitation", `document.querySelector(".invited:not([hidden])")`)
	r.has("Invitation: Lunch <b>together</b>", "The Fish", "Ann <ann@capable.test>", "Eve <eve@capable.test>: declined", "Your answer goes to ann@capable.test")
	r.looks("/mail/invitation", ".invited details > summary")
	r.do("begin at the top", chromedp.Focus(chromedp.CSS(".letterpane .title")))
	r.tabTo("Perhaps", labelled("Perhaps"))
	r.press(kb.Tab, kb.Tab)
	r.until("the note", `document.activeElement.placeholder == "Add a note to your answer"`)
	r.press("If it rains")
	r.do("back", chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
	r.do("back", chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
	r.press(kb.Enter)
	r.until("it is answered", toast("You have said perhaps.")+` && document.querySelector(".invited [aria-pressed=true]")?.innerText == "Perhaps"`)
	source := r.raw("sent")
	for _, want := range []string{"Subject: Perhaps: Lunch", "To: Ann <ann@capable.test>", "text/calendar", "method=REPLY", "METHOD:REPLY", "UID:lunch@capable.test", "SEQUENCE:3", "PARTSTAT=TENTATIVE", "mailto:" + r.m.Address(), "COMMENT:If it rains", "I perhaps take part"} {
		if !strings.Contains(source, want) {
			t.Errorf("the answer lacks %q:\n%s", want, source)
		}
	}
	if strings.Contains(source, "eve@") {
		t.Errorf("the answer tells of others:\n%s", source)
	}
	// Another answer takes the place of the first, and can be taken back.
	r.undoFor(10)
	r.do("begin at the top", chromedp.Focus(chromedp.CSS(".letterpane .title")))
	r.tabTo("Decline", labelled("Decline"))
	r.press(kb.Enter)
	r.until("it is answered anew", `document.querySelector(".invited [aria-pressed=true]")?.innerText == "Decline"`)
	r.do("undo", chromedp.Click(chromedp.CSS(".toast:last-child button.plain")))
	r.until("the first answer counts again", `document.querySelector(".invited [aria-pressed=true]")?.innerText == "Perhaps"`)
	r.undoFor(0)
	r.quiet("invitation")
}

// leaver is the host of a list: it notes what is posted.
type leaver struct {
	mu     sync.Mutex
	posted []string
}

func (l *leaver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.posted = append(l.posted, r.Method+" "+r.URL.String()+" "+string(b)+r.Header.Get("Cookie"))
}

// leaverAt is one at a name of the lab.
func (r *reader) leaverAt(host string) *leaver {
	r.t.Helper()
	now := r.l.Clock.Now()
	cert, err := r.l.Issuer.Leaf(now.Add(-time.Hour), now.Add(24*time.Hour), host)
	if err != nil {
		r.t.Fatal(err)
	}
	addr := r.l.Network.Addr()
	in, err := r.l.Network.Listen(netip.AddrPortFrom(addr, 443))
	if err == nil {
		err = r.l.DNS.Add("capable.test", strings.TrimSuffix(host, ".capable.test")+" A "+addr.String())
	}
	if err != nil {
		r.t.Fatal(err)
	}
	l := &leaver{}
	s := &http.Server{Handler: l, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, Time: r.l.Clock.Now}}
	go func() { _ = s.ServeTLS(in, "", "") }()
	r.t.Cleanup(func() { _ = s.Close() })
	return l
}

// leaves leaves lists (MAIL-2): by one click where a signature vouches for it, else by a mail or a page that are shown first.
func (r *reader) leaves(t *testing.T) {
	r.in(t)
	at := r.leaverAt("leave.capable.test")
	const signed = "DKIM-Signature: v=1; a=rsa-sha256; d=capable.test; s=k; h=from:list-unsubscribe:list-unsubscribe-post; bh=AAAA; b=abcdefghAAAA"
	r.put("INBOX", "News of a list", "hello", signed, "List-Unsubscribe: <https://leave.capable.test/?who=7>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click")
	r.put("INBOX", "News by mail", "hello", "List-Unsubscribe: <mailto:out@capable.test?subject=leave%20me>")
	r.put("INBOX", "News on a page", "hello", "List-Unsubscribe: <https://leave.capable.test/page>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click")
	facts, err := json.Marshal(verify.Facts{DKIM: []verify.Signature{{Domain: dns.MustParse("capable.test"), Selector: "k", Result: dkim.Pass, Start: "abcdefgh"}}})
	if err != nil {
		t.Fatal(err)
	}
	// As if it had come from outside, where it was verified.
	if err := r.m.Store.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE mails SET facts = ? WHERE message_id = ?`, store.Blob(facts), fmt.Sprintf("n%d@example.test", r.n-2))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	press := func(subject string) {
		t.Helper()
		r.opened("inbox", subject)
		r.do("begin at the top", chromedp.Focus(chromedp.CSS(".letterpane .title")))
		r.tabTo("the way out", labelled("Unsubscribe"))
		r.press(kb.Enter)
	}
	press("News of a list")
	r.until("a question", `document.querySelector("dialog[open]")?.innerText.includes("leave.capable.test")`)
	if len(at.posted) > 0 {
		t.Error("the list was told before it was asked")
	}
	r.examine("/mail/unsubscribe", 1280, "light")
	r.tabTo("yes", `e.closest("dialog") && `+labelled("Unsubscribe"))
	r.press(kb.Enter)
	r.until("it is left", toast("was told that you leave the list")+` && document.querySelector(".leaving").innerText == "You have left this list"`)
	if got := fmt.Sprint(at.posted); got != "[POST /?who=7 List-Unsubscribe=One-Click]" {
		t.Errorf("the list was told %s", got)
	}
	press("News by mail")
	r.until("a question", `document.querySelector("dialog[open]")?.innerText.includes("out@capable.test")`)
	r.tabTo("yes", labelled("Write it"))
	r.press(kb.Enter)
	r.until("a mail to the list", composing+`?.querySelector("#compose-subject").value == "leave me" && document.querySelector(".chip")?.innerText.includes("out@capable.test")`)
	r.press(kb.Escape)
	r.until("closed", "!"+composing)
	press("News on a page")
	r.until("where it leads", `document.querySelector("dialog[open] a")?.href == "https://leave.capable.test/page"`)
	r.press(kb.Escape)
	r.until("closed", `!document.querySelector("dialog")`)
	if len(at.posted) != 1 {
		t.Errorf("the list was told %v", at.posted)
	}
	r.quiet("leaving lists")
}

// encloses shows a mail that is attached to another, all attachments as one file, a PDF, paper and source, each by keyboard (MAIL-2).
func (r *reader) encloses(t *testing.T) {
	r.in(t)
	r.put("INBOX", "A mail in a mail", "--b\nContent-Type: text/plain\n\nLook at this.\n--b\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\nFrom: Bob <bob@inside.test>\nSubject: Inside\nMIME-Version: 1.0\nContent-Type: text/html\n\n<p>the inner text</p><script>document.title = \"ran\"</script><img src=\"https://elsewhere.example.test/x\">\n"+
		"--b\nContent-Type: application/pdf; name=plan.pdf\nContent-Disposition: attachment; filename=plan.pdf\n\n%PDF\n--b--", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b")
	r.opened("inbox", "A mail in a mail")
	r.do("begin at the top", chromedp.Focus(chromedp.CSS(".letterpane .title")))
	for _, c := range []struct{ label, path, kind, has string }{
		{"Print", "/print", "text/html", "Look at this."}, {"Show the source", "/raw", "text/plain", "boundary=b"}, {"All in one zip", "/zip", "application/zip", "PK"},
	} {
		at := value[string](r.visit, fmt.Sprintf(`[...document.querySelectorAll(".letterpane a")].find(e => e.textContent == %q)?.getAttribute("href") ?? ""`, c.label))
		if !strings.HasSuffix(at, c.path) {
			t.Errorf("%s leads to %q", c.label, at)
			continue
		}
		got := value[[]string](r.visit, fmt.Sprintf(`fetch(%q).then(async r => [r.headers.get("content-type"), await r.text()])`, at), chromedp.EvalAwaitPromise)
		if !strings.HasPrefix(got[0], c.kind) || !strings.Contains(got[1], c.has) {
			t.Errorf("%s: %s, %.200s", c.label, got[0], got[1])
		}
	}
	pdf := value[[]string](r.visit, `fetch([...document.querySelectorAll(".files a")].find(a => a.innerText.includes("plan.pdf")).href).then(r => [r.headers.get("content-type"), r.headers.get("content-disposition")])`, chromedp.EvalAwaitPromise)
	if pdf[0] != "application/pdf" || !strings.HasPrefix(pdf[1], "inline") {
		t.Errorf("the PDF is given out as %v", pdf)
	}
	r.tabTo("More", labelled("More"))
	r.press(kb.Enter, kb.Tab)
	r.until("the first of it", `document.activeElement.textContent == "Print"`)
	r.tabTo("the inner mail", labelled("Show this mail"))
	r.press(kb.Enter)
	r.until("its frame", `document.querySelector("details.inner[open] iframe") && performance.getEntriesByType("resource").some(e => e.name.endsWith("/print") && e.initiatorType == "iframe" && e.responseStatus == 200)`)
	r.looks("/mail/attached", "nothing")
	if title := value[string](r.visit, "document.title"); strings.Contains(title, "ran") {
		t.Error("a script ran")
	}
	r.quiet("attached mails")
}
