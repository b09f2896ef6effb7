package htmlmail

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"waxwing/internal/htmlmail/hostile"
)

var english = Words{Quoted: "quoted text", Lies: "its text named"}

func shown(source string) Document { return Clean(source, Options{Words: english}) }

// harmless says what is wrong with HTML that was made fit to be shown, as browsers read it with scripts and without. It knows
// nothing of how that was made.
func harmless(document string, remote bool) error {
	for _, scripting := range []bool{true, false} {
		root, err := html.ParseWithOptions(strings.NewReader(document), html.ParseOptionEnableScripting(scripting))
		if err != nil {
			return err
		}
		for n := range root.Descendants() {
			if n.Type == html.CommentNode || n.Type == html.ElementNode && n.Namespace != "" {
				return fmt.Errorf("%s %q stands in it", n.Namespace, n.Data)
			}
			if n.Type != html.ElementNode {
				continue
			}
			switch n.Data {
			case "script", "style", "iframe", "object", "embed", "link", "meta", "base", "form", "input", "button", "svg", "math", "video", "audio", "template", "noscript", "title":
				return fmt.Errorf("<%s> stands in it", n.Data)
			}
			for _, a := range n.Attr {
				if err := attributeHarmless(n.Data, a, remote); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

var (
	scheme  = regexp.MustCompile(`^(?:https?://[^\s\\]|mailto:|tel:|#)`)
	dataURL = regexp.MustCompile(`^data:image/(gif|png|jpeg|webp);base64,`)
)

func attributeHarmless(element string, a html.Attribute, remote bool) error {
	switch v := strings.ToLower(a.Val); {
	case strings.HasPrefix(a.Key, "on"), a.Key == "srcset", a.Key == "ping", a.Key == "background", a.Key == "srcdoc", a.Key == "action", a.Key == "formaction", a.Key == "cite", a.Namespace != "":
		return fmt.Errorf("<%s> has %s", element, a.Key)
	case a.Key == "href" && (element != "a" || !scheme.MatchString(v)):
		return fmt.Errorf("<%s> leads to %q", element, a.Val)
	case a.Key == "src" && (element != "img" || !dataURL.MatchString(v) && (!remote || !strings.HasPrefix(v, "https://"))):
		return fmt.Errorf("<%s> loads %q", element, a.Val)
	case a.Key == "style":
		return styleHarmless(v, remote)
	}
	return nil
}

func styleHarmless(s string, remote bool) error {
	for _, bad := range []string{"<", "\\", "@import", "@font", "expression", "javascript", "position", "behavior", "binding", "content:", "image-set", "var(", "attr("} {
		if strings.Contains(s, bad) {
			return fmt.Errorf("style %q has %q", s, bad)
		}
	}
	for _, at := range strings.Split(s, "url(")[1:] {
		if !remote || !strings.HasPrefix(at, "'https://") {
			return fmt.Errorf("style %q has an address", s)
		}
	}
	return nil
}

// MAIL-2: no form of tracking and no script is left of a mail that is shown, printed, quoted in an answer or forwarded.
func TestHostile(t *testing.T) {
	t.Parallel()
	tracking := hostile.Tracking(func(name string) string { return "http://" + name + ".track.test/t" })
	scripts := hostile.Scripts(func(name string) string { return "alert(`" + name + "`)" })
	if len(tracking) < 60 || len(scripts) < 100 {
		t.Fatalf("%d forms of tracking, %d scripts", len(tracking), len(scripts))
	}
	counted := 0
	for _, f := range append(tracking, scripts...) {
		for _, open := range []bool{false, true} { // on the screen, on paper
			d := Clean(f.HTML, Options{Words: english, Open: open})
			if err := harmless(d.HTML, false); err != nil {
				t.Errorf("%s: %v\n%s\nbecame\n%s", f.Name, err, f.HTML, d.HTML)
			}
			if err := styleHarmless(strings.ToLower(d.Style), false); err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
			if open && d.Remote > 0 {
				counted++
			}
			if strings.Contains(d.Style, "track.test") {
				t.Errorf("%s: %s", f.Name, d.Style)
			}
		}
		quote, err := json.Marshal(Quote(f.HTML)) // in an answer, and forwarded
		if err != nil {
			t.Fatal(err)
		}
		for n := range strings.SplitSeq(string(quote), `"tag":"`) {
			if tag, _, ok := strings.Cut(n, `"`); ok && !strings.HasPrefix(n, "[") && !simple[tag] && tag != "p" {
				t.Errorf("%s: the quote has <%s>: %s", f.Name, tag, quote)
			}
		}
		d := Clean(f.HTML, Options{Words: english, Remote: true}) // with what is elsewhere, which the reader has asked for
		if err := harmless(d.HTML, true); err != nil {
			t.Errorf("%s, remote: %v\n%s\nbecame\n%s", f.Name, err, f.HTML, d.HTML)
		}
		if err := styleHarmless(strings.ToLower(d.Style), true); err != nil {
			t.Errorf("%s, remote: %v", f.Name, err)
		}
	}
	t.Logf("%d forms of tracking, of which %d are told of; %d scripts", len(tracking), counted, len(scripts))
	if counted < 60 {
		t.Errorf("only %d forms are told of", counted)
	}
}

// What is kept of HTML, and how.
func TestClean(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"text", "a < b &amp; c", "a &lt; b &amp; c"},
		{"structure", "<h1>x</h1><p>a<br>b</p><ul><li>c</ul>", "<h1>x</h1><p>a<br>b</p><ul><li>c</li></ul>"},
		{"unknown element", "<o:p>x</o:p>", "x"},
		{"colour", `<font color="#F00" size=3 onclick="x">x</font>`, `<font color="#F00" size="3">x</font>`},
		{"style", `<p style="COLOR: red; position:fixed; margin:0 auto !important">x</p>`, `<p style="color:red;margin:0 auto !important">x</p>`},
		{"background keeps its colour", `<p style="background:#fff url(http://x.test/)">x</p>`, `<p style="background:#fff">x</p>`},
		{"fonts", `<p style="font-family:'Segoe UI', &quot;Noto Sans&quot;,serif">x</p>`, `<p style="font-family:&#39;Segoe UI&#39;, &#39;Noto Sans&#39;,serif">x</p>`},
		{"functions", `<p style="color:rgb(1,2,3);width:calc(100% - 3px);height:expression(1)">x</p>`, `<p style="color:rgb(1,2,3);width:calc(100% - 3px)">x</p>`},
		{"table", `<table width=600 cellpadding=0><tr><td colspan=2 valign=top>x`, `<table width="600" cellpadding="0"><tbody><tr><td colspan="2" valign="top">x</td></tr></tbody></table>`},
		{"link", `<a href=" https://a.test/?b=c&d ">x</a>`, `<a href="https://a.test/?b=c&amp;d" target="_blank" rel="noopener noreferrer nofollow" title="https://a.test/?b=c&amp;d">x</a>`},
		{"link in the document", `<a href="#top">x</a><p id=top>y</p>`, `<a href="#top">x</a><p id="top">y</p>`},
		{"link to nowhere", `<a href="/x">x</a>`, `<a>x</a>`},
		{"link that lies", `<a title=t href="https://evil.test/bank.test">www.bank.test/login</a>`, `<a title="t" href="https://evil.test/bank.test" target="_blank" rel="noopener noreferrer nofollow">evil.test</a><span class="waxwing-lies"> [its text named www.bank.test]</span>`},
		{"link to a host below", `<a title=t href="https://click.bank.test/1">bank.test</a>`, `<a title="t" href="https://click.bank.test/1" target="_blank" rel="noopener noreferrer nofollow">bank.test</a>`},
		{"short quote", `<blockquote type="cite">x</blockquote>`, `<details class="waxwing-quote" open=""><summary>quoted text</summary><blockquote type="cite">x</blockquote></details>`},
		{"remote picture", `<img src="https://x.test/a.png" width=10 alt="a">`, `<img width="10" alt="a">`},
		{"picture in its address", `<img src="data:image/png;base64,AAAA">`, `<img src="data:image/png;base64,AAAA">`},
	} {
		if got := shown(tt.in).HTML; got != "<div>"+tt.want+"</div>" {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, "<div>"+tt.want+"</div>")
		}
	}
	d := shown(`<img src=http://a.test/1><img src=https://b.test/2><p style="background:url(//a.test/3)">`)
	if d.Remote != 3 || strings.Join(d.Hosts, " ") != "a.test b.test" {
		t.Errorf("remote: %d %v", d.Remote, d.Hosts)
	}
}

// Long quotes are folded.
func TestFold(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("<p>something that was said before</p>", 30)
	got := shown(`hi<blockquote type="cite">` + long + `<blockquote type=cite>more</blockquote></blockquote>`).HTML
	if strings.Count(got, "<details") != 1 || strings.Contains(got, "open") {
		t.Error(got)
	}
	if got = Clean(`<blockquote type="cite">`+long+`</blockquote>`, Options{Open: true}).HTML; !strings.Contains(got, "open") {
		t.Error("on paper, a quote is folded")
	}
}

// Pictures of the mail itself stand in the document.
func TestOwnPictures(t *testing.T) {
	t.Parallel()
	own := func(name string) (string, []byte) {
		switch name {
		case "a@b":
			return "image/png", []byte("PNG")
		case "svg":
			return "image/svg+xml", []byte("<svg/>")
		}
		return "", nil
	}
	d := Clean(`<img src="cid:a@b"><img src="CID:a%40b"><img src="cid:none"><img src="cid:svg">`, Options{Picture: own})
	const one = `<img src="data:image/png;base64,UE5H">`
	if d.HTML != "<div>"+one+one+"<img><img></div>" || d.Remote != 0 {
		t.Error(d)
	}
	d = Clean(`<img src="http://x.test/a">`, Options{Remote: true})
	if d.HTML != `<div><img src="https://x.test/a"></div>` || d.Remote != 1 {
		t.Error(d)
	}
}

// Style sheets are for the mail alone.
func TestSheet(t *testing.T) {
	t.Parallel()
	d := shown(`<style>
/* x */ body, .a > p{color:red;position:absolute}
@import "x"; @font-face{src:url(x)} .b::before{content:"x"}
@media (max-width:600px){.c{width:100%!important}} @media (prefers-color-scheme:dark){p{color:#fff}}
p{background:url(http://x.test)} .sm\:x{color:red} td[class="d"]{padding:0}
</style>x`)
	want := ".mail,.mail .a > p{color:red}\n@media (max-width:600px){.mail .c{width:100%!important}\n}\n.mail td[class=\"d\"]{padding:0}\n"
	if d.Style != want {
		t.Errorf("%s\nwant\n%s", d.Style, want)
	}
}

// What is large or deep costs bounded time, and is shown as far as it goes.
func TestBounds(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"deep":       strings.Repeat("<div>", 25_000) + "x",
		"deep fonts": strings.Repeat("<b><i><font>", 10_000) + "x",
		"tables":     strings.Repeat("<table><tr><td>", 8_000) + "x",
		"long":       strings.Repeat("<p style='color:red'>x</p>", 100_000),
		"attributes": "<p " + strings.Repeat("a=b ", 50_000) + ">x",
		"style":      "<style>" + strings.Repeat("a{color:red}", 50_000) + "</style>x",
		"brackets":   "<p style='width:" + strings.Repeat("calc(", 50_000) + "'>x",
		"quotes":     strings.Repeat("<blockquote type=cite>", 400) + "x",
		"links":      strings.Repeat("<a href=http://x.test>", 10_000) + "x",
		"formatting": strings.Repeat("<b><p>", 5_000) + "x",
		"comments":   strings.Repeat("<!--", 10_000),
		"sheets":     strings.Repeat("<style>a{color:red}/*</style>", 10_000),
	} {
		began := time.Now()
		d := shown(s)
		Quote(s)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		if len(d.HTML) > 3*maxOut || len(d.Style) > maxSheet {
			t.Errorf("%s: %d octets", name, len(d.HTML))
		}
		if err := harmless(d.HTML, false); err != nil && !strings.Contains(err.Error(), "512") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// RFC 3676: quotes, flowed lines, stuffing and signatures.
func TestLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		got  []Line
		want string
	}{
		{"fixed", Lines("a\r\n> b\r\n> > c\r\n>d\n"), "0 a|1 b|2 c|1 d"},
		{"flowed", Flowed("one \r\ntwo\r\nthree\r\n", false), "0 one two|0 three"},
		{"flowed quotes", Flowed("> one \r\n> two\r\n>> three \r\nfour", false), "1 one two|2 three |0 four"},
		{"stuffed", Flowed(" > no quote\r\n From me", false), "0 > no quote|0 From me"},
		{"DelSp", Flowed("one \r\ntwo", true), "0 onetwo"},
		{"signature", Flowed("one \r\n-- \r\ntwo", false), "0 one |0 -- |0 two"},
	} {
		var got []string
		for _, l := range tt.got {
			got = append(got, fmt.Sprint(l.Depth, " ", l.Text))
		}
		if s := strings.Join(got, "|"); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
}

// Links in plain text end where the sentence around them goes on; what is quoted at length is folded.
func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"see https://a.test/x.":                  `see [https://a.test/x](https://a.test/x).`,
		"(www.a.test/(b))":                       `([www.a.test/(b)](https://www.a.test/(b)))`,
		"<joe@a.test>, you":                      `&lt;[joe@a.test](mailto:joe@a.test)&gt;, you`,
		"javascript:alert(1) data:x":             `javascript:alert(1) data:x`,
		"https://a.test/?a=b&c=\"><script>x":     `[https://a.test/?a=b&amp;c=](https://a.test/?a=b&amp;c=)&#34;&gt;&lt;script&gt;x`,
		"http://":                                `http://`,
		"mailto:joe@a.test?subject=x":            `[mailto:joe@a.test?subject=x](mailto:joe@a.test?subject=x)`,
		"a@b no, @c.test no, x@y.test yes, x@y.": `a@b no, @c.test no, [x@y.test](mailto:x@y.test) yes, x@y.`,
	} {
		got := regexp.MustCompile(`<a href="([^"]*)"[^>]*>([^<]*)</a>`).ReplaceAllString(Text(Lines(in), TextOptions{}), "[$2]($1)")
		if want = `<div class="waxwing-text" dir="auto">` + want + `</div>`; got != want {
			t.Errorf("%s\n%s\nwant\n%s", in, got, want)
		}
	}
	if got := Text(Lines("a\n> b\n> c\n"), TextOptions{}); strings.Contains(got, "details") || !strings.Contains(got, "<blockquote>") {
		t.Error(got)
	}
	if got := Text(Lines("a\n"+strings.Repeat("> b\n", longQuote)), TextOptions{Words: english}); !strings.Contains(got, "<details") || !strings.Contains(got, "quoted text") {
		t.Error(got)
	}
}

