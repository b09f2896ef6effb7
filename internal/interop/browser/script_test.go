package browser

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// script has modules of the webmail's script on an empty page, each under its name.
func (v *visit) script(modules ...string) {
	v.t.Helper()
	for _, m := range modules {
		r := api.Build(api.BuildOptions{EntryPoints: []string{filepath.Join("..", "..", "web", "mail", "script", m+".ts")}, Bundle: true, Format: api.FormatIIFE, GlobalName: m, Target: api.ES2022, Charset: api.CharsetUTF8, LogLevel: api.LogLevelSilent})
		if len(r.Errors) > 0 {
			v.t.Fatal(r.Errors[0].Text)
		}
		value[bool](v, string(r.OutputFiles[0].Contents)+"; globalThis."+m+" = "+m+"; true")
	}
}

// is fails where an expression does not come to a value, as JSON has it.
func (v *visit) is(expression, want string) {
	v.t.Helper()
	if got := value[string](v, "JSON.stringify("+expression+")"); got != want {
		v.t.Errorf("%s\n is %s\nnot %s", expression, got, want)
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// TestScript looks at what the webmail's script decides by itself.
func TestScript(t *testing.T) {
	v := open(t, "")
	v.script("received", "search", "body", "track", "dom", "route")
	t.Run("decide", v.decides)
	t.Run("search", v.finds)
	t.Run("text", v.reads)
	t.Run("rows", v.scrolls)
	t.Run("elements", v.builds)
}

// MAIL-3: for each thing that can be known of who sent a mail, its mark and its warnings.
func (v *visit) decides(t *testing.T) {
	const mail = `{from: [{name: %s, email: %s}], replyTo: %s, "header:Received:asRaw:all": [%s]}`
	decide := func(name, from, reply, received, facts, junk string) string {
		return fmt.Sprintf(`(v => [v.tone, v.says, v.warnings.length])(received.decide(`+mail+`, {facts: %s, junk: %s}, new Set(["me@waxwing.test"])))`, quoted(name), quoted(from), reply, quoted(received), facts, junk)
	}
	dmarc := func(result, more string) string {
		return fmt.Sprintf(`{ip: "", helo: "mx.a.test", sender: "", iprev: {result: "none"}, spf: [], dmarc: [{from: "a.test", result: %q, policy: "reject", aligned_spf: true, dnssec: true}]%s}`, result, more)
	}
	const none, tls = `{ip: "", helo: "mx.a.test", sender: "", iprev: {result: "none"}, spf: null, dmarc: [{from: "a.test", result: "none", aligned_spf: false, dnssec: true}]`, " from x by y with ESMTPS (TLS1.3) id z"
	for _, c := range []struct{ what, expression, want string }{
		{"DMARC passed", decide("", "x@a.test", "null", tls, dmarc("pass", ""), "null"), `["good","Really from a.test",0]`},
		{"DMARC failed", decide("", "x@a.test", "null", tls, dmarc("fail", ""), "null"), `["bad","Probably forged: a.test does not vouch for this",0]`},
		{"a trusted forwarder", decide("", "x@a.test", "null", tls, dmarc("fail", `, trusted_by: ["l.test"]`), "null"), `["waits","Changed by l.test, which this server trusts to say where it came from",0]`},
		{"ARC of a stranger", decide("", "x@a.test", "null", tls, dmarc("fail", `, arc: {result: "pass", sets: 1, sealer: "l.test", dnssec: true}`), "null"), `["bad","Probably forged: a.test does not vouch for this",0]`},
		{"no answer in time", decide("", "x@a.test", "null", tls, dmarc("temperror", ""), "null"), `["waits","It could not be found out in time who sent this",0]`},
		{"no record, signed", decide("", "x@a.test", "null", tls, none+`, dkim: [{domain: "a.test", result: "pass", dnssec: false}]}`, "null"), `["good","Really from a.test",0]`},
		{"no record, signed by others", decide("", "x@a.test", "null", tls, none+`, dkim: [{domain: "b.test", result: "pass", dnssec: false}]}`, "null"), `["waits","Nothing proves that a.test sent this",0]`},
		{"no record, SPF of the domain", decide("", "x@a.test", "null", tls, none[:len(none)-len(`, dmarc: [{from: "a.test", result: "none", aligned_spf: false, dnssec: true}]`)]+`, spf: [{identity: "mailfrom", domain: "a.test", result: "pass", dnssec: true}]}`, "null"), `["good","Really from a.test",0]`},
		{"nothing", decide("", "x@a.test", "null", "", none+`}`, "null"), `["waits","Nothing proves that a.test sent this",0]`},
		{"a first contact", decide("", "x@a.test", "null", tls, dmarc("pass", ""), `{action: "inbox", evidence: [{reason: "first-contact", points: 1}]}`), `["good","Really from a.test",1]`},
		{"a name that is another address", decide("boss@waxwing.test", "x@a.test", "null", tls, dmarc("pass", ""), "null"), `["good","Really from a.test",1]`},
		{"replies elsewhere", decide("", "x@a.test", `[{email: "x@b.test"}]`, tls, dmarc("pass", ""), "null"), `["good","Really from a.test",1]`},
		{"nobody looked", decide("", "x@a.test", "null", "", "null", "null"), `["","Nobody looked who sent this",0]`},
		{"one's own", decide("", "ME@waxwing.test", "null", "", "null", "null"), `["","Written on this server",0]`},
	} {
		v.t = t
		t.Log(c.what)
		v.is(c.expression, c.want)
	}
	for domain, like := range map[string]bool{"waxvving.test": true, "wаxwing.test": true, "waxwlng.test": true, "wax-wing.test": true, "waxwin.test": true, "mail.waxwing.test": false, "example.test": false, "waxwing.test": false} {
		v.is(fmt.Sprintf(`received.lookalike(%q, "waxwing.test")`, domain), fmt.Sprint(like))
	}
	v.is(`received.decide({from: [{email: "a@b.test"}], "header:Received:asRaw:all": ["from x\r\n\tby y with ESMTPS (TLS1.3 REQUIRETLS)\r\n\tid z"]}, {facts: `+none+`}, junk: null}, new Set()).lines.slice(-2).map(l => l.text)`,
		`["It came encrypted (TLS 1.3).","Its sender required verified encryption all the way (REQUIRETLS)."]`)
}

// MAIL-1: what people type is what is asked for.
func (v *visit) finds(t *testing.T) {
	v.t = t
	const boxes = `[{id: "a", role: "archive", name: "Archive"}, {id: "j", role: "junk", name: "Junk"}, {id: "p", role: null, name: "My plans"}]`
	for typed, want := range map[string]string{
		`hello world`:                                   `{"operator":"AND","conditions":[{"text":"hello"},{"text":"world"},{"inMailboxOtherThan":["j"]}]}`,
		`"hello world" in:junk`:                         `{"operator":"AND","conditions":[{"text":"hello world"},{"inMailbox":"j"}]}`,
		`in:"my plans"`:                                 `{"inMailbox":"p"}`,
		`from:ann -to:bob in:archive`:                   `{"operator":"AND","conditions":[{"from":"ann"},{"operator":"NOT","conditions":[{"to":"bob"}]},{"inMailbox":"a"}]}`,
		`is:unread has:attachment larger:2M in:archive`: `{"operator":"AND","conditions":[{"notKeyword":"$seen"},{"hasAttachment":true},{"minSize":2000000},{"inMailbox":"a"}]}`,
		`http://x in:archive`:                           `{"operator":"AND","conditions":[{"text":"http://x"},{"inMailbox":"a"}]}`,
		`before:soon in:archive`:                        `{"operator":"AND","conditions":[{"text":"before:soon"},{"inMailbox":"a"}]}`,
	} {
		v.is(fmt.Sprintf(`search.filter(%s, %s)`, quoted(typed), boxes), want)
	}
	v.is(`search.terms(["", "from", "subject"].map((f, i) => search.word(f, ["a b", "x", 'say "no"'][i])).join(" "))`, `[{"field":"","value":"a b","not":false},{"field":"from","value":"x","not":false},{"field":"subject","value":"say no","not":false}]`)
}

// MAIL-2: quotes and links of plain text.
func (v *visit) reads(t *testing.T) {
	v.t = t
	v.is(`body.linesOf("a\r\n> b\n>> c\n> > d\n\n").map(l => [l.depth, l.text])`, `[[0,"a"],[1,"b"],[2,"c"],[2,"d"]]`)
	v.is(`body.written("x\n> 1\n> 2\n> 3\n> 4\ny\n-- \nme").querySelectorAll("details").length`, `2`)
	v.is(`[...body.written("see https://a.test/b_(c). or <https://d.test/>, me@e.test; javascript:alert(1) data:text/html,x").querySelectorAll("a")].map(a => a.getAttribute("href"))`, `["https://a.test/b_(c)","https://d.test/","mailto:me@e.test"]`)
	v.is(`[...body.written("<img src=x><script>1</script>").querySelectorAll("*")].map(e => e.tagName)`, `["DIV"]`)
	v.is(`body.flow("a long \nline\n> quoted \n> too\n-- \nme", false)`, `"a long line\n> quoted too\n-- \nme"`)
	v.is(`body.written("> ".repeat(5000) + "x").textContent.length > 0`, `true`)
	// What strangers write to keep a reader's browser busy: text, its end, and the name of a sender.
	for _, long := range []string{`body.written("a.".repeat(1e5))`, `body.written("a@".repeat(1e5))`, `body.written("http://" + ".".repeat(1e5) + "x")`, `body.linesOf("\n".repeat(2e5) + "x")`,
		`received.decide({from: [{name: "a@.".repeat(1e5), email: "x@a.test"}], replyTo: null}, null, new Set(["me@waxwing.test"]))`} {
		v.is(`(from => { `+long+`; return performance.now() - from < 3000 })(performance.now())`, `true`)
	}
}

// MAIL-1: a million rows are reached, each of them, and small movements are small.
func (v *visit) scrolls(t *testing.T) {
	v.t = t
	v.is(`(() => {
		const t = new track.Track(68e6, 800), bad = [];
		let bar = 0;
		for (let i = 0; i < 2000; i++) { bar += 100; if (t.scrolled(bar)) bar = t.bar; }
		if (t.top !== 200000) bad.push("2000 small steps lead to " + t.top);
		t.scrolled(t.height - 800);
		if (t.top !== 68e6 - 800) bad.push("the end is at " + t.top);
		bar = t.bar;
		for (let i = 0; i < 1000; i++) { bar = Math.max(0, bar - 100); if (t.scrolled(bar)) bar = t.bar; }
		if (t.top !== 68e6 - 800 - 100000) bad.push("back up at " + t.top);
		t.scrolled(4e6);
		if (Math.abs(t.top - 34e6) > 1e4) bad.push("the middle is at " + t.top);
		t.to(12345 * 68);
		if (t.top !== 12345 * 68 || t.offset + t.bar !== t.top) bad.push("a row is at " + t.top);
		const small = new track.Track(5000, 800);
		small.scrolled(300);
		if (small.top !== 300 || small.offset !== 0) bad.push("a short list is at " + small.top);
		return bad;
	})()`, `[]`)
}

// MAIL-2: no element is made of text, and no address runs anything.
func (v *visit) builds(t *testing.T) {
	v.t = t
	for _, bad := range []string{"javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", " javascript:alert(1)", "data:text/html,x", "vbscript:x", "//elsewhere.test/", "\\\\elsewhere.test", "https://a b", "file:///etc/passwd"} {
		v.is(fmt.Sprintf(`dom.h("a", {href: %s}).hasAttribute("href")`, quoted(bad)), `false`)
	}
	v.is(`dom.h("p", {}, "<b>x</b>", ["y", null, dom.h("i", {}, "z")]).innerHTML`, `"&lt;b&gt;x&lt;/b&gt;y<i>z</i>"`)
	v.is(`["onclick", "style", "srcdoc", "innerHTML"].filter(name => { try { dom.h("p", {[name]: "x"}); return true } catch { return false } })`, `[]`)
	v.is(`[route.parse("/mail/", ""), route.parse("/mail/box-Mx/T1", ""), route.parse("/mail/../x/<y>", "")].map(r => [r.place, r.thread])`, `[["inbox",null],["box-Mx","T1"],["x",null]]`)
	v.is(`route.write("search", "T1", new URLSearchParams({q: "a b&c"}))`, `"/mail/search/T1?q=a+b%26c"`)
}
