package socketmap

import (
	"bytes"
	"strings"

	"waxwing/internal/foreign"
)

// The sizes of socketmap_table(5), in octets.
const (
	MaxRequest = 10_000  // Postfix 3.12 sends no more
	MaxReply   = 100_000 // Postfix takes no more
)

// Request is one lookup.
type Request struct {
	Map string // the name behind the last colon of the table's name in main.cf
	Key string
}

// ParseRequest parses the content of a request's netstring. The error is a *SyntaxError.
func ParseRequest(b []byte) (Request, error) {
	name, key, ok := bytes.Cut(b, []byte(" "))
	if !ok || len(name) == 0 {
		return Request{}, syntax("a request is not of the form \"MAP KEY\"")
	}
	return Request{Map: string(name), Key: string(key)}, nil
}

// String is the content of the request's netstring.
func (r Request) String() string { return r.Map + " " + r.Key }

// Status is the first word of a reply.
type Status string

// The statuses of socketmap_table(5).
const (
	StatusOK       Status = "OK"
	StatusNotFound Status = "NOTFOUND"
	StatusTemp     Status = "TEMP"    // a failure that may pass
	StatusTimeout  Status = "TIMEOUT" // a timeout on the server's side
	StatusPerm     Status = "PERM"    // a failure that will last
)

// Reply is one answer. Text is the value found, or the reason of a failure.
type Reply struct {
	Status Status
	Text   string
}

// Found is the answer that holds a value.
func Found(value string) Reply { return Reply{StatusOK, value} }

// NotFound is the answer that there is no such key.
func NotFound() Reply { return Reply{Status: StatusNotFound} }

// Temp is a failure that may pass, with its reason.
func Temp(reason string) Reply { return Reply{StatusTemp, reason} }

// Perm is a failure that will last, with its reason.
func Perm(reason string) Reply { return Reply{StatusPerm, reason} }

// String is the content of the reply's netstring: the status, one space, the
// text. It is always one that Postfix understands: control characters become
// spaces, and an OK without text, an unknown status and what is longer than
// MaxReply become temporary failures.
func (r Reply) String() string {
	text := strings.Map(printable, r.Text)
	switch r.Status {
	case StatusOK:
		if strings.TrimSpace(text) == "" {
			return string(StatusTemp) + " the server found an empty value"
		}
	case StatusNotFound:
		text = ""
	case StatusTemp, StatusTimeout, StatusPerm:
	default:
		return string(StatusTemp) + " the server gave an unknown answer"
	}
	if len(r.Status)+1+len(text) > MaxReply {
		return string(StatusTemp) + " the answer is too long"
	}
	return string(r.Status) + " " + text
}

func printable(c rune) rune {
	if c < ' ' || c == 0x7f {
		return ' '
	}
	return c
}

// ParseReply parses the content of a reply's netstring. The error is a *SyntaxError.
func ParseReply(b []byte) (Reply, error) {
	word, text, _ := strings.Cut(string(b), " ")
	switch s := Status(word); s {
	case StatusOK, StatusNotFound, StatusTemp, StatusTimeout, StatusPerm:
		return Reply{s, text}, nil
	}
	return Reply{}, syntax("a reply begins with %q", foreign.Clip(word, 40))
}
