package text

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func table() Table {
	return Table{
		Columns: []Column{{Head: "DOMAIN"}, {Head: "PUBLISHED", Rank: 2, Wrap: 12}, {Head: "MAIL"}, {Head: "REPORT", Rank: 1, Wrap: 14}, {Head: ""}},
		Rows: [][]Cell{
			{{Text: "dane.test"}, {Text: "signed, MX self-signed TLSA"}, {Text: "delivered", Tone: Good}, {Text: "tlsa 1 ok"}, {Text: "ok", Tone: Good}},
			{{Text: "b.test"}, {Text: "unsigned"}, {Text: "waiting", Tone: Waits}, {Text: "sts 1 failed certificate-not-trusted"}, {Text: "WRONG", Tone: Bad}},
		},
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		width      int
		want, left string
	}{
		{0, `DOMAIN     PUBLISHED                    MAIL       REPORT
dane.test  signed, MX self-signed TLSA  delivered  tlsa 1 ok                             ok
b.test     unsigned                     waiting    sts 1 failed certificate-not-trusted  WRONG
`, ""},
		{70, `DOMAIN     PUBLISHED         MAIL       REPORT
dane.test  signed, MX        delivered  tlsa 1 ok                ok
           self-signed TLSA
b.test     unsigned          waiting    sts 1 failed             WRONG
                                        certificate-not-trusted
`, ""},
		{60, `DOMAIN     MAIL       REPORT
dane.test  delivered  tlsa 1 ok                ok
b.test     waiting    sts 1 failed             WRONG
                      certificate-not-trusted
`, "PUBLISHED"},
		{30, `DOMAIN     MAIL
dane.test  delivered  ok
b.test     waiting    WRONG
`, "PUBLISHED REPORT"},
		{5, `DOMAIN     MAIL
dane.test  delivered  ok
b.test     waiting    WRONG
`, "PUBLISHED REPORT"},
	} {
		var b bytes.Buffer
		left, err := table().Write(&b, Terminal{Width: tt.width})
		if err != nil || b.String() != tt.want || strings.Join(left, " ") != tt.left {
			t.Errorf("width %d: left %q, %v\n%s", tt.width, left, err, b.String())
		}
	}
}

// TestTableFits over many tables: no line is longer than the terminal where
// columns may give way, and no word is broken or lost from a column that is shown.
func TestTableFits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var words []string
		for range r.IntN(5) {
			words = append(words, strings.Repeat("x", 1+r.IntN(9)))
		}
		return strings.Join(words, " ")
	}
	for range 2000 {
		tab := Table{Columns: []Column{{Head: "A"}}}
		for i := range 1 + r.IntN(5) {
			tab.Columns = append(tab.Columns, Column{Head: fmt.Sprint("C", i), Rank: 1 + r.IntN(3), Wrap: 5 * r.IntN(2)})
		}
		for range r.IntN(4) {
			row := []Cell{{Text: "aaaa"}}
			for range len(tab.Columns) - 1 {
				row = append(row, Cell{Text: text(), Tone: Tone(r.IntN(4))})
			}
			tab.Rows = append(tab.Rows, row)
		}
		width := 4 + r.IntN(80)
		var b bytes.Buffer
		left, _ := tab.Write(&b, Terminal{Width: width})
		for _, line := range strings.Split(b.String(), "\n") {
			if utf8.RuneCountInString(line) > width {
				t.Fatalf("width %d: %q\n%s", width, line, b.String())
			}
			if strings.HasSuffix(line, " ") {
				t.Fatalf("spaces at the end of %q", line)
			}
		}
		words := 0
		for i, c := range tab.Columns {
			if !strings.Contains(strings.Join(left, " "), c.Head) {
				for _, row := range tab.Rows {
					words += len(strings.Fields(row[i].Text))
				}
			}
		}
		heads := len(tab.Columns) - len(left)
		if got := len(strings.Fields(b.String())); got != words+heads {
			t.Fatalf("%d words, want %d:\n%s", got, words+heads, b.String())
		}
	}
}

// What peers wrote must not reach the terminal as a command to it.
func TestCellsAreClean(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	Table{Columns: []Column{{Head: "A"}}, Rows: [][]Cell{{{Text: "x\x1b[31m\r\ny\u202e", Tone: Bad}}}}.Write(&b, Terminal{Colour: true})
	if s := strings.NewReplacer("\x1b[1;31m", "", "\x1b[1m", "", "\x1b[0m", "").Replace(b.String()); strings.ContainsAny(s, "\x1b\r\u202e") {
		t.Errorf("%q", b.String())
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "now", 999 * time.Millisecond: "now", -time.Second: "1s ago", 59 * time.Second: "in 59s", time.Minute: "in 1m", -90 * time.Minute: "1h ago",
		23*time.Hour + 59*time.Minute: "in 23h", -24 * time.Hour: "1d ago", 59 * 24 * time.Hour: "in 59d", 60 * 24 * time.Hour: "2026-07-03", -365 * 24 * time.Hour: "2025-05-04",
	} {
		if got := Moment(now.Add(d), now); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if got := Moment(now, time.Time{}); got != "2026-05-04 12:00:00Z" {
		t.Errorf("in full: %q", got)
	}
	if got := Moment(time.Time{}, now); got != "-" {
		t.Errorf("none: %q", got)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	type row struct {
		name string
		n    int64
		at   time.Time
	}
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	tab := List[row]{Columns: []Column{{Head: "NAME"}, {Head: "N"}, {Head: "AT"}, {Head: "STATE"}},
		Cells: func(r *row) []any { return []any{r.name, r.n, r.at, Cell{Text: "seen ", When: r.at}} }}.
		Table([]row{{"a", 1, now.Add(-time.Hour)}, {"b", 22, time.Time{}}})
	tab.Now = now
	for width, want := range map[int]string{
		0:  "NAME  N   AT                    STATE\na     1   2026-05-04 11:00:00Z  seen 2026-05-04 11:00:00Z\nb     22  -                     seen\n",
		80: "NAME  N   AT      STATE\na     1   1h ago  seen 1h ago\nb     22  -       seen\n",
	} {
		var b bytes.Buffer
		if _, err := tab.Write(&b, Terminal{Width: width}); err != nil || strings.ReplaceAll(b.String(), " \n", "\n") != want {
			t.Errorf("width %d: %v\n%q", width, err, b.String())
		}
	}
}
