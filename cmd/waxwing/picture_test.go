package main

import (
	"bytes"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"waxwing/internal/lab"
	"waxwing/internal/text"
)

var update = flag.Bool("update", false, "write docs/lab.svg again")

// pictured is how many of the lab's stories the picture shows of mail that goes out, and of mail
// that comes in; those of DMARC reports it shows all.
const pictured = 12

// labPicture compares the picture in the README with what the lab prints on a terminal.
func labPicture(t *testing.T, l *lab.Lab) {
	var b bytes.Buffer
	first := func(prefix string) []lab.Row {
		return l.Rows[slices.IndexFunc(l.Rows, func(r lab.Row) bool { return strings.HasPrefix(r.Story, prefix) }):]
	}
	rows := slices.Concat(l.Rows[:pictured], first("in-")[:pictured], first("dmarc-"))
	fmt.Fprint(&b, "\x1b[1m$ go run ./cmd/waxwing lab\x1b[0m\n")
	if _, err := lab.Listing().Table(rows).Write(&b, text.Terminal{Width: 150, Colour: true}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "…\n\n%s", strings.TrimSpace(l.Sum()))
	got, file := picture(b.String()), filepath.Join("..", "..", "docs", "lab.svg")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Error("docs/lab.svg shows something else than the lab prints: make generate")
	}
}

var (
	escape = regexp.MustCompile("\x1b\\[([0-9]*)m")
	words  = regexp.MustCompile(`\S+( \S+)*`) // a renderer makes one of several spaces
)

// picture draws what a terminal shows as an SVG.
func picture(s string) string {
	const cell, line, edge = 7.22, 17.0, 16.0 // pixels, at a font size of 12
	class := map[string]string{"1": ` class="head"`, "31": ` class="bad"`, "32": ` class="good"`, "33": ` class="warn"`}
	lines, columns, b := strings.Split(s, "\n"), 0, strings.Builder{}
	for i, l := range lines {
		fmt.Fprintf(&b, `<text y="%.0f">`, edge+line*(float64(i)+0.8))
		column, at, tone := 0, 0, ""
		span := func(part string) {
			for _, m := range words.FindAllStringIndex(part, -1) {
				shown := part[m[0]:m[1]]
				fmt.Fprintf(&b, `<tspan x="%.1f" textLength="%.1f"%s>%s</tspan>`, edge+cell*float64(column+utf8.RuneCountInString(part[:m[0]])),
					cell*float64(utf8.RuneCountInString(shown)), tone, html.EscapeString(shown))
			}
			column += utf8.RuneCountInString(part)
		}
		for _, m := range escape.FindAllStringSubmatchIndex(l, -1) {
			span(l[at:m[0]])
			at, tone = m[1], class[l[m[2]:m[3]]]
		}
		span(l[at:])
		b.WriteString("</text>\n")
		columns = max(columns, column)
	}
	width, height := 2*edge+cell*float64(columns), 2*edge+line*float64(len(lines))
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="what the lab prints">
<style>text{font:12px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d8dee9}.head{fill:#fff;font-weight:bold}.good{fill:#8fd08f}.warn{fill:#e8c46a}.bad{fill:#f08a80}</style>
<rect width="100%%" height="100%%" rx="8" fill="#1e2430"/>
%s</svg>
`, width, height, b.String())
}
