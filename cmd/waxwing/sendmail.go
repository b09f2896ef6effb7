package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

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

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

// programArgs makes the arguments of the command line: called by the name
// sendmail, the program is that command.
func programArgs(argv []string) []string {
	if len(argv) > 0 && filepath.Base(argv[0]) == "sendmail" {
		return append([]string{"sendmail"}, argv[1:]...)
	}
	return argv[min(1, len(argv)):]
}

// sendmailTimeout bounds one submission: programs that wait for sendmail must not hang.
const sendmailTimeout = 10 * time.Minute

// runSendmail sends the message on standard input (TRA-5). What goes wrong is
// told on stderr and by the exit code, always: there is no queue on this side that could
// try again.
func runSendmail(ctx context.Context, e env, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, sendmailTimeout)
	defer cancel()
	err := sendmail(ctx, e, args)
	var coded exitError
	var usage usageError
	switch {
	case err == nil || errors.As(err, &coded):
		return err
	case errors.Is(err, errHelp):
		_, err := io.WriteString(e.stdout, sendmailUsage)
		return err
	case errors.As(err, &usage):
		return exitError{exUsage, fmt.Errorf("%s; \"waxwing sendmail --help\" tells the flags", usage.text)}
	}
	return exitError{exSoftware, err}
}

func sendmail(ctx context.Context, e env, args []string) error {
	call, err := parseSendmail(args)
	if err != nil {
		return err
	}
	path, err := findSendmailConfig(call.config)
	if err == nil {
		var conf *sendmailConfig
		if conf, err = loadSendmailConfig(path); err == nil {
			return sendWith(ctx, e, &call, conf)
		}
	}
	return exitError{exConfig, fmt.Errorf("configuration: %w", err)}
}

func sendWith(ctx context.Context, e env, call *sendmailCall, conf *sendmailConfig) error {
	if len(call.recipients) == 0 && !call.header {
		return usagef("no recipients: name them, or use -t to take them from the header")
	}
	msg, err := readMessage(e.stdin, call.dots)
	if err != nil {
		return err
	}
	o, err := compose(msg, call, conf, time.Now())
	if err != nil {
		return err
	}
	if conf.Socket != "" {
		return o.overSocket(ctx, call, conf)
	}
	return o.overSMTP(ctx, call, conf)
}

// refused is a server's refusal with the exit code that callers know.
func refused(what string, r *smtp.Reply) error {
	return exitError{replyCode(r), fmt.Errorf("%s: %s", what, r)}
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
