package browser

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// gestures drags mail onto a mailbox, selects several at once, and completes a search (MAIL-1).
func (r *reader) gestures(t *testing.T) {
	r.in(t)
	r.screen(1280, "light")
	r.mail("/mail/inbox")
	r.until("rows", row("number 110"))
	value[bool](r.visit, `document.querySelectorAll(".toast").forEach(e => e.remove()) ?? true`)
	nth := func(n int) string { return fmt.Sprintf(`document.querySelector('.row[aria-posinset="%d"]')`, n) }
	value[bool](r.visit, nth(3)+`.querySelector("input").click() ?? true`)
	value[bool](r.visit, nth(6)+`.querySelector("input").dispatchEvent(new MouseEvent("click", {bubbles: true, shiftKey: true}))`)
	r.until("a range of four", `document.querySelector(".bar").innerText.includes("4 selected")`)
	subjects := value[[]string](r.visit, `[...document.querySelectorAll(".row.selected .subject")].map(e => e.textContent)`)
	drag := func(kind, from, onto string) {
		t.Helper()
		value[bool](r.visit, fmt.Sprintf(`(() => {
			const data = new DataTransfer(), from = %s, onto = [...document.querySelectorAll(".box")].find(e => e.innerText.startsWith(%q));
			from.dispatchEvent(new DragEvent("dragstart", {bubbles: true, dataTransfer: data}));
			if (!onto.dispatchEvent(new DragEvent("dragover", {bubbles: true, cancelable: true, dataTransfer: data}))) onto.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: data}));
			return true })()`, from, onto))
		r.until(kind, toast("Moved to "+onto)+"||"+toast("moved to "+onto))
	}
	drag("all that are selected go", nth(4)+`.querySelector("a")`, "Archive")
	r.until("they have gone", "!"+row(subjects[0])+"&& !"+row(subjects[3]))
	r.press("z")
	r.until("and come back", row(subjects[0])+"&&"+row(subjects[3]))
	value[bool](r.visit, `document.querySelectorAll(".toast").forEach(e => e.remove()) ?? true`)
	one := value[string](r.visit, nth(2)+`.querySelector(".subject").textContent`)
	drag("one that is not selected goes alone", nth(2)+`.querySelector("a")`, "Trash")
	r.until("it has gone", "!"+row(one))
	r.press("z")
	r.until("it comes back", row(one))

	r.press("/")
	r.until("the line", `document.activeElement.id == "search-line"`)
	r.press(kb.Backspace, "ann")
	r.until("people are suggested", `[...document.querySelectorAll("#search-suggestions option")].some(o => o.value == "from:ann@example.test")`)
	value[bool](r.visit, `(document.activeElement.value = "", true)`)
	r.press("in:ar")
	r.until("mailboxes are suggested", `[...document.querySelectorAll("#search-suggestions option")].some(o => o.value == "in:archive")`)
	r.press(kb.Escape)
	r.do("the fields", chromedp.Click(chromedp.CSS(`.search button[type=button]`)))
	r.until("the form", `document.querySelector("dialog[open] #by-subject")`)
	r.examine("/mail/search-fields", 1280, "light")
	r.do("a subject", chromedp.Focus(chromedp.CSS("#by-subject")), chromedp.KeyEvent("number 11"+kb.Enter))
	r.until("what it wrote", `location.search == "?q=subject%3A%22number+11%22" && document.querySelectorAll(".row[aria-posinset]").length > 0`)
	r.quiet("gestures")
}

// athome makes the webmail the browser's program for mail (MAIL-8): it can be installed, opens links to addresses, and tells of new mail
// where one has chosen that.
func (r *reader) athome(t *testing.T) {
	r.in(t)
	r.mail("/mail/compose?mailto=mailto%3Aann%40example.test%3Fsubject%3DA%2520plan%26cc%3Dbob%40example.test%26body%3Dhello%250Ayou")
	r.until("a mail to her", composing+`?.querySelector("#compose-subject").value == "A plan" && document.querySelector("#compose-text").value.startsWith("hello\nyou")`)
	if chips := value[string](r.visit, `[...document.querySelectorAll(".chip bdi")].map(e => e.textContent).join(" ")`); chips != "ann@example.test bob@example.test" {
		t.Errorf("it goes to %s", chips)
	}
	r.press(kb.Escape)
	r.until("closed", "!"+composing)
	if got := value[[]string](r.visit, `fetch(document.querySelector("link[rel=manifest]").href).then(r => r.json()).then(async m => [m.name, m.display, m.start_url, m.scope, String((await fetch(m.icons[0].src)).status)])`, chromedp.EvalAwaitPromise); strings.Join(got, " ") != "Waxwing Mail standalone /mail/ /mail/ 200" {
		t.Errorf("the manifest says %v", got)
	}
	r.mail("/mail/inbox")
	// The browser asks its user about both of these; what it is asked for is looked at in its place.
	value[bool](r.visit, `(() => {
		globalThis.told = [];
		globalThis.Notification = class { static permission = "default"; static requestPermission() { this.permission = "granted"; return Promise.resolve("granted"); } constructor(title, more) { told.push(title + " " + more.body); } };
		navigator.registerProtocolHandler = (scheme, url) => told.push(scheme + " " + new URL(url).pathname + new URL(url).search);
		Object.defineProperty(document, "hidden", {get: () => true});
		return true })()`)
	r.put("INBOX", "Nobody is told", "x")
	r.until("it is seen", row("Nobody is told"))
	r.key("?")
	r.until("the sheet", `document.querySelector("dialog[open] kbd")`)
	r.tabTo("the choice", `e.closest("label")?.innerText.includes("on the desktop")`)
	r.press(" ")
	r.tabTo("links to addresses", labelled("Open links to addresses here"))
	r.press(kb.Enter)
	r.until("both are asked for", `Notification.permission == "granted" && told[0] == "mailto /mail/compose?mailto=%s"`)
	r.press(kb.Escape)
	time.Sleep(50 * time.Millisecond)
	r.put("INBOX", "Everybody is told", "x")
	r.until("the desktop is told", `told.some(s => s.endsWith("Ann Example: Everybody is told"))`)
	if n := value[int](r.visit, `told.filter(s => s.includes("Nobody")).length`); n > 0 {
		t.Error("the desktop was told before somebody had chosen it")
	}
	value[bool](r.visit, `localStorage.removeItem("waxwing-notify") ?? true`)
	r.mail("/mail/inbox")
	r.quiet("at home")
}

