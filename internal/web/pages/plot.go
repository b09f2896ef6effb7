package pages

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// Plot is bars over time, of parts that stand on each other; below it stands its table. It is an SVG
// made here, and needs no JavaScript.
type Plot struct {
	Title  string
	Unit   string // what is counted, in the plural
	Series []Series
	Points []Point
	None   string // what is said where there are no points
}

// Series is one part of every bar.
type Series struct {
	Name string
	Tone Tone
}

// Point is one bar: a value for each series.
type Point struct {
	Label  string
	Values []int64
}

// The plot in its own units; the page scales it.
const (
	plotWidth  = 720
	plotHeight = 200
	plotLeft   = 56
	plotBottom = 24
	plotTop    = 10
)

// bar is one part of a bar as it is drawn.
type bar struct {
	X, Y, W, H float64
	Class      string
	Says       string
}

// label is a text beside the plot.
type label struct {
	X, Y float64
	Text string
}

// SVG draws it.
func (p Plot) SVG() template.HTML {
	top := p.top()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="plot" viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, template.HTMLEscapeString(p.Title+": "+p.Unit))
	for _, l := range p.grid(top) {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, plotLeft, plotWidth, l.Y-4, l.Y-4)
		fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="end">%s</text>`, l.X, l.Y, template.HTMLEscapeString(l.Text))
	}
	for _, r := range p.bars(top) {
		fmt.Fprintf(&b, `<rect class="bar %s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`, r.Class, r.X, r.Y, r.W, r.H, template.HTMLEscapeString(r.Says))
	}
	for _, l := range p.labels() {
		fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, l.X, l.Y, template.HTMLEscapeString(l.Text))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // all text in it is escaped above
}

// top is the value at the upper edge: round, and not below any bar.
func (p Plot) top() int64 {
	most := int64(1)
	for _, x := range p.Points {
		sum := int64(0)
		for _, v := range x.Values {
			sum += max(v, 0)
		}
		most = max(most, sum)
	}
	step := int64(1)
	for step*10 < most && step < 1e17 {
		step *= 10
	}
	for _, k := range []int64{1, 2, 4, 5, 10} {
		if step*k >= most {
			return step * k
		}
	}
	return max(step*10, most)
}

func (p Plot) height(v, top int64) float64 {
	return float64(v) / float64(top) * (plotHeight - plotBottom - plotTop)
}

// grid is the lines, with what they stand for.
func (p Plot) grid(top int64) (out []label) {
	parts := int64(4)
	if top < 4 {
		parts = top
	}
	for k := range parts + 1 {
		v := top / parts * k
		if top < 1e15 {
			v = top * k / parts
		}
		out = append(out, label{X: plotLeft - 8, Y: plotHeight - plotBottom - p.height(v, top) + 4, Text: short(v)})
	}
	return out
}

// short is a number in a few characters.
func short(v int64) string {
	for _, u := range []struct {
		of   int64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.of {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(v)/float64(u.of)), ".0") + u.name
		}
	}
	return fmt.Sprint(v)
}

func (p Plot) slot() float64 { return float64(plotWidth-plotLeft) / float64(max(len(p.Points), 1)) }

func (p Plot) bars(top int64) (out []bar) {
	w := math.Min(p.slot()*0.72, 48)
	for i, x := range p.Points {
		y := float64(plotHeight - plotBottom)
		for k, v := range x.Values {
			if v <= 0 || k >= len(p.Series) {
				continue
			}
			h := p.height(v, top)
			y -= h
			out = append(out, bar{X: plotLeft + (float64(i)+0.5)*p.slot() - w/2, Y: y, W: w, H: h, Class: p.class(k),
				Says: fmt.Sprintf("%s: %d %s, %s", x.Label, v, p.Unit, p.Series[k].Name)})
		}
	}
	return out
}

// class is the colour of a series: that of its tone, or one of its own.
func (p Plot) class(k int) string {
	if t := p.Series[k].Tone; t != Plain {
		return "tone-" + string(t)
	}
	return fmt.Sprintf("part-%d", k%6)
}

// labels are below the bars, as many as there is room for.
func (p Plot) labels() (out []label) {
	every := max(1, int(math.Ceil(80/p.slot())))
	for i, x := range p.Points {
		if i%every == 0 {
			out = append(out, label{X: plotLeft + (float64(i)+0.5)*p.slot(), Y: plotHeight - 6, Text: x.Label})
		}
	}
	return out
}

// Key is what the colours stand for.
func (p Plot) Key() (out []Fact) {
	for k, s := range p.Series {
		out = append(out, Fact{Name: p.class(k), Cell: Cell{Text: s.Name}})
	}
	return out
}

// Table is the same in figures.
func (p Plot) Table() Table {
	t := Table{Label: p.Title + ", in figures", Heads: []Head{{Text: ""}}}
	for _, s := range p.Series {
		t.Heads = append(t.Heads, Head{Text: s.Name})
	}
	for _, x := range p.Points {
		row := []Cell{{Text: x.Label}}
		for _, v := range x.Values {
			row = append(row, Cell{Text: fmt.Sprint(v)})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