// What an answer quotes: as HTML and as plain text.
func TestQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"<p>Hello <b>you</b></p><p>there</p>":                             "0 Hello you|0 there",
		"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>": "0 a b|0 c",
		"<div><div>a</div><blockquote><p>b</p></blockquote></div>":        "0 a|1 b",
		"a<br>b<br><br>c": "0 a|0 b|0 |0 c",
		`<a href="https://x.test/y">here</a> <a href="javascript:x">no</a>`: "0 here <https://x.test/y> no",
		"<ul><li>a<li>b</ul><img alt=cat src=http://x><script>no</script>":  "0 - a|0 - b|0 [cat]",
	} {
		var got []string
		for _, l := range Plain(Quote(in)) {
			got = append(got, fmt.Sprint(l.Depth, " ", l.Text))
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("%s\n%s\nwant\n%s", in, s, want)
		}
	}
	b, _ := json.Marshal(QuoteText(Lines("a\n> b")))
	if want := `[{"tag":"p","in":[{"text":"a"}]},{"tag":"blockquote","in":[{"tag":"p","in":[{"text":"b"}]}]}]`; string(b) != want {
		t.Errorf("%s", b)
	}
}

func FuzzClean(f *testing.F) {
	for _, x := range append(hostile.Tracking(func(n string) string { return "http://x.test/" + n }), hostile.Scripts(func(string) string { return "alert(1)" })...) {
		f.Add(x.HTML)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, remote := range []bool{false, true} {
			d := Clean(s, Options{Words: english, Remote: remote})
			if err := harmless(d.HTML, remote); err != nil && !strings.Contains(err.Error(), "512") {
				t.Fatalf("%v\n%q", err, d.HTML)
			}
			if err := styleHarmless(strings.ToLower(d.Style), remote); err != nil {
				t.Fatal(err)
			}
		}
		Plain(Quote(s))
	})
}

func FuzzStyle(f *testing.F) {
	for _, s := range []string{"color:red", "background:url(http://x.test/a)", "width:calc(1px + (2px))", "a:b;c:'d'", `\75rl(x)`, "x:/**/", "font:'a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := &css{remote: (&cleaner{}).remote, rules: maxRules, scope: ".mail"}
		for _, out := range []string{c.declarations(plain(s)), c.sheet(s)} {
			if err := styleHarmless(strings.ToLower(out), false); err != nil {
				t.Fatalf("%q: %v", s, err)
			}
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("a\n> b\n>> c https://x.test/ \n", true)
	f.Fuzz(func(t *testing.T, s string, flowed bool) {
		lines := Lines(s)
		if flowed {
			lines = Flowed(s, true)
		}
		if err := harmless(Text(lines, TextOptions{}), false); err != nil && !strings.Contains(err.Error(), "512") {
			t.Fatal(err)
		}
		QuoteText(lines)
	})
}
