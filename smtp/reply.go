package smtp

import (
	"fmt"
	"strconv"
	"strings"
)

// Enhanced is an enhanced status code (RFC 3463). The zero value is none.
type Enhanced struct{ Class, Subject, Detail int }

// IsZero reports whether there is no enhanced code.
func (e Enhanced) IsZero() bool { return e == Enhanced{} }

func (e Enhanced) String() string {
	if e.IsZero() {
		return ""
	}
	return strconv.Itoa(e.Class) + "." + strconv.Itoa(e.Subject) + "." + strconv.Itoa(e.Detail)
}

// Reply is one SMTP reply (RFC 5321 §4.2). It is also the error that crosses
// package borders on the server side: what the peer may read stands in Code,
// Enhanced and Lines, what only the log may hold in Cause.
type Reply struct {
	Code     int      // 200–599
	Enhanced Enhanced // zero: none
	Lines    []string // the text, without code and enhanced code; at least one, may be empty
	Cause    error    // for the log only, never sent

	Faults ReplyFaults // of a reply that was read: how it departs from the form
}

// NewReply makes a reply of one or more lines; text is split at "\n".
func NewReply(code int, e Enhanced, format string, args ...any) *Reply {
	return &Reply{Code: code, Enhanced: e, Lines: strings.Split(fmt.Sprintf(format, args...), "\n")}
}

// WithCause returns a copy of r that carries err for the log.
func (r *Reply) WithCause(err error) *Reply {
	c := *r
	c.Cause = err
	return &c
}

// Positive reports a 2xx reply.
func (r *Reply) Positive() bool { return r.Code/100 == 2 }

// Temporary reports a 4xx reply.
func (r *Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent reports a 5xx reply.
func (r *Reply) Permanent() bool { return r.Code/100 == 5 }

// Text is the text on one line, lines joined by a space.
func (r *Reply) Text() string { return strings.Join(r.Lines, " ") }

// String is the reply on one line, as for a log or a diagnostic code:
// "550 5.1.1 no such user".
func (r *Reply) String() string {
	if r == nil {
		return ""
	}
	s := strconv.Itoa(r.Code)
	if !r.Enhanced.IsZero() {
		s += " " + r.Enhanced.String()
	}
	if t := r.Text(); t != "" {
		s += " " + t
	}
	return s
}

func (r *Reply) Error() string {
	if r.Cause != nil {
		return r.String() + " (" + r.Cause.Error() + ")"
	}
	return r.String()
}

func (r *Reply) Unwrap() error { return r.Cause }
