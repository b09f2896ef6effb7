package browser

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"waxwing/internal/delivery"
	"waxwing/internal/lab"
	"waxwing/internal/mailboxes"
	"waxwing/structure"
)

// reader is somebody who reads mail on a machine of the lab.
type reader struct {
	*visit
	m    *lab.Machine
	l    *lab.Lab
	stop func() error // ends the lab
	n    int          // mails that were put into mailboxes
}

// put puts a mail into a mailbox of the reader's.
func (r *reader) put(box, subject, body string, header ...string) {
	r.t.Helper()
	r.append(box, r.letter(subject, body, header...))
}

func (r *reader) append(box string, mails ...mailboxes.Appended) {
	r.t.Helper()
	if _, _, err := r.m.Mailboxes.Append(r.t.Context(), r.m.Account, box, mails); err != nil {
		r.t.Fatal(err)
	}
}

// letter is a mail from Ann, a minute after the one before.
func (r *reader) letter(subject, body string, header ...string) mailboxes.Appended {
	r.t.Helper()
	r.n++
	fields := append([]string{"From: Ann Example <ann@example.test>", "To: " + r.m.Address(), "Subject: " + subject, fmt.Sprintf("Message-ID: <n%d@example.test>", r.n)}, header...)
	text := strings.Join(fields, "\r\n") + "\r\n\r\n" + strings.ReplaceAll(body, "\n", "\r\n") + "\r\n"
	m, err := structure.Parse(strings.NewReader(text))
	if err != nil {
		r.t.Fatal(err)
	}
	kept, err := m.AppendBinary(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	id, refs := m.Thread()
	return mailboxes.Appended{Date: time.Date(2026, 1, 1, 0, r.n, 0, 0, time.UTC), Content: delivery.Bytes(text), MessageID: id, References: refs, Structure: kept}
}

// until waits for an expression to become true.
func (v *visit) until(what, expression string) time.Duration {
	v.t.Helper()
	begin := time.Now()
	for time.Since(begin) < 15*time.Second {
		if is, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")")); err == nil && is {
			return time.Since(begin)
		}
		time.Sleep(10 * time.Millisecond)
	}
	v.t.Fatalf("%s: %s never came true\nat %s\n%s\n%s", what, expression, value[string](v, "location.href"), value[string](v, "document.body.innerText"), strings.Join(v.said, "\n"))
	return 0
}

