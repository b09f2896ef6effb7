package browser

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"waxwing/dns"
	"waxwing/internal/lab"
)

// newWriter has a machine of the lab, two domains to which it can write, and somebody who has logged in there.
func newWriter(t *testing.T) *reader {
	v := open(t, "")
	l, err := lab.New(t.Context(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for name, p := range map[string]lab.Publish{
		"capable.test": {Zone: dns.Secure, Hosts: []lab.Host{{TLSA: lab.EEMatch, RequireTLS: true}}},
		"plain.test":   {Hosts: []lab.Host{{}}},
		"nomail.test":  {NullMX: true},
	} {
		if _, err := l.Publish(t.Context(), dns.MustParse(name), p, ""); err != nil {
			t.Fatal(err)
		}
	}
	v.base = strings.TrimSuffix(l.Sender.Pages(), "/")
	v.enter("/mail/", l.Sender.Account, l.Sender.Password)
	r := &reader{visit: v, m: l.Sender, l: l, stop: l.Close}
	r.put("INBOX", "The plan", "What do you think?\nhttps://plan.example.test/")
	r.put("INBOX", "Files", "--b\nContent-Type: text/plain\n\nSee the file.\n--b\nContent-Type: application/pdf; name=plan.pdf\nContent-Disposition: attachment; filename=plan.pdf\n\nabc\n--b--", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b")
	return r
}

// ctrl presses a key with Ctrl.
func (v *visit) ctrl(key string) {
	v.t.Helper()
	v.do("press Ctrl+"+key, chromedp.KeyEvent(key, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}

// says is an expression that is true where the composer says something below.
func says(text string) string {
	return fmt.Sprintf(`document.querySelector(".composer .foot").innerText.includes(%q)`, text)
}

// key presses a single key without the character that it writes: it belongs to no field.
func (v *visit) key(key string) {
	v.t.Helper()
	value[bool](v, fmt.Sprintf(`(document.activeElement ?? document.body).dispatchEvent(new KeyboardEvent("keydown", {key: %q, bubbles: true, cancelable: true})) || true`, key))
}

const composing = `document.querySelector(".composer")`

// undo sets the time to undo sending.
func (v *visit) undoFor(seconds int) {
	v.t.Helper()
	value[bool](v, fmt.Sprintf(`localStorage.setItem("waxwing-undo", "%d"); true`, seconds))
}

// MAIL-4, MAIL-5, MAIL-6: somebody writes, answers, hands on, takes back and sends mail by keyboard, sees how it will travel
// while writing, and how it travelled.
func TestCompose(t *testing.T) {
	r := newWriter(t)
	r.mail("/mail/inbox")
	t.Run("draft", r.drafts)
	t.Run("send", r.sends)
	t.Run("answer", r.answers)
	t.Run("conflict", r.conflicts)
	t.Run("windows", r.windows)
	t.Run("options", r.options)
	t.Run("bounce", r.bounces)
	t.Run("invitation", r.invited)
	t.Run("leave", r.leaves)
	t.Run("attached", r.encloses)
	t.Run("looks", r.composed)
}

// drafts writes a mail with an attachment, sends it and takes it back.
func (r *reader) drafts(t *testing.T) {
	r.in(t)
	r.undoFor(10)
	r.key("c")
	r.until("the field of addresses", `document.activeElement.id == "compose-to"`)
	r.press("you@capable.test", kb.Enter)
	if took := r.until("five bars, known or not", `document.querySelectorAll(".secrow .secbar").length == 5`); took > 100*time.Millisecond {
		t.Logf("the bars were seen after %v", took)
	}
	r.until("the look-up is whole", `document.querySelector('.secrow[data-whole=true] .secbar:nth-child(4).ok')`)
	r.has("The mail will only be handed to the right host")
	r.press(kb.Tab, kb.Tab)
	r.until("the subject", `document.activeElement.id == "compose-subject"`)
	r.press("A file for you", kb.Tab, kb.Tab)
	r.until("the text", `document.activeElement.id == "compose-text"`)
	r.press("The file is attached.")
	r.ctrl("s")
	r.until("the draft is kept", says("Draft saved"))
	r.ctrl(kb.Enter)
	r.until("a question about the attachment", `document.querySelector("dialog.ask[open]")`)
	r.has("there is none")
	r.do("go on", chromedp.Click(chromedp.CSS("dialog.ask button[value=no]")))
	file := filepath.Join(t.TempDir(), "plan.txt")
	if err := os.WriteFile(file, []byte("the plan"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.do("attach", chromedp.SetUploadFiles(chromedp.CSS(".compose-files input[type=file]"), []string{file}))
	r.until("it is attached", `document.querySelector(".compose-files .file")?.innerText == "plan.txt" && !document.querySelector(".compose-files .going")`)
	r.do("to the text", chromedp.Focus(chromedp.CSS("#compose-text")))
	r.ctrl(kb.Enter)
	r.until("it is sent in ten seconds", toast("sent in 10 seconds"))
	r.do("undo", chromedp.Click(chromedp.CSS(".toast button")))
	r.until("it is a draft again", composing+`?.querySelector("#compose-subject").value == "A file for you" && document.querySelector(".compose-files .file")?.innerText == "plan.txt"`)
	if got := value[string](r.visit, `document.querySelector("#compose-text").value`); got != "The file is attached." {
		t.Errorf("the text is %q", got)
	}
	r.quiet("drafts")
}

// sends sends it, and sees how it travelled.
func (r *reader) sends(t *testing.T) {
	r.in(t)
	r.undoFor(0)
	r.do("to the text", chromedp.Focus(chromedp.CSS("#compose-text")))
	r.ctrl(kb.Enter)
	r.until("it is sent", toast("Sent.")+` && !document.querySelector(".composer")`)
	r.do("where it is", chromedp.Click(chromedp.CSS(".toast:last-child button")))
	r.until("it is delivered", `document.querySelector('.travel [data-state=delivered]')`)
	r.has("Handed to", "TLS 1.3", "verified by DANE", "plan.txt")
	if words := value[[]string](r.visit, `[...document.querySelectorAll(".travel [data-word]")].map(e => e.textContent)`); len(words) == 0 {
		t.Error("the proof has no basis")
	}
	r.mail("/mail/drafts")
	if n := value[int](r.visit, `document.querySelectorAll(".row").length`); n != 0 {
		t.Errorf("%d drafts are left", n)
	}
	if err := r.m.Posture.Flush(t.Context()); err != nil { // what was seen is written down after a while
		t.Fatal(err)
	}
	// What was seen of the host is known now: it can REQUIRETLS, and that is chosen by itself; until somebody joins who cannot.
	r.key("c")
	r.until("the field", `document.activeElement.id == "compose-to"`)
	r.press("cap")
	r.until("the address is completed", `document.querySelector(".found:not([hidden]) li")?.innerText == "you@capable.test"`)
	r.press(kb.ArrowDown, kb.Enter)
	r.until("REQUIRETLS by itself", `document.querySelector("#compose-tls").value == "require"`)
	r.has("All recipients can do it")
	r.press("you@plain.test,")
	r.until("not any more", `document.querySelectorAll(".secrow[data-whole=true]").length == 2 && document.querySelector("#compose-tls").value == "follow"`)
	r.has("somebody in the network could prevent that")
	r.press(kb.Escape)
	r.until("closed", "!"+composing)
	r.quiet("sends")
}

// answers answers and hands on.
func (r *reader) answers(t *testing.T) {
	r.in(t)
	open := func(subject string) {
		t.Helper()
		r.mail("/mail/inbox")
		r.mail(value[string](r.visit, fmt.Sprintf(`[...document.querySelectorAll(".row a")].find(a => a.innerText.includes(%q)).getAttribute("href")`, subject)))
		r.until("the mail", `document.querySelector(".letterpane .title")`)
	}
	open("The plan")
	r.key("r")
	r.until("an answer", composing+`?.querySelector("#compose-subject").value == "Re: The plan"`)
	text := value[string](r.visit, `document.querySelector("#compose-text").value`)
	if !strings.Contains(text, "Ann Example wrote:\n> What do you think?\n> https://plan.example.test/") {
		t.Errorf("the quote is %q", text)
	}
	if to := value[string](r.visit, `document.querySelector(".chip").innerText`); !strings.Contains(to, "ann@example.test") {
		t.Errorf("it goes to %s", to)
	}
	r.press("I like it.")
	r.press(kb.Escape)
	r.until("closed", "!"+composing)
	r.mail("/mail/drafts")
	r.until("the draft is there", row("Re: The plan"))
	open("Files")
	r.key("f")
	r.until("a mail to hand on", composing+`?.querySelector("#compose-subject").value == "Fwd: Files" && document.querySelector(".compose-files .file")?.innerText == "plan.pdf"`)
	r.press(kb.Escape)
	r.until("closed", "!"+composing)
	r.quiet("answers")
}

// gone destroys all drafts behind the page's back, as another window does that saves or discards them.
const gone = `fetch("/jmap/session").then(r => r.json()).then(s => s.primaryAccounts["urn:ietf:params:jmap:mail"]).then(a => fetch("/jmap/api", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({
	using: ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"], methodCalls: [["Email/query", {accountId: a, filter: {hasKeyword: "$draft"}}, "0"], ["Email/set", {accountId: a, "#destroy": {resultOf: "0", name: "Email/query", path: "/ids"}}, "1"]]})}))
	.then(r => r.json()).then(j => j.methodResponses[1][1].destroyed.length)`

// conflicts writes on a draft that another window has taken away meanwhile.
func (r *reader) conflicts(t *testing.T) {
	r.in(t)
	r.mail("/mail/inbox")
	r.key("c")
	r.until("the field", `document.activeElement.id == "compose-to"`)
	r.do("to the text", chromedp.Focus(chromedp.CSS("#compose-text")))
	r.press("first words")
	r.ctrl("s")
	r.until("kept", says("Draft saved"))
	if n := value[int](r.visit, gone, chromedp.EvalAwaitPromise); n == 0 {
		t.Error("there was no draft")
	}
	r.do("to the text", chromedp.Focus(chromedp.CSS("#compose-text")))
	r.press("more words ")
	r.ctrl("s")
	r.until("a conflict is seen", says("in another window"))
	r.press(kb.Escape)
	r.until("closed", "!"+composing)
	r.mail("/mail/drafts")
	if n := value[int](r.visit, `document.querySelectorAll(".row[aria-posinset] a").length`); n != 1 {
		t.Errorf("%d drafts are left", n)
	}
	r.quiet("conflicts")
}

// composed has the composer examined (WEB-4).
func (r *reader) composed(t *testing.T) {
	r.in(t)
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{400, 1280} {
			r.screen(width, theme)
			r.mail("/mail/compose?to=you@capable.test")
			r.until("the bars", `document.querySelector(".secrow[data-whole=true]")`)
			value[bool](r.visit, `document.querySelector(".secrow").open = true`)
			r.examine("/mail/compose", width, theme)
		}
	}
}
