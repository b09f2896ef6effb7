package text

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"waxwing/internal/foreign"
)

// Column is one column of a table.
type Column struct {
	Head string
	// Rank is how soon the column gives way in a narrow terminal: those of the
	// highest rank first, those of rank 0 never.
	Rank int
	// Wrap is the width down to which its texts may be broken into lines, at
	// spaces; 0: they stay on one.
	Wrap int
}

// Cell is one text of a table.
type Cell struct {
	Text string
	Tone Tone
	When time.Time // if it is not zero, it is shown behind Text, see Table.Now
}

// Table is rows under a heading, or without one where all columns have none.
type Table struct {
	Columns []Column
	Rows    [][]Cell
	// Now is the time that a terminal shows others from: "in 5m", "2d ago". Without it,
	// and in files and pipes, which are read later, times are written in full.
	Now time.Time
}

// List is how rows of T are shown as a table.
type List[T any] struct {
	Columns []Column
	Cells   func(*T) []any // each is a string, an integer, a time.Time or a Cell
}

// Table makes it of rows.
func (l List[T]) Table(rows []T) Table {
	t := Table{Columns: l.Columns}
	for i := range rows {
		values := l.Cells(&rows[i])
		cells := make([]Cell, len(values))
		for k, v := range values {
			switch v := v.(type) {
			case Cell:
				cells[k] = v
			case time.Time:
				if cells[k].When = v; v.IsZero() {
					cells[k].Text = "-"
				}
			default:
				cells[k].Text = fmt.Sprint(v)
			}
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// gap is between two columns.
const gap = 2

// Write writes the table as it fits the terminal, and returns the headings of the
// columns that were left out for want of room.
func (t Table) Write(w io.Writer, to Terminal) (left []string, err error) {
	t.Rows = t.timed(to)
	widths := t.widths(to.Width)
	var b bytes.Buffer
	head, none := make([]Cell, len(t.Columns)), true
	for i, c := range t.Columns {
		head[i] = Cell{Text: c.Head, Tone: Head}
		none = none && c.Head == ""
		if widths[i] == 0 && c.Head != "" {
			left = append(left, c.Head)
		}
	}
	if !none {
		writeRow(&b, head, widths, to)
	}
	for _, row := range t.Rows {
		writeRow(&b, row, widths, to)
	}
	_, err = w.Write(b.Bytes())
	return left, err
}

// timed are the rows with their times written out.
func (t Table) timed(to Terminal) [][]Cell {
	now := t.Now
	if to.Width <= 0 {
		now = time.Time{}
	}
	rows := make([][]Cell, len(t.Rows))
	for i, row := range t.Rows {
		rows[i] = slices.Clone(row)
		for k, c := range row {
			if !c.When.IsZero() {
				rows[i][k].Text += Moment(c.When, now)
			}
		}
	}
	return rows
}

// Moment is a time as people read it: from now, unless that is zero or far from it.
func Moment(at, now time.Time) string {
	const day = 24 * time.Hour
	d := at.Sub(now)
	switch {
	case at.IsZero():
		return "-"
	case now.IsZero():
		return at.UTC().Format("2006-01-02 15:04:05Z")
	case d.Abs() >= 60*day:
		return at.UTC().Format(time.DateOnly)
	case d.Abs() < time.Second:
		return "now"
	}
	text := ""
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d.Abs() / unit.of; n > 0 {
			text = fmt.Sprintf("%d%s", n, unit.name)
			break
		}
	}
	if d > 0 {
		return "in " + text
	}
	return text + " ago"
}

// widths chooses the width of each column; 0 leaves it out. It is pure.
func (t Table) widths(width int) []int {
	whole, least := make([]int, len(t.Columns)), make([]int, len(t.Columns))
	for i, c := range t.Columns {
		word := utf8.RuneCountInString(c.Head)
		whole[i] = word
		for _, row := range t.Rows {
			text := foreign.Shown(row[i].Text)
			whole[i] = max(whole[i], utf8.RuneCountInString(text))
			for _, f := range strings.Fields(text) {
				word = max(word, utf8.RuneCountInString(f))
			}
		}
		whole[i] = max(whole[i], 1)
		least[i] = whole[i]
		if c.Wrap > 0 {
			least[i] = min(whole[i], max(c.Wrap, word))
		}
	}
	if width <= 0 {
		return whole
	}
	shown := t.shown(least, width)
	room := width + gap
	for i := range shown {
		if shown[i] > 0 {
			room -= shown[i] + gap
		}
	}
	t.spread(shown, whole, room)
	return shown
}

// sampled is how many rows are looked at to spread what room is left.
const sampled = 200

// spread gives what room is left to the columns where it saves most lines.
func (t Table) spread(shown, whole []int, room int) {
	rows := t.Rows[:min(len(t.Rows), sampled)]
	for {
		best, wider, most := -1, 0, 0.0
		for i := range shown {
			if shown[i] == 0 || shown[i] >= whole[i] {
				continue
			}
			before := lines(rows, i, shown[i])
			for w := shown[i] + 1; w <= min(whole[i], shown[i]+room); w++ {
				saved := before - lines(rows, i, w)
				if gain := float64(saved) / float64(w-shown[i]); gain > most {
					best, wider, most = i, w, gain
				}
			}
		}
		if best < 0 {
			return
		}
		room -= wider - shown[best]
		shown[best] = wider
	}
}

// lines is how many lines a column's cells take at a width.
func lines(rows [][]Cell, column, width int) int {
	n := 0
	for _, row := range rows {
		n += len(wrap(foreign.Shown(row[column].Text), width))
	}
	return n
}

// shown leaves columns out, by rank, until the others fit at their least widths.
func (t Table) shown(least []int, width int) []int {
	out := slices.Clone(least)
	for {
		need, last := -gap, -1
		for i, n := range out {
			if n == 0 {
				continue
			}
			need += n + gap
			if r := t.Columns[i].Rank; r > 0 && (last < 0 || r >= t.Columns[last].Rank) {
				last = i
			}
		}
		if need <= width || last < 0 {
			return out
		}
		out[last] = 0
	}
}

// writeRow writes a row, on several lines where a cell needs them.
func writeRow(b *bytes.Buffer, row []Cell, widths []int, to Terminal) {
	lines := make([][]string, len(row))
	height := 1
	for i, c := range row {
		if widths[i] > 0 {
			lines[i] = wrap(foreign.Shown(c.Text), widths[i])
			height = max(height, len(lines[i]))
		}
	}
	for n := range height {
		pending := 0 // spaces before the next text: none stand at a line's end
		first := true
		for i, c := range row {
			if widths[i] == 0 {
				continue
			}
			if !first {
				pending += gap
			}
			first = false
			text := ""
			if n < len(lines[i]) {
				text = lines[i][n]
			}
			if text != "" {
				b.WriteString(strings.Repeat(" ", pending))
				b.WriteString(to.Paint(text, c.Tone))
				pending = 0
			}
			pending += widths[i] - utf8.RuneCountInString(text)
		}
		b.WriteByte('\n')
	}
}

// wrap breaks text at spaces into lines of at most width columns; no word is broken.
func wrap(text string, width int) []string {
	if utf8.RuneCountInString(text) <= width {
		return []string{text}
	}
	var out []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			out, line = append(out, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(out, line)
}
