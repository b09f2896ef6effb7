package sendmail

import (
	"fmt"

	"waxwing/smtp"
)

// Exit codes of sysexits.h, which callers of sendmail expect.
const (
	exUsage       = 64
	exDataErr     = 65
	exNoUser      = 67
	exNoHost      = 68
	exUnavailable = 69
	exSoftware    = 70
	exIOErr       = 74
	exTempFail    = 75
	exProtocol    = 76
	exNoPerm      = 77
	exConfig      = 78
)

// Error is why a message was not sent, or not to all.
type Error struct {
	Code  int         // the exit code
	Reply *smtp.Reply // of a server that refused it; nil: none did
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func failf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

func usagef(format string, args ...any) *Error { return failf(exUsage, format, args...) }

// refused is a server's refusal with the exit code that callers know.
func refused(what string, r *smtp.Reply) *Error {
	return &Error{Code: replyCode(r), Reply: r, Err: fmt.Errorf("%s: %s", what, r)}
}

// replyCode is the exit code of a refusal (pure).
func replyCode(r *smtp.Reply) int {
	e := r.Enhanced
	switch {
	case r.Temporary():
		return exTempFail
	case r.Code == 530 || r.Code == 535 || r.Code == 538 || e.Class == 5 && e.Subject == 7:
		return exNoPerm
	case e.Class == 5 && e.Subject == 1 && e.Detail == 1:
		return exNoUser
	case e.Class == 5 && e.Subject == 1 && (e.Detail == 2 || e.Detail == 10):
		return exNoHost
	case e.Class == 5 && e.Subject == 6, r.Code == 552, e.Class == 5 && e.Subject == 3 && e.Detail == 4:
		return exDataErr
	case r.Code/10 == 50:
		return exProtocol
	}
	return exUnavailable
}

// codeReply is the reply for an error without one (pure): what the exit code says,
// in the words of SMTP.
func codeReply(code int) (reply int, e smtp.Enhanced) {
	switch code {
	case exDataErr:
		return 554, smtp.Enhanced{Class: 5, Subject: 6}
	case exNoUser:
		return 550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}
	case exNoHost:
		return 550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 2}
	case exNoPerm:
		return 550, smtp.Enhanced{Class: 5, Subject: 7}
	case exUnavailable, exUsage:
		return 554, smtp.Enhanced{Class: 5}
	case exConfig:
		return 451, smtp.Enhanced{Class: 4, Subject: 3, Detail: 5}
	}
	return 451, smtp.Enhanced{Class: 4, Subject: 3}
}
