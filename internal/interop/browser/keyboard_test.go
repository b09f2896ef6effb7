package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// act is something that people do, with the keys that do it.
type act struct {
	says string // what the sheet of keys calls it; "": it is of no key of its own
	keys string // parted by blanks
	done string // an expression that is true then
}

// acts are all of them, one after the other, from a list of several mails.
func acts() []act {
	const at = `document.activeElement.closest(".row")?.getAttribute("aria-posinset") == %q`
	composer := func(subject string) string {
		return composing + `?.querySelector("#compose-subject").value.startsWith("` + subject + `") && document.activeElement.closest(".composer")`
	}
	box := func(role string) string { return `location.pathname == "/mail/` + role + `"` }
	closed := "!" + composing + ` && !document.querySelector("dialog")`
	undone := act{"undo", "z", toast("Undone")}
	return []act{
		{"next mail", "j", fmt.Sprintf(at, "1")}, {"", "j", fmt.Sprintf(at, "2")}, {"previous mail", "k", fmt.Sprintf(at, "1")}, {"", "ArrowDown", fmt.Sprintf(at, "2")}, {"", "ArrowUp", fmt.Sprintf(at, "1")},
		{"select", "x", `document.querySelector(".bar").innerText.includes("1 selected")`}, {"select all that are loaded", "* a", `parseInt(document.querySelector(".bar .help").innerText) > 10`}, {"back to the list", "Escape", `document.querySelector(".bar").hidden`},
		{"flag, or take the flag away", "s", `document.querySelector(".row .star.on")`}, {"", "s", `!document.querySelector(".row .star.on")`},
		{"mark as unread", "U", `document.activeElement.closest(".row").classList.contains("unread")`}, {"mark as read", "I", `!document.activeElement.closest(".row").classList.contains("unread")`},
		{"open", "o", `document.querySelector(".letterpane .title")`},
		{"reply", "r", composer("Re: ")}, {"", "Escape", closed}, {"reply to all", "a", composer("Re: ")}, {"", "Escape", closed}, {"forward", "f", composer("Fwd: ")}, {"", "Escape", closed},
		{"", "u", `!document.querySelector(".letterpane .title") && document.activeElement.closest(".row")`},
		{"write a mail", "c", composing + ` && document.activeElement.id == "compose-to"`}, {"", "Escape", closed},
		{"archive", "e", toast("Archived")}, undone, {"delete", "#", toast("Moved to Trash")}, undone, {"", "Delete", toast("Moved to Trash")}, undone, {"junk, or not junk", "!", toast("Moved to Junk")}, undone,
		{"move", "m", `document.activeElement.id == "move-to"`}, {"", "Enter", toast("Moved to")}, undone,
		{"search", "/", `document.activeElement.id == "search-line"`}, {"", "Escape", box("inbox") + ` && document.activeElement.id != "search-line"`},
		{"go to Drafts", "g d", box("drafts")}, {"go to Sent", "g s", box("sent")}, {"go to the Archive", "g a", box("archive")}, {"go to Trash", "g t", box("trash")}, {"go to the Inbox", "g i", box("inbox")},
		{"this sheet", "?", `document.querySelector("dialog[open] kbd")`},
	}
}

// byKeyboard does everything by keys alone (WEB-4, MAIL-1): what the sheet of keys lists, and what it does not is reached by Tab, with its focus seen.
func (r *reader) byKeyboard(t *testing.T) {
	r.in(t)
	r.screen(1280, "light")
	r.mail("/mail/inbox")
	var walked []string
	for _, a := range acts() {
		value[bool](r.visit, `document.querySelectorAll(".toast").forEach(e => e.remove()) ?? true`)
		for k := range strings.FieldsSeq(a.keys) {
			r.key(k)
		}
		r.until(a.says+" by "+a.keys, a.done)
		walked = append(walked, a.says)
	}
	for _, says := range value[[]string](r.visit, `[...document.querySelectorAll("dialog[open] tbody td")].map(e => e.textContent)`) {
		if !slices.Contains(walked, says) {
			t.Errorf("%q stands on the sheet of keys, and was not done", says)
		}
	}
	r.reached("dialog[open]")
	r.press(kb.Escape)
	r.until("closed", `!document.querySelector("dialog")`)
	r.opened("inbox", "Re: The plan")
	value[bool](r.visit, `document.querySelector("details.menu").open = true`)
	r.reached("body")
	r.mail("/mail/compose?to=ann@example.test")
	r.until("the composer", composing)
	value[int](r.visit, `document.querySelectorAll(".composer details").forEach(e => e.open = true), 0`)
	r.reached(".composer")
	r.press(kb.Escape)
	r.until("closed", closedComposer)
	r.quiet("keyboard")
}

const closedComposer = "!" + composing

// reached goes through all of an element by Tab: whatever can be pressed, chosen or filled in there has the focus once, and shows it. Of
// the rows of a list one has it; the keys above go from row to row.
func (v *visit) reached(root string) {
	v.t.Helper()
	const visible = `e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0 && !e.disabled`
	// An element is known by whose it is, where it leads or what it says: the page draws parts anew meanwhile, and bars fill in.
	n := value[int](v, fmt.Sprintf(`globalThis.known = e => [e.tagName, e.id, e.dataset.part, e.parentElement.dataset.address ?? e.getAttribute("href") ?? e.getAttribute("aria-label") ?? e.innerText].join(" "),
		globalThis.wanted = new Set([...document.querySelector(%q).querySelectorAll("a[href], button, summary, input, select, textarea, [contenteditable=true]")]
		.filter(%s).filter(e => !(e.closest(".row") && e.tabIndex < 0) && !e.classList.contains("hidden")).map(known)), globalThis.dull = [], wanted.size`, root, visible))
	if n == 0 {
		v.t.Fatalf("nothing in %s can be reached", root)
	}
	v.do("begin", chromedp.Focus(chromedp.CSS(root+` :is(a[href], button, summary, input, select, textarea):not([tabindex="-1"])`)))
	for i := range n + 60 { // frames and parts that scroll take a Tab too
		left := value[int](v, fmt.Sprintf(`(e => {
			if (wanted.delete(known(e)) && %d > 0) { const s = getComputedStyle(e), p = getComputedStyle(e.parentElement); if (s.outlineStyle == "none" && p.outlineStyle == "none" && e.type != "checkbox") dull.push(e.outerHTML.slice(0, 200)); }
			return wanted.size })(document.activeElement)`, i)) // a focus that a script has set need not be seen
		if left == 0 {
			break
		}
		v.do("tab", chromedp.KeyEvent(kb.Tab))
	}
	for _, e := range value[[]string](v, `[...wanted].map(s => s.slice(0, 200))`) {
		v.t.Errorf("%s: no Tab leads to %s", root, e)
	}
	for _, e := range value[[]string](v, `dull`) {
		v.t.Errorf("%s: the focus is not seen on %s", root, e)
	}
}
