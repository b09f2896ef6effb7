package doctor

import (
	"fmt"

	"waxwing/internal/text"
)

// Told is the finding for people, in the colours that the terminal has.
func (f Finding) Told(to text.Terminal) string {
	tone := map[Level]text.Tone{OK: text.Good, Warning: text.Waits, Failed: text.Bad}[f.Level]
	s := fmt.Sprintf("%s %s: %s\n", to.Paint(fmt.Sprintf("%-8s", f.Level), tone), f.Check, f.Seen)
	if f.Cause != "" {
		s += fmt.Sprintf("         why: %s\n", f.Cause)
	}
	if f.Cure != "" {
		s += fmt.Sprintf("         cure: %s\n", f.Cure)
	}
	return s
}
