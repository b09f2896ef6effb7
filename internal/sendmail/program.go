package sendmail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"waxwing/smtp"
)

// Program is one call of sendmail.
type Program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Now            func() time.Time
	Machine        Machine
	// Queue shows the queue of the server on this machine (-bp), whose configuration
	// config names; "": where it usually is.
	Queue func(ctx context.Context, config string) error
}

// timeout bounds one submission: programs that wait for sendmail must not hang.
const timeout = 10 * time.Minute

// Run does what the arguments say. Its errors are *Error.
func (p *Program) Run(ctx context.Context, args []string) error {
	err := p.run(ctx, args)
	var coded *Error
	switch {
	case err == nil || errors.As(err, &coded):
		return err
	case errors.Is(err, errHelp):
		_, err = io.WriteString(p.Stdout, usage)
		return err
	}
	return &Error{Code: exSoftware, Err: err}
}

func (p *Program) run(ctx context.Context, args []string) error {
	call, err := parse(args)
	if err != nil {
		return err
	}
	if call.mode == modeAliases { // newaliases: there is no alias file, and nothing to do
		return nil
	}
	path, warnings := findConfig(call.config)
	conf, err := loadConfig(path)
	if err != nil {
		return failf(exConfig, "configuration: %w", err)
	}
	if call.mode == modeSMTP {
		// Nothing is told on stderr: programs take that for a failure to start.
		return p.speak(ctx, &call, conf)
	}
	for _, w := range warnings {
		fmt.Fprintf(p.Stderr, "waxwing sendmail: warning: %s\n", w)
	}
	if call.mode == modeQueue {
		return p.showQueue(ctx, conf)
	}
	return p.once(ctx, &call, conf)
}

func (p *Program) showQueue(ctx context.Context, conf *config) error {
	err := p.Queue(ctx, conf.ServerConfig)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return &Error{Code: exNoPerm, Err: err}
	}
	return &Error{Code: exUnavailable, Err: err}
}

// once sends the message on standard input.
func (p *Program) once(ctx context.Context, call *call, conf *config) error {
	if len(call.recipients) == 0 && !call.header {
		return usagef("no recipients: name them, or use -t to take them from the header; \"waxwing sendmail --help\" tells the flags")
	}
	msg, err := readMessage(p.Stdin, call.dots)
	if err != nil {
		return err
	}
	o, err := p.compose(msg, call, conf)
	if err != nil {
		return err
	}
	_, err = o.send(ctx, call, conf)
	return err
}

// send hands the message over and returns the reply of who took it.
func (o *outgoing) send(ctx context.Context, call *call, conf *config) (*smtp.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return o.submit(ctx, call, conf)
}
