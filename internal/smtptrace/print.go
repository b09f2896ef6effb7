package smtptrace

import (
	"cmp"
	"fmt"

	"waxwing/internal/foreign"
	"waxwing/internal/text"
	"waxwing/smtp"
)

// Print is the line for a terminal, behind the time at: the number of the connection with an
// arrow for who speaks (> to the other host, < to us, * neither), and what was said. The
// first line of a connection, and what happens to it, says with whom it is.
func (l *Line) Print(at string, to text.Terminal) string {
	arrow, tone := "*", text.Waits
	if l.From != smtp.FromConnection {
		arrow, tone = "<", text.Plain
		if (l.From == smtp.FromClient) == (l.Direction == "out") { // it is ours
			arrow, tone = ">", text.Good
		}
	}
	said := foreign.Shown(l.Text)
	if l.From == smtp.FromConnection {
		with := "client " + l.Remote + " at " + l.Listener
		if l.Direction == "out" {
			with = "host " + cmp.Or(l.Host, "-") + " at " + l.Remote
		}
		said = with + ": " + said
	}
	return fmt.Sprintf("%s %4d %s %s", at, l.Connection, to.Paint(arrow, tone), said)
}
