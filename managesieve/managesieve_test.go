package managesieve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// readAll reads commands to the end, each as one line.
func readAll(in string, limit int64) (out []string, end error) {
	r := &Reader{In: bufio.NewReaderSize(strings.NewReader(in), 16), Limit: limit}
	for {
		c, err := r.Command()
		var bad *SyntaxError
		var large *TooLarge
		switch {
		case errors.As(err, &bad), errors.As(err, &large):
			out = append(out, "error: "+err.Error())
		case err != nil:
			return out, err
		default:
			s := c.Name
			for _, a := range c.Args {
				if a.IsText {
					s += fmt.Sprintf(" %q", a.Text)
				} else {
					s += fmt.Sprintf(" %d", a.Number)
				}
			}
			out = append(out, s)
		}
	}
}

// SIV-2: commands as RFC 5804 writes them, and what is wrong with others.
func TestCommands(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"CAPABILITY\r\n": `CAPABILITY`,
		"logout\n":       `LOGOUT`,
		"HAVESPACE \"my\\\"script\\\\\" 99999\r\n":                             `HAVESPACE "my\"script\\" 99999`,
		"PUTSCRIPT \"foo\" {14+}\r\nkeep; # {5+}\r\n\r\nNOOP\r\n":              `PUTSCRIPT "foo" "keep; # {5+}\r\n" | NOOP`,
		"RENAMESCRIPT {1+}\r\na {2}\r\nbc\r\n":                                 `RENAMESCRIPT "a" "bc"`,
		"PUTSCRIPT \"a\" {40+}\r\n" + strings.Repeat("x", 40) + "\r\nNOOP\r\n": `error: a string of 40 octets is too long | NOOP`,
		"PUTSCRIPT a {3+}\r\nabc\r\nNOOP\r\n":                                  `error: a string is expected, in quotes or as a literal | NOOP`,
		"PUTSCRIPT \"a\"\"b\"\r\nNOOP\r\n":                                     `error: a blank is expected between arguments | NOOP`,
		"NOOP \"\\x\"\r\n":                                                     `error: a backslash in a string stands before a quote or a backslash`,
		"NOOP \"x\r\n":                                                         `error: a string without its end`,
		"NOOP \"\xff\"\r\n":                                                    `error: a string is not UTF-8`,
		"HAVESPACE \"a\" 99999999999\r\n":                                      `error: the number is too large`,
		"\r\n":                                                                 `error: a command is expected`,
		"X 1 2 3 4 5 6 7 8 9\r\n":                                              `error: too many arguments`,
		"NOOP {3+} x\r\n":                                                      `error: a literal begins as in {12+}, at the end of its line`,
	} {
		out, end := readAll(in, 30)
		if got := strings.Join(out, " | "); got != want || end != io.EOF {
			t.Errorf("%q:\n %s (%v)\nwant\n %s", in, got, end, want)
		}
	}
	for in, want := range map[string]error{
		"NOOP \"x":                              io.ErrUnexpectedEOF,
		"PUTSCRIPT \"a\" {20+}\r\nabc":          io.ErrUnexpectedEOF,
		"PUTSCRIPT \"a\" {3+}\r\nabc":           io.ErrUnexpectedEOF,
		"NOOP " + strings.Repeat("x", MaxLine):  ErrLineTooLong,
		"PUTSCRIPT \"a\" {99999999+}\r\nabc":    ErrSkip,
		strings.Repeat("X {0+}\r\n", MaxLine/4): ErrLineTooLong,
	} {
		if _, end := readAll(in, 30); !errors.Is(end, want) {
			t.Errorf("%.40q: %v, want %v", in, end, want)
		}
	}
	r := &Reader{In: bufio.NewReader(strings.NewReader("\"abc\"\r\n{3+}\r\nabc\r\nabc\r\n")), Limit: 10}
	for _, want := range []string{"abc", "abc"} {
		if got, err := r.String(); got != want || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := r.String(); !errors.As(err, new(*SyntaxError)) {
		t.Errorf("%v", err)
	}
}

// SIV-2: answers as RFC 5804 §1.2 has them.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]Answer{
		"OK\r\n": {Word: "OK"},
		"NO (QUOTA/MAXSIZE) \"too \\\"large\\\"\"\r\n": {"NO", "QUOTA/MAXSIZE", `too "large"`},
		"NO {13}\r\nline 1\r\nline2\r\n":               {Word: "NO", Text: "line 1\r\nline2"},
	} {
		if got := string(a.Write()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := string(Lines("SIEVE", "fileinto")) + string(Literal("a\"")); got != "\"SIEVE\" \"fileinto\"\r\n{2}\r\na\"" {
		t.Errorf("%q", got)
	}
}

// FuzzCommand: whatever a client sends is read in bounded memory, and what is read as a command is
// written and read again as the same.
func FuzzCommand(f *testing.F) {
	f.Add([]byte("PUTSCRIPT \"foo\" {14+}\r\nkeep; # {5+}\r\n\r\nNOOP\r\n"))
	f.Add([]byte("AUTHENTICATE \"PLAIN\" \"AGpvZQ==\"\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := &Reader{In: bufio.NewReader(strings.NewReader(string(in))), Limit: 1000}
		for range 1000 {
			c, err := r.Command()
			if err != nil {
				if !errors.As(err, new(*SyntaxError)) && !errors.As(err, new(*TooLarge)) {
					return
				}
				continue
			}
			text := c.Name
			for _, a := range c.Args {
				if !a.IsText {
					text += fmt.Sprintf(" %d", a.Number)
					continue
				}
				if int64(len(a.Text)) > 1000+maxQuoted {
					t.Fatalf("a string of %d octets", len(a.Text))
				}
				text += fmt.Sprintf(" {%d+}\r\n%s", len(a.Text), a.Text)
			}
			again := &Reader{In: bufio.NewReader(strings.NewReader(text + "\r\n")), Limit: 1 << 20}
			if d, err := again.Command(); err != nil || fmt.Sprint(c) != fmt.Sprint(d) {
				t.Fatalf("%q: %v became %v, %v", text, c, d, err)
			}
		}
	})
}
