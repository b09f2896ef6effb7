// Package text is how values read for people: tables that fit the terminal, in colour
// where it is one, and times and counts in words.
package text

// Terminal is what the output is written to. The zero value is a file or a pipe:
// lines of any length, no colour.
type Terminal struct {
	Width  int // columns; 0: no limit
	Colour bool
}

// Tone is what a text tells at a glance.
type Tone uint8

// The tones.
const (
	Plain Tone = iota
	Good
	Bad
	Waits // neither: it will be tried again
	Head
)

var codes = [...]string{Plain: "", Good: "32", Bad: "1;31", Waits: "33", Head: "1"}

// Paint puts text into the colour of its tone, where the terminal has colours.
func (t Terminal) Paint(text string, tone Tone) string {
	if !t.Colour || tone == Plain || text == "" {
		return text
	}
	return "\x1b[" + codes[tone] + "m" + text + "\x1b[0m"
}
