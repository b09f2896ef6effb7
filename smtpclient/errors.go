package smtpclient

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"waxwing/smtp"
)

// Step is a part of the dialogue, for errors and timeouts.
type Step string

// The steps.
const (
	StepGreeting Step = "greeting"
	StepHello    Step = "EHLO"
	StepStartTLS Step = "STARTTLS"
	StepTLS      Step = "TLS handshake"
	StepAuth     Step = "AUTH"
	StepMail     Step = "MAIL"
	StepRcpt     Step = "RCPT"
	StepData     Step = "DATA"
	StepBody     Step = "message body"
	StepFinal    Step = "end of message"
	StepReset    Step = "RSET"
	StepQuit     Step = "QUIT"
)

// ConnError is a connection that failed: closed, reset, timed out, or with
// something on it that is no SMTP. The connection cannot be used any more.
type ConnError struct {
	Step Step
	Err  error
}

func (e *ConnError) Error() string {
	switch {
	case e.Timeout():
		return "timed out in " + string(e.Step)
	case e.Closed():
		return "connection closed by the peer in " + string(e.Step)
	}
	return string(e.Step) + ": " + e.Err.Error()
}

func (e *ConnError) Unwrap() error { return e.Err }

// Timeout reports that a deadline passed.
func (e *ConnError) Timeout() bool {
	var ne net.Error
	return errors.Is(e.Err, os.ErrDeadlineExceeded) || errors.As(e.Err, &ne) && ne.Timeout()
}

// Closed reports that the peer ended the connection in an orderly way.
func (e *ConnError) Closed() bool {
	return errors.Is(e.Err, io.EOF) || errors.Is(e.Err, io.ErrUnexpectedEOF)
}

// ReplyError is a reply other than the wanted one. The dialogue is in step,
// and can go on unless the code is 421.
type ReplyError struct {
	Step  Step
	Reply *smtp.Reply
}

func (e *ReplyError) Error() string { return string(e.Step) + ": " + e.Reply.String() }
func (e *ReplyError) Unwrap() error { return e.Reply }

// StartTLSReplyError is a reply to STARTTLS other than 220.
type StartTLSReplyError struct{ Reply *smtp.Reply }

func (e *StartTLSReplyError) Error() string { return "STARTTLS: " + e.Reply.String() }
func (e *StartTLSReplyError) Unwrap() error { return e.Reply }

// HandshakeError is a TLS session that did not come about: a failed handshake,
// or an alert on the first read after it. Err is crypto/tls's error, that of
// the tls.Config's VerifyConnection, or ErrInjection.
type HandshakeError struct {
	Err error
	// After: the handshake had succeeded as far as this side could tell.
	After bool
}

func (e *HandshakeError) Error() string { return "TLS handshake: " + e.Err.Error() }
func (e *HandshakeError) Unwrap() error { return e.Err }

// BodyError is a message that could not be read or must not be sent as it is;
// the peer did nothing wrong. The message was not completed.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "message body: " + e.Err.Error() }
func (e *BodyError) Unwrap() error { return e.Err }

// FinalError is Transaction.BeforeFinal's error: the message was not completed.
type FinalError struct{ Err error }

func (e *FinalError) Error() string { return "before the end of the message: " + e.Err.Error() }
func (e *FinalError) Unwrap() error { return e.Err }

var (
	// ErrInjection: the peer, or someone on the way, sent more than the reply
	// to STARTTLS before TLS began.
	ErrInjection = errors.New("data after the reply to STARTTLS, sent before TLS began")
	// ErrNotOffered: the extension that a call needs was not offered.
	ErrNotOffered = errors.New("extension not offered")
	// ErrUnusable: the connection failed before, or was closed.
	ErrUnusable = errors.New("SMTP connection cannot be used any more")
	// ErrControl: an argument holds a control character, which would end the command.
	ErrControl = errors.New("control character in command argument")
)

// tlsFault reports an error of the TLS layer, as opposed to one of the
// connection below it: an alert from the peer, or a record that is no TLS.
func tlsFault(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	return strings.HasPrefix(err.Error(), "tls: ")
}
