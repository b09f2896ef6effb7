package pages

import (
	"slices"
	"strings"
	"time"

	"waxwing/internal/text"
)

// Page is one page.
type Page struct {
	Title   string
	Lead    string // one sentence below the title; "": none
	Command string // that shows or does the same (ADM-1); "": none
	Blocks  []Block
	Status  int // of HTTP; 0: 200
}

// Block is a part of a page. Only the types of this package are blocks.
type Block interface {
	template() string // that writes it
}

// Tone is what a text tells at a glance. It is never told by colour alone.
type Tone string

// The tones.
const (
	Plain Tone = ""
	Good  Tone = "good"
	Bad   Tone = "bad"
	Waits Tone = "waits" // neither, or not yet
)

// toneOf is that of a text on a terminal.
func toneOf(t text.Tone) Tone {
	return map[text.Tone]Tone{text.Good: Good, text.Bad: Bad, text.Waits: Waits}[t]
}

// Cell is one text, perhaps a link.
type Cell struct {
	Text string
	Tone Tone
	Link string
	When time.Time // if it is not zero, it is shown behind Text
}

// longWord is how many octets a word has that may be broken.
const longWord = 24

// Word reports that the cell is one word of a table that reads badly when it is broken: an identifier, a state, most addresses.
func (c Cell) Word() bool {
	return c.Text != "" && len(c.Text) <= longWord && !strings.ContainsAny(c.Text, " \t\n")
}

// Table is rows under a heading.
type Table struct {
	Title string
	Label string // by which who does not see it knows it; "": Title
	Heads []Head
	Rows  [][]Cell
	None  string // what is said where there are no rows
	Next  string // link to further rows; "": there are none
	Now   time.Time
}

// Head is the heading of a column. On a narrow screen a row is a card, and its least important
// columns, those with a high rank, are small.
type Head struct {
	Text string
	Rank int
}

// Facts are names with their values.
type Facts struct {
	Title string
	Items []Fact
	Now   time.Time
}

// Fact is a name with its value.
type Fact struct {
	Name string
	Cell
}

// Notice is something that a reader should know, and what to do about it.
type Notice struct {
	Tone Tone
	What string
	Cure string
	Link string // to where it can be seen or done; "": nowhere
}

// Figures are a few numbers that say how things are.
type Figures struct {
	Items []Figure
}

// Figure is a number with its name.
type Figure struct {
	Name  string
	Value string
	Tone  Tone
	Link  string
}

// Timeline is what happened, in its order.
type Timeline struct {
	Title  string
	Events []Event
	Now    time.Time
}

// Event is one thing that happened.
type Event struct {
	When  time.Time
	Title string
	Tone  Tone
	Lines []Line
}

// Line is one thing known of an event; deeper ones belong to those above them.
type Line struct {
	Depth int
	Cell
	Code bool // what another program said, as it is
}

// Form asks for values. Method is GET for questions and POST for what changes something.
type Form struct {
	Title  string
	Method string
	Action string
	Fields []Field
	Submit string
	Danger bool   // it cannot be undone
	Sure   string // what is to be ticked before something that cannot be undone; "": nothing
	// Command does the same (ADM-1); "": it is not told here.
	Command string
	Folded  bool // only its title is seen until somebody opens it
}

// Field is one value that a form asks for.
type Field struct {
	Name, Label, Value, Help string
	Kind                     string   // text, password, email, search, number, date, hidden, area (of several lines), file, check (a box whose value is yes), or select
	Options                  []string // of select
	Complete                 string   // autocomplete
	Required                 bool
	Fixed                    bool // it is shown, and cannot be changed
	Wide                     bool // it has a line of its own
	Error                    string
}

// Actions are forms of one button each, side by side.
type Actions struct {
	Title string
	Forms []Form
}

// Text is text as a program writes it.
type Text struct {
	Title string
	Body  string
}

// Prose is a paragraph.
type Prose struct {
	Title string
	Body  string
	Link  string
	Says  string // the text of the link
}

func (Table) template() string    { return "table" }
func (Facts) template() string    { return "facts" }
func (Notice) template() string   { return "notice" }
func (Figures) template() string  { return "figures" }
func (Timeline) template() string { return "timeline" }
func (Form) template() string     { return "form" }
func (Actions) template() string  { return "actions" }
func (Text) template() string     { return "text" }
func (Prose) template() string    { return "prose" }
func (Plot) template() string     { return "plot" }

// HasFile reports that a form sends a file.
func (f Form) HasFile() bool {
	return slices.ContainsFunc(f.Fields, func(x Field) bool { return x.Kind == "file" })
}

// TableOf is rows as commands list them. link is where a row leads, from the first column; nil:
// nowhere.
func TableOf[T any](l text.List[T], rows []T, link func(*T) string) Table {
	t := l.Table(rows)
	out := Table{None: "There is nothing to show."}
	for _, c := range t.Columns {
		out.Heads = append(out.Heads, Head{c.Head, c.Rank})
	}
	for i, row := range t.Rows {
		var cells []Cell
		for k, c := range row {
			cell := Cell{Text: c.Text, Tone: toneOf(c.Tone), When: c.When}
			if k == 0 && link != nil {
				cell.Link = link(&rows[i])
			}
			cells = append(cells, cell)
		}
		out.Rows = append(out.Rows, cells)
	}
	return out
}
