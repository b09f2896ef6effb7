package pages

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"waxwing/internal/text"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func write(t *testing.T, v View, p Page) *httptest.ResponseRecorder {
	t.Helper()
	s := &Site{Name: "Waxwing", Host: "mail.example.org", Home: "/admin/", LogOut: "/admin/logout", Now: func() time.Time { return noon },
		Others: []Place{{"Your mail", "/mail/"}}, Groups: []Group{{"", []Place{{"Overview", "/admin/"}}}, {"Mail", []Place{{"Queue", "/admin/queue"}}}}}
	w := httptest.NewRecorder()
	if err := s.Write(w, v, p); err != nil {
		t.Fatal(err)
	}
	return w
}

// everyBlock has foreign text in every place that takes text.
func everyBlock(s string) []Block {
	cell := Cell{Text: s, Tone: Good, Link: "/x?" + s, When: noon}
	return []Block{
		Table{Title: s, Heads: []Head{{Text: s}}, Rows: [][]Cell{{cell}}, Next: "/next?" + s},
		Table{None: s},
		Facts{Title: s, Items: []Fact{{s, cell}}},
		Notice{Tone: Bad, What: s, Cure: s, Link: "/x?" + s},
		Figures{Items: []Figure{{Name: s, Value: s, Tone: Waits, Link: "/x?" + s}}},
		Timeline{Title: s, Events: []Event{{When: noon, Title: s, Tone: Bad, Lines: []Line{{Cell: cell}, {Depth: 1, Cell: Cell{Text: s}, Code: true}}}}},
		Form{Title: s, Method: "post", Action: "/do", Submit: s, Danger: true, Sure: s, Fields: []Field{{Name: "a", Label: s, Value: s, Help: s, Error: s}, {Name: "b", Kind: "select", Options: []string{s}, Value: s}, {Name: "c", Kind: "hidden", Value: s}}},
		Actions{Title: s, Forms: []Form{{Method: "post", Action: "/do", Submit: s}}},
		Text{Title: s, Body: s},
		Prose{Title: s, Body: s, Link: "/x?" + s, Says: s},
		Plot{Title: s, Unit: s, Series: []Series{{Name: s}, {Name: s, Tone: Bad}}, Points: []Point{{s, []int64{1, 2}}, {s, []int64{0, 5}}}},
		Plot{Title: s, None: s},
		Form{Title: s, Method: "post", Action: "/do", Submit: s, Folded: true, Fields: []Field{{Name: "a", Label: s, Kind: "area", Value: s}, {Name: "b", Label: s, Kind: "check", Value: s}, {Name: "c", Label: s, Kind: "file", Value: s, Complete: s}, {Name: "d", Label: s, Value: s, Fixed: true}}},
		Passkey{Title: s, Action: "/do", Submit: s, Options: s, Fields: []Field{{Name: "a", Label: s, Value: s}}},
		QR{Title: s, Of: s, Says: s},
	}
}

// WEB-3: what others wrote is text on every page, and never markup.
func TestForeignText(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'{{.}}`
	body := write(t, View{Visitor: evil}, Page{Title: evil, Lead: evil, Command: evil, Blocks: everyBlock(evil)}).Body.String()
	for _, ours := range []string{`<script src="` + ScriptPath() + `" defer>`, `<img class="qr" src="data:image/png;base64,`} {
		if strings.Count(body, ours) != 1 {
			t.Errorf("%s stands %d times in the page", ours, strings.Count(body, ours))
		}
		body = strings.ReplaceAll(body, ours, "")
	}
	for _, bad := range []string{"<script", "<img", "onerror=alert(2)>'{{.}}<"} {
		if strings.Contains(body, bad) {
			t.Errorf("%q stands in the page", bad)
		}
	}
	if n := strings.Count(body, "&lt;script&gt;"); n < 40 {
		t.Errorf("the text stands %d times in the page: is it written at all?", n)
	}
	bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(body, `""`) // without what attributes say
	if m := regexp.MustCompile(`(?i)<[a-z]+[^>]*\s(on[a-z]+|style)=`).FindString(bare); m != "" {
		t.Errorf("the policy forbids %q", m)
	}
}

// A link that is none leads nowhere.
func TestForeignLink(t *testing.T) {
	t.Parallel()
	body := write(t, View{Visitor: "joe"}, Page{Blocks: []Block{Table{Heads: []Head{{}}, Rows: [][]Cell{{{Text: "x", Link: "javascript:alert(1)"}}}}}}).Body.String()
	if strings.Contains(body, "javascript:") {
		t.Error(body)
	}
}

// WEB-3: the headers that every page has.
func TestHeaders(t *testing.T) {
	t.Parallel()
	w := write(t, View{}, Page{Title: "x", Status: 404})
	for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin"} {
		if got := w.Header().Get(name); !strings.Contains(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	csp := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s lacks %s", csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") || w.Code != 404 {
		t.Errorf("%s, %d", csp, w.Code)
	}
}

