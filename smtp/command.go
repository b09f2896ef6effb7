package smtp

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// MaxCommandLine is the limit for command lines in octets, CRLF included: the
// 512 of RFC 5321 §4.5.3.1.4 with what the extensions add (RFC 1870, 3461,
// 4954 §4, 6531, 8689).
const MaxCommandLine = 2048

// Command is one command line: MAIL, RCPT and the rest. Verb is in upper case,
// Arg is the rest of the line without the space between.
type Command struct {
	Verb string
	Arg  string
}

// ParseCommand splits a line without its CRLF. It refuses control characters
// and what is not UTF-8; trailing white space is dropped (RFC 5321 §4.1.1).
func ParseCommand(line []byte) (Command, error) {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return Command{}, errors.New("control character in command")
		}
	}
	if !utf8.Valid(line) {
		return Command{}, errors.New("command is not valid UTF-8")
	}
	s := strings.TrimRight(string(line), " \t")
	verb, arg, _ := strings.Cut(s, " ")
	if verb == "" {
		return Command{}, errors.New("empty command")
	}
	for i := range len(verb) {
		if c := verb[i] | 0x20; c < 'a' || c > 'z' {
			return Command{}, errors.New("command is not a word of letters")
		}
	}
	return Command{Verb: strings.ToUpper(verb), Arg: strings.TrimLeft(arg, " \t")}, nil
}