// options sends later, with a delivery notice, and attaches what is dropped, pasted and large; it is asked about another identity (MAIL-4).
func (r *reader) options(t *testing.T) {
	r.in(t)
	r.undoFor(0)
	r.mail("/mail/compose?to=you@capable.test")
	r.until("the composer", composing)
	r.do("to the subject", chromedp.Focus(chromedp.CSS("#compose-subject")))
	r.press("Files of three kinds")
	bring := func(event, field, name string) string {
		return fmt.Sprintf(`(() => { const data = new DataTransfer(); data.items.add(new File(["x"], %q, {type: "text/plain"}));
			return document.querySelector("#compose-text").dispatchEvent(new %s(%q, {bubbles: true, cancelable: true, %s: data})) })()`, name, map[bool]string{true: "ClipboardEvent", false: "DragEvent"}[event == "paste"], event, field)
	}
	if value[bool](r.visit, bring("dragover", "dataTransfer", "d.txt")) || value[bool](r.visit, bring("drop", "dataTransfer", "dropped.txt")) || value[bool](r.visit, bring("paste", "clipboardData", "pasted.txt")) {
		t.Error("the browser is left to do with files what it likes")
	}
	large := filepath.Join(t.TempDir(), "large.bin")
	if err := os.WriteFile(large, bytes.Repeat([]byte("large "), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	value[bool](r.visit, `(globalThis.seen = [], new MutationObserver(() => { const p = document.querySelector(".compose-files progress"); if (p) seen.push(p.value); }).observe(document.querySelector(".compose-files"), {childList: true, subtree: true}), true)`)
	r.do("attach", chromedp.SetUploadFiles(chromedp.CSS(".compose-files input[type=file]"), []string{large}))
	r.until("all are attached", `[...document.querySelectorAll(".compose-files .file")].map(e => e.textContent).sort().join(" ") == "dropped.txt large.bin pasted.txt" && !document.querySelector(".compose-files .going")`)
	if n := value[int](r.visit, `new Set(seen).size`); n < 2 {
		t.Errorf("%d states of the upload were seen", n)
	}
	value[bool](r.visit, `document.querySelector(".composer .options").open = true`)
	r.do("a notice", chromedp.Click(chromedp.CSS("#compose-notice")))
	at := r.l.Clock.Now().Add(time.Hour)
	value[bool](r.visit, fmt.Sprintf(`(document.querySelector("#compose-later").value = %q, true)`, at.In(time.Local).Format("2006-01-02T15:04")))
	r.do("to the text", chromedp.Focus(chromedp.CSS("#compose-text")))
	r.press("See the files")
	r.ctrl(kb.Enter)
	r.until("it is sent later", toast("It is sent at")+` && !document.querySelector(".composer")`)
	r.opened("sent", "Files of three kinds")
	r.until("it waits", `document.querySelector('.travel [data-state=waiting]')`)
	r.has("It is sent at", "large.bin", "6.3 MB")
	r.quiet("sent later")

	r.mail("/mail/compose?to=" + r.m.Address())
	r.until("the composer", composing)
	r.do("to the subject", chromedp.Focus(chromedp.CSS("#compose-subject")))
	r.press("With a notice")
	value[bool](r.visit, `document.querySelector(".composer .options").open = true`)
	r.do("a notice", chromedp.Click(chromedp.CSS("#compose-notice")))
	r.do("to the text", chromedp.Focus(chromedp.CSS("#compose-text")))
	r.press("hello")
	// A notice about mail that was to go with REQUIRETLS holds nothing of it (POL-4), and so nothing by which it is found to be about it.
	value[bool](r.visit, `(s => (s.value = "follow", s.dispatchEvent(new Event("change"))))(document.querySelector("#compose-tls"))`)
	r.ctrl(kb.Enter)
	r.until("it is sent", toast("Sent."))
	r.opened("sent", "With a notice")
	r.until("the notice has come", fmt.Sprintf(`document.querySelector('.bounce [data-action=delivered][data-recipient=%q]')`, r.m.Address()))

	if err := r.m.Accounts.AddAddress(t.Context(), "second@"+r.m.Domain.ASCII(), r.m.Account); err != nil {
		t.Fatal(err)
	}
	r.put("INBOX", "To the second address", "hello", "Cc: second@"+r.m.Domain.ASCII())
	r.opened("inbox", "To the second address")
	r.key("r")
	r.until("an answer", composing)
	other := value[string](r.visit, `[...document.querySelector("#compose-from").options].find(o => !o.selected).value`)
	value[bool](r.visit, fmt.Sprintf(`(document.querySelector("#compose-from").value = %q, true)`, other))
	r.ctrl(kb.Enter)
	r.until("a question", `document.querySelector("dialog.ask[open]")?.innerText.includes("and the mail was sent to")`)
	r.do("no", chromedp.Click(chromedp.CSS("dialog.ask button[value=no]")))
	r.press(kb.Escape)
	r.until("closed", "!"+composing)
	r.quiet("options")
}