// Whoever has not logged in sees no list of pages, and no account.
func TestAlone(t *testing.T) {
	t.Parallel()
	alone, known := write(t, View{}, Page{Title: "x"}).Body.String(), write(t, View{Here: "/admin/queue", Visitor: "joe"}, Page{Title: "x"}).Body.String()
	if strings.Contains(alone, "/admin/queue") || strings.Contains(alone, "/mail/") || strings.Contains(alone, "log out") {
		t.Error(alone)
	}
	if !strings.Contains(known, `<a href="/admin/queue" aria-current="page">`) || !strings.Contains(known, `<a href="/mail/">Your mail</a>`) || !strings.Contains(known, "joe") {
		t.Error(known)
	}
}

// ADM-1: what a command lists is the same table on a page.
func TestTableOf(t *testing.T) {
	t.Parallel()
	l := text.List[int]{Columns: text.Columns("N|WHEN|STATE", "WHEN"), Cells: func(n *int) []any { return []any{*n, noon, text.Cell{Text: "bad", Tone: text.Bad}} }}
	got := TableOf(l, []int{7}, func(n *int) string { return fmt.Sprintf("/n/%d", *n) })
	want := []Cell{{Text: "7", Link: "/n/7"}, {When: noon}, {Text: "bad", Tone: Bad}}
	if len(got.Rows) != 1 || fmt.Sprint(got.Rows[0]) != fmt.Sprint(want) || got.Heads[1].Rank == 0 || got.Heads[0].Rank != 0 {
		t.Errorf("%+v", got)
	}
}

// ADM-3: no bar is higher than the plot, whatever the values, and all values stand in the table.
func TestPlot(t *testing.T) {
	t.Parallel()
	for _, values := range [][]int64{{0}, {1}, {3}, {9}, {10}, {11}, {99, 7}, {1 << 40}, {1 << 62}, {-5}, {5, 6, 7, 8, 9, 10}} {
		p := Plot{Title: "x", Unit: "sessions"}
		for i, v := range values {
			p.Series = append(p.Series, Series{Name: fmt.Sprint(i)})
			p.Points = append(p.Points, Point{Label: fmt.Sprint(i), Values: make([]int64, len(values))})
			p.Points[i].Values[i] = v
		}
		top := p.top()
		for _, b := range p.bars(top) {
			if b.Y < plotTop-1 || b.H < 0 || b.X < plotLeft || b.X+b.W > plotWidth+1 {
				t.Errorf("%v: a bar at %+v, top %d", values, b, top)
			}
		}
		for _, l := range p.grid(top) {
			if l.Y < 0 || l.Y > plotHeight {
				t.Errorf("%v: a line at %+v", values, l)
			}
		}
		if rows := p.Table().Rows; len(rows) != len(values) || rows[0][1].Text != fmt.Sprint(values[0]) {
			t.Errorf("%v: %v", values, rows)
		}
	}
}

// The labels of a plot do not run into each other.
func TestPlotLabels(t *testing.T) {
	t.Parallel()
	for n := 1; n < 400; n += 7 {
		p := Plot{Points: make([]Point, n)}
		last := -1000.0
		for _, l := range p.labels() {
			if l.X-last < 45 {
				t.Fatalf("%d bars: labels at %.0f and %.0f", n, last, l.X)
			}
			last = l.X
		}
	}
}

// WEB-5: colours stand in the tokens alone, and each token that is used is there.
func TestTokens(t *testing.T) {
	t.Parallel()
	tokens, rest, ok := strings.Cut(string(style), "*, *::before")
	if !ok {
		t.Fatal("the style has no part of tokens")
	}
	if m := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b|\brgba?\(|url\(|@import`).FindString(rest); m != "" {
		t.Errorf("%q stands outside of the tokens", m)
	}
	for _, m := range regexp.MustCompile(`var\((--[a-z0-9-]+)\)`).FindAllStringSubmatch(string(style), -1) {
		if !strings.Contains(tokens, m[1]+":") {
			t.Errorf("%s is no token", m[1])
		}
	}
	if light, dark, _ := strings.Cut(tokens, "@media"); strings.Count(light, "#") != strings.Count(dark, "#")+0 {
		t.Errorf("%d colours in light, %d in dark", strings.Count(light, "#"), strings.Count(dark, "#"))
	}
}

// Who looks at one of many things sees from which list it is; what is one word is not broken in a table, and what is long may be.
func TestWithinAndWords(t *testing.T) {
	t.Parallel()
	p := Page{Title: "x", Blocks: []Block{Table{Heads: []Head{{Text: "A"}, {Text: "B"}, {Text: "C"}}, Rows: [][]Cell{{{Text: "1xcmm2m85uyo"}, {Text: "two words"}, {Text: strings.Repeat("x", longWord+1)}}}}}}
	body := write(t, View{Here: "/admin/queue", Within: true, Visitor: "joe"}, p).Body.String()
	for _, want := range []string{`<a href="/admin/queue" aria-current="true">`, `<td class="word" data-head="A">`, `<td data-head="B">`, `<td data-head="C">`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
}
