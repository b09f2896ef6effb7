package text

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"
)

// Prose is a writer that breaks lines at spaces where the terminal is too narrow
// for them; what goes on is indented by two columns more than its line. Words are not
// broken. It holds an unfinished line back until Flush.
type Prose struct {
	w    io.Writer
	to   Terminal
	line bytes.Buffer
	err  error
}

// NewProse writes to w as the terminal wants it.
func NewProse(w io.Writer, to Terminal) *Prose { return &Prose{w: w, to: to} }

// Write takes text of any number of lines.
func (p *Prose) Write(b []byte) (int, error) {
	if p.to.Width <= 0 {
		return p.w.Write(b)
	}
	n := len(b)
	for {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		p.line.Write(line)
		if !whole {
			return n, p.err
		}
		p.end("\n")
		b = rest
	}
}

// Flush writes what is left of a line without an end.
func (p *Prose) Flush() error {
	if p.line.Len() > 0 {
		p.end("")
	}
	return p.err
}

func (p *Prose) end(newline string) {
	out := fold(p.line.String(), p.to.Width) + newline
	p.line.Reset()
	if p.err == nil {
		_, p.err = io.WriteString(p.w, out)
	}
}

// fold breaks one line. It is pure.
func fold(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	own := line[:len(line)-len(strings.TrimLeft(line, " "))]
	further := own + "  "
	var out []string
	now := own
	words := strings.Split(line[len(own):], " ") // not Fields: aligned columns keep their spaces
	for i, w := range words {
		switch {
		case i == 0:
			now += w
		case utf8.RuneCountInString(now)+1+utf8.RuneCountInString(w) <= width:
			now += " " + w
		default:
			out, now = append(out, strings.TrimRight(now, " ")), further+w
		}
	}
	return strings.Join(append(out, now), "\n")
}
