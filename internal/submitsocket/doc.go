// Package submitsocket lets programs on this machine hand in mail without a
// password (TRA-5): over a unix socket, whose other end the kernel names. The
// user id of a peer maps to an account and to the addresses it may send from; all
// else is as for mail that came over submission, by the same backend.
//
// The protocol is one request and one answer a connection, each a line of JSON;
// the message follows the request as octets. It is between two parts of
// one program and may change with it.
package submitsocket

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"waxwing/smtp"
)

// Version is that of the protocol.
const Version = 1

// Request is one message to be sent.
type Request struct {
	Version    int      `json:"version"`
	From       string   `json:"from"` // "" is the null reverse-path
	Recipients []string `json:"recipients"`
	RequireTLS bool     `json:"require_tls,omitempty"` // RFC 8689
	SMTPUTF8   bool     `json:"smtputf8,omitempty"`
	EnvID      string   `json:"envid,omitempty"`  // RFC 3461
	Ret        string   `json:"ret,omitempty"`    // HDRS, FULL
	Notify     []string `json:"notify,omitempty"` // NEVER, or of SUCCESS, FAILURE, DELAY
	Size       int64    `json:"size"`             // octets of the message that follows; CRLF line ends
}

// answer is a reply on the wire.
type answer struct {
	Code     int      `json:"code"`
	Enhanced string   `json:"enhanced,omitempty"`
	Lines    []string `json:"lines"`
}

// Bounds of the two lines, in octets.
const (
	maxRequest = 1 << 20
	maxAnswer  = 64 << 10
)

// readLine reads one line of at most max octets, without its end.
func readLine(r *bufio.Reader, max int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > max {
			return nil, fmt.Errorf("a line of more than %d octets", max)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

func toAnswer(r *smtp.Reply) answer {
	return answer{Code: r.Code, Enhanced: r.Enhanced.String(), Lines: r.Lines}
}

func (a answer) reply() (*smtp.Reply, error) {
	if a.Code < 200 || a.Code > 599 || len(a.Lines) == 0 {
		return nil, fmt.Errorf("the server's answer has the code %d and %d lines", a.Code, len(a.Lines))
	}
	r := &smtp.Reply{Code: a.Code, Lines: a.Lines}
	if a.Enhanced != "" {
		e, err := smtp.ParseEnhanced(a.Enhanced)
		if err != nil {
			return nil, err
		}
		r.Enhanced = e
	}
	return r, nil
}
