package control

import (
	"errors"
	"fmt"

	"waxwing/internal/outbox"
	"waxwing/internal/spool"
)

// Bounds of the protocol.
const (
	maxRequest = 1 << 20  // octets
	maxAnswer  = 64 << 20 // octets, a message with a thousand attempts
	maxConns   = 32
)

const (
	versionHeader = "Waxwing-Control"
	versionPath   = "/version"
)

// Hello is what the server says of itself.
type Hello struct {
	Protocol int    `json:"protocol"`
	Program  string `json:"program"` // version of the program
	PID      int    `json:"pid"`
}

// failure is an error on the wire.
type failure struct {
	Word string `json:"word"`
	Text string `json:"text"`
}

// The words of failures that have no error value.
const (
	wordFailed  = "failed"
	wordVersion = "version"
	wordPeer    = "not-permitted"
	wordRequest = "bad-request"
)

// wordErrors are the errors that callers ask for by errors.Is.
func wordErrors() map[string]error {
	return map[string]error{"no-such-message": spool.ErrNoSuchMessage}
}

// encode makes a failure of an error.
func encode(err error) failure {
	for w, e := range wordErrors() {
		if errors.Is(err, e) {
			return failure{w, err.Error()}
		}
	}
	return failure{wordFailed, err.Error()}
}

// RemoteError is an error that the server answered with.
type RemoteError struct{ Word, Text string }

func (e *RemoteError) Error() string { return e.Text }

// Is makes errors.Is work for the errors that the rooms define.
func (e *RemoteError) Is(target error) bool { return wordErrors()[e.Word] == target && target != nil }

// ErrNotRunning: nobody answers at the socket.
var ErrNotRunning = errors.New("no server runs on this data directory")

// MismatchError: the server speaks another version of the protocol.
type MismatchError struct {
	Server, Client int
	Program        string // version of the server's program
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the running server (version %s) speaks version %d of the control protocol, and this program version %d: use the program that the server was started from, or restart the server",
		e.Program, e.Server, e.Client)
}

// sent is outbox.Summary with what its JSON leaves out.
type sent struct {
	Summary outbox.Summary
	Reports [][]byte // the text of each of Summary.Made
}

func wrapSummary(s outbox.Summary) sent {
	out := sent{Summary: s}
	for _, m := range s.Made {
		out.Reports = append(out.Reports, m.Text)
	}
	return out
}

func (s sent) summary() outbox.Summary {
	for i := range s.Summary.Made {
		if i < len(s.Reports) {
			s.Summary.Made[i].Text = s.Reports[i]
		}
	}
	return s.Summary
}

// byID is the request of Show.
type byID struct{ ID int64 }

// atMost is the request of Closed.
type atMost struct{ Limit int }
