package smtp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Transcript is told what is said on one connection, line by line, by the side that serves
// or makes it (in the manner of net/http/httptrace). Secrets never reach it: in their place,
// and in place of message data, stands how many octets there were. Its method is called on
// the connection's goroutine and must not block.
type Transcript interface {
	Line(from Side, text string)
}

// Side says whose line it is.
type Side string

// The sides.
const (
	FromClient     Side = "client"
	FromServer     Side = "server"
	FromConnection Side = "connection" // what happened to it: nobody said this
)

// ShownCommand is a command line as it may be shown. What is no command may be a password
// that a client sends to a server that did not take its AUTH, and of AUTH itself only one of
// mechs is shown. It is pure.
func ShownCommand(line string, mechs []string) string {
	cmd, err := ParseCommand([]byte(line))
	switch {
	case err != nil || !slices.Contains(shownVerbs, cmd.Verb):
		return ShownOctets(int64(len(line)), "that are no command")
	case cmd.Verb != "AUTH":
		return line
	}
	mech, response, has := strings.Cut(cmd.Arg, " ")
	if !slices.ContainsFunc(mechs, func(m string) bool { return strings.EqualFold(m, mech) }) {
		return "AUTH " + ShownOctets(int64(len(cmd.Arg)), "")
	}
	if !has {
		return "AUTH " + strings.ToUpper(mech)
	}
	return "AUTH " + strings.ToUpper(mech) + " " + ShownOctets(int64(len(response)), "")
}

// shownVerbs are the commands that are shown with their arguments, or, AUTH, in part.
var shownVerbs = []string{"EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "VRFY", "EXPN", "HELP", "QUIT"}

// ShownOctets stands in place of what is not shown: "[24 octets of message data]".
func ShownOctets(n int64, of string) string {
	return "[" + strings.TrimSpace(strconv.FormatInt(n, 10)+" octets "+of) + "]"
}

// ShownReply are the lines of a reply as they may be shown: a challenge of AUTH (334) is not,
// nor a line that repeats secret, if there is one. It is pure.
func ShownReply(r *Reply, secret string) (lines []string) {
	for i, l := range r.Lines {
		if r.Code == 334 || secret != "" && strings.Contains(l, secret) {
			l = ShownOctets(int64(len(l)), "")
		}
		if !r.Enhanced.IsZero() {
			l = r.Enhanced.String() + " " + l
		}
		between := " "
		if i < len(r.Lines)-1 {
			between = "-"
		}
		lines = append(lines, fmt.Sprintf("%03d%s%s", r.Code, between, l))
	}
	return lines
}