// row is an expression that is true where the list shows a subject.
func row(subject string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".row .subject")].some(e => e.textContent == %q)`, subject)
}

func toast(text string) string {
	return fmt.Sprintf(`document.querySelector(".notices").innerText.includes(%q)`, text)
}

func (v *visit) press(keys ...string) {
	v.t.Helper()
	for _, k := range keys {
		v.do("press "+k, chromedp.KeyEvent(k))
	}
}

// mail opens an address of the webmail, and waits for its list.
func (v *visit) mail(path string) {
	v.t.Helper()
	v.do("open "+path, chromedp.Navigate(v.base+path))
	v.until(path, `document.querySelector(".row[aria-posinset] a, .scroller .none:not([hidden])")`)
	v.quiet(path)
}

// newReader has a machine of the lab, and somebody who has logged in there.
func newReader(t *testing.T) *reader {
	v := open(t, "")
	l, err := lab.New(t.Context(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceValue(l.Close)
	t.Cleanup(func() { _ = stop() })
	v.base = strings.TrimSuffix(l.Sender.Pages(), "/")
	v.enter("/mail/", l.Sender.Account, l.Sender.Password)
	return &reader{visit: v, m: l.Sender, l: l, stop: stop}
}

// many are mails with nothing to them.
func (r *reader) many(n int) {
	r.t.Helper()
	var mails []mailboxes.Appended
	for i := range n {
		mails = append(mails, r.letter(fmt.Sprintf("number %d", i), "A mail among many."))
		if len(mails) == 500 || i == n-1 {
			r.append("INBOX", mails...)
			mails = nil
		}
	}
}

// MAIL-1: somebody reads, sorts and searches mail in a browser, by keyboard alone, with two windows open.
func TestWebmail(t *testing.T) {
	r := newReader(t)
	r.many(120)
	r.put("INBOX", "The plan", "What do you think?\nhttps://plan.example.test/a?b=c (have a look)")
	r.put("INBOX", "Re: The plan", "I like it.\n\n> What do you think?\n> one\n> two\n> three\n> four\n\n-- \nAnn", fmt.Sprintf("In-Reply-To: <n%d@example.test>", r.n), fmt.Sprintf("References: <n%d@example.test>", r.n))
	r.put("INBOX", "Hostile <script>alert(1)</script>", `<img src=x onerror=alert(1)> javascript:alert(1) <b>no</b>`)
	r.put("Archive", "Designed", `<h1>Hello</h1><img src="https://elsewhere.example.test/pixel.gif"><script>document.title = "ran"</script>`, "MIME-Version: 1.0", "Content-Type: text/html")
	r.put("INBOX", "Buy now", "Cheap!")
	r.put("INBOX", "Files", "--b\nContent-Type: text/plain\n\nSee the file.\n--b\nContent-Type: application/pdf; name=plan.pdf\nContent-Disposition: attachment; filename=plan.pdf\n\nabc\n--b--", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b")
	r.mail("/mail/")
	t.Run("read", r.reads)
	t.Run("sort", r.sorts)
	t.Run("search", r.searches)
	t.Run("live", r.hears)
	t.Run("gestures", r.gestures)
	t.Run("keyboard", r.byKeyboard)
	t.Run("at home", r.athome)
	t.Run("looks", r.sees)
	t.Run("offline", r.stays)
}

// MAIL-1: a mailbox of many mails opens at once, and fifty rows take one request.
// WAXWING_WEBMAIL_MAILS says how many there are, and has the time bounded.
func TestWebmailOfManyMails(t *testing.T) {
	r := newReader(t)
	n, err := strconv.Atoi(os.Getenv("WAXWING_WEBMAIL_MAILS"))
	timed := err == nil
	if !timed {
		n = 1500
	}
	r.many(n)
	const first = `performance.getEntriesByName("waxwing-rows")[0].startTime`
	const asked = `performance.getEntriesByType("resource").filter(e => e.name.endsWith("/jmap/api")).length`
	for range 3 { // the first reads the mailbox into memory, and the script from the server
		r.mail("/mail/inbox")
		t.Logf("%d mails: first rows after %.0f ms", n, value[float64](r.visit, first))
	}
	const each = `performance.getEntriesByType("resource").map(e => e.name.replace(/^.*\/\/[^/]*/, "") + " " + Math.round(e.startTime) + "+" + Math.round(e.duration)).join(", ")`
	t.Logf("what was loaded, when and for how long in ms: %s", value[string](r.visit, each))
	if took := value[float64](r.visit, first); timed && took > 300 {
		t.Errorf("the first rows were there after %.0f ms", took)
	}
	if got := value[int](r.visit, asked); got > 3 {
		t.Errorf("%d requests for the first rows: mailboxes, rows, addresses", got)
	}
	value[bool](r.visit, `document.querySelector(".scroller").scrollTop = document.querySelector(".scroller").scrollHeight; true`)
	r.until("the oldest mail", row("number 0"))
	before := value[int](r.visit, asked)
	value[bool](r.visit, `document.querySelector(".scroller").scrollTop = document.querySelector(".scroller").scrollHeight / 2; true`)
	r.until("the middle", fmt.Sprintf(`[...document.querySelectorAll(".row .subject")].some(e => Math.abs(e.textContent.slice(7) - %d) < 30)`, n/2))
	if got := value[int](r.visit, asked) - before; got > 2 {
		t.Errorf("%d requests for a screen", got)
	}
	if rows := value[int](r.visit, `document.querySelectorAll(".row").length`); rows > 60 {
		t.Errorf("%d rows exist", rows)
	}
	r.quiet("many mails")
}

// in has what follows be a part of that test.
func (r *reader) in(t *testing.T) {
	t.Helper()
	whole := r.visit.t
	r.visit.t = t
	t.Cleanup(func() { r.visit.t = whole })
}

// reads goes through threads by keyboard.
func (r *reader) reads(t *testing.T) {
	r.in(t)
	r.mail("/mail/inbox")
	r.has("Inbox", "124 conversations", "Files", "The plan")
	if n := value[int](r.visit, `document.querySelectorAll(".row").length`); n > 60 {
		t.Errorf("%d rows exist for a screen", n)
	}
	r.press("j", "j") // the list takes the focus with the first one
	r.press(kb.Enter)
	r.until("the mail is open", `document.querySelector(".letterpane .title")?.textContent == "Buy now"`)
	r.until("it is read", `!document.querySelector(".row.open").classList.contains("unread")`)
	r.press("j", "j")
	r.until("the thread is open", `document.querySelectorAll(".letterpane .mail").length == 2`)
	r.has("I like it.", "quoted lines", "Signature")
	if got := value[string](r.visit, `document.querySelector(".text a")?.href ?? ""`); got != "https://plan.example.test/a?b=c" {
		t.Errorf("the link leads to %q", got)
	}
	if at := value[string](r.visit, "location.pathname"); !strings.HasPrefix(at, "/mail/inbox/T") {
		t.Errorf("the thread is at %s", at)
	}
	r.press("k")
	r.until("back up", `document.querySelector(".letterpane .title")?.textContent.startsWith("Hostile")`)
	if n := value[int](r.visit, `document.querySelectorAll(".letterpane img, .letterpane b, .letterpane script").length`); n != 0 {
		t.Errorf("%d elements were made of text", n)
	}
	r.press("u")
	r.until("the list has the focus", `document.activeElement.closest(".row") && !document.querySelector(".row.open")`)
	r.do("the back button", chromedp.NavigateBack())
	r.until("the mail is there again", `document.querySelector(".letterpane .title")?.textContent.startsWith("Hostile")`)
	r.press("g", "d")
	r.until("drafts", `location.pathname == "/mail/drafts"`)
	r.press("?")
	r.until("the sheet of keys", `document.querySelector("dialog[open] kbd")`)
	r.press(kb.Escape)
	r.until("the end of the list", `!document.querySelector("dialog")`)
	r.mail("/mail/archive")
	r.press("j", kb.Enter)
	r.until("its HTML in a frame", `document.querySelector("iframe.letter") && performance.getEntriesByType("resource").some(e => e.name.endsWith("/html") && e.responseStatus == 200)`)
	r.until("what it would load", `document.querySelector(".choices").innerText.includes("elsewhere.example.test")`)
	r.mail("/mail/inbox")
	value[bool](r.visit, `document.querySelector(".scroller").scrollTop = 1e6; true`)
	r.until("the oldest mail", row("number 0"))
	r.quiet("reading")
}

// sorts moves, flags and deletes mail, and takes it back.
func (r *reader) sorts(t *testing.T) {
	r.in(t)
	r.mail("/mail/inbox")
	r.press("j", "e")
	r.until("archived", "!"+row("Files")+" && "+toast("Archived"))
	r.press("z")
	r.until("undone", row("Files")+" && "+toast("Undone"))
	r.mail("/mail/inbox")
	r.press("j", "j", "!")
	r.until("junk", "!"+row("Buy now")+" && "+toast("Junk"))
	r.mail("/mail/junk")
	r.until("it lies in Junk", row("Buy now"))
	r.press("j", "!")
	r.until("no junk", "!"+row("Buy now"))
	r.mail("/mail/inbox")
	r.until("it is back", row("Buy now"))
	r.press("j", "s")
	r.until("a flag", `document.querySelector(".row .star.on")`)
	r.press("s")
	r.until("no flag", `!document.querySelector(".row .star.on")`)
	r.press("x", "j", "x")
	r.until("two are selected", `document.querySelector(".bar").innerText.includes("2 selected")`)
	r.press("#")
	r.until("deleted", "!"+row("Files")+" && !"+row("Buy now")+" && "+toast("2 mails moved to Trash"))
	r.mail("/mail/trash")
	r.until("they lie in Trash", row("Files")+"&&"+row("Buy now"))
	r.press("j", "#")
	r.until("a question", `document.querySelector("dialog[open] .danger")`)
	r.do("yes", chromedp.Click(chromedp.CSS("dialog .danger")))
	r.until("gone for ever", `document.querySelectorAll(".row").length == 1 && `+toast("Deleted for ever"))
	r.press("j", "m")
	r.until("where to", `document.querySelector("dialog select")`)
	r.press(kb.Enter)
	r.until("moved to the first", toast("Moved to Inbox")+` && document.querySelectorAll(".row").length == 0`)
	r.quiet("sorting")
}

// searches finds by words and by fields.
func (r *reader) searches(t *testing.T) {
	r.in(t)
	r.mail("/mail/inbox")
	r.press("/")
	r.until("the line", `document.activeElement.id == "search-line"`)
	r.press(kb.Backspace, `subject:"the plan"`, kb.Enter) // DevTools let the character come after its key in any case
	r.until("found", `location.pathname == "/mail/search" && document.querySelectorAll(".row").length == 2`)
	r.has("2 mails found")
	r.press("j", kb.Enter)
	r.until("it is open", `document.querySelector(".letterpane .title")?.textContent == "The plan"`)
	r.mail("/mail/search?q=is%3Aunread+from%3Aann")
	r.has("mails found")
	r.mail("/mail/search?q=nothinghasthis")
	r.has("No mail was found")
	r.quiet("searching")
}

// hears of news: within a second, in all windows, wherever the list stands.
func (r *reader) hears(t *testing.T) {
	r.in(t)
	r.mail("/mail/inbox")
	second := tab(t, r.ctx, r.base)
	second.mail("/mail/inbox")
	time.Sleep(200 * time.Millisecond) // for the connection that waits for news
	r.put("INBOX", "News", "It has come.")
	if took := r.until("news", row("News")); took > time.Second {
		t.Errorf("a mail was seen after %v", took)
	}
	second.until("news in the other window", row("News"))
	second.press("j", "e")
	second.until("archived there", "!"+row("News"))
	r.until("and here", "!"+row("News"))

	value[bool](r.visit, `document.querySelector(".scroller").scrollTop = 40 * 68; true`)
	r.until("further down", row("number 80"))
	top := `[...document.querySelectorAll(".row")].filter(e => e.getBoundingClientRect().bottom > document.querySelector(".scroller").getBoundingClientRect().top).sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)[0].querySelector(".subject").textContent`
	before := value[string](r.visit, top)
	r.put("INBOX", "More news", "It has come too.")
	r.until("it is counted", `document.querySelector(".head .help").innerText.startsWith("124 ")`)
	if after := value[string](r.visit, top); after != before {
		t.Errorf("the list stood at %q, and stands at %q", before, after)
	}
	r.quiet("news")
}

// sees has every view examined (WEB-4).
func (r *reader) sees(t *testing.T) {
	r.in(t)
	r.mail("/mail/inbox")
	r.until("a row", row("The plan")+"||"+row("Re: The plan"))
	thread := value[string](r.visit, `[...document.querySelectorAll(".row a")].find(a => a.innerText.includes("The plan")).getAttribute("href")`)
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{400, 1280} {
			r.screen(width, theme)
			r.mail("/mail/inbox")
			r.examine("/mail/inbox", width, theme)
			r.mail(thread)
			r.until("the thread", `document.querySelectorAll(".letterpane .mail").length == 2`)
			r.examine("/mail/thread", width, theme)
		}
	}
	r.screen(1280, "light")
	r.mail("/mail/inbox")
	r.press("j", "x", "?")
	r.until("the sheet of keys", `document.querySelector("dialog[open] kbd")`)
	r.examine("/mail/keys", 1280, "light")
}

// stays shows what was loaded when the server has gone.
func (r *reader) stays(t *testing.T) {
	r.in(t)
	r.screen(1280, "light")
	r.mail("/mail/inbox")
	r.until("the page's own worker", `navigator.serviceWorker.controller`)
	r.press("j", kb.Enter)
	r.until("a mail", `document.querySelector(".letterpane .text")`)
	title := value[string](r.visit, `document.querySelector(".letterpane .title").textContent`)
	at := value[string](r.visit, `location.pathname`)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.do("open it again", chromedp.Navigate(r.base+at))
	r.until("the rows are there", row("number 119"))
	r.until("the mail is there", fmt.Sprintf(`document.querySelector(".letterpane .title")?.textContent == %q && document.querySelector(".letterpane .text")`, title))
	r.until("it says so", toast("cannot be reached"))
}

// proofs looks at what the webmail says of the lab's strangers (MAIL-3), and at what it looks like.
func (v *visit) proofs(l *lab.Lab) {
	v.t.Helper()
	v.base = strings.TrimSuffix(l.Receiver.Pages(), "/")
	v.enter("/mail/", l.Receiver.Account, l.Receiver.Password)
	for _, c := range []struct{ story, box, says string }{
		{"in-good", "inbox", "Really from in-good.test"},
		{"in-unsigned-zone", "inbox", "Really from in-unsigned-zone.test"},
		{"in-forged-quarantine", "junk", "Probably forged"},
		{"in-list-trusted", "inbox", "Changed by list.test"},
		{"in-broken", "inbox", "Really from in-broken.test"},
		{"in-no-records", "inbox", "Nothing proves that in-no-records.test sent this"},
	} {
		v.mail("/mail/search?q=in%3A" + c.box + "+from%3A" + c.story + ".test")
		v.press("j", kb.Enter)
		v.until(c.story, `document.querySelector(".proof summary")`)
		v.has(c.says)
		value[bool](v, `document.querySelector(".proof details").open = true`)
		v.has("It came encrypted (TLS 1.3)")
	}
	v.quiet("proofs")
	for _, width := range []int64{400, 1280} {
		v.screen(width, "light")
		v.examine("/mail/proof", width, "light")
	}
}
