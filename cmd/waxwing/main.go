// Command waxwing is a mail server that proves how each message travels.
// Each noun of its command line stands in a file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"waxwing/internal/cli"
	"waxwing/internal/config"
	"waxwing/internal/sendmail"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// env is what a command may touch of the outside.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       cli.Terminal // what stdout is
	program        string       // how the program is called, for lines that are to be typed; "": waxwing
}

// systemEnv is that of the process.
func systemEnv() env {
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0]
	}
	return env{os.Stdin, os.Stdout, os.Stderr, cli.TerminalOf(os.Stdout, os.Getenv), programName(os.Args[0], exe, isFile)}
}

// usageError is a wrong call: exit code 2.
type usageError struct{ text string }

func (u usageError) Error() string { return u.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// errTold is an error that was told in full on stderr already.
var errTold = errors.New("failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, systemEnv(), programArgs(os.Args))
	stop()
	os.Exit(code)
}

// run carries out one call of the program and returns its exit code. Whatever
// fails is told on stderr, also a standard output that cannot be written: a
// listing cut short must not pass for a whole one.
func run(ctx context.Context, e env, args []string) int {
	out := &output{w: e.stdout}
	e.stdout = out
	code := perform(ctx, e, args)
	if out.err == nil {
		return code
	}
	fmt.Fprintf(e.stderr, "waxwing: standard output cannot be written, and what stands there is not complete: %v\n", out.err)
	if code == exitDone {
		code = exitFailed
	}
	return code
}

// output is standard output. It remembers the first failure and writes nothing
// after it.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(b []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(b)
	o.err = err
	return n, err
}

func perform(ctx context.Context, e env, args []string) int {
	p := &program{env: e}
	root := p.root()
	root.SetArgs(spelled(root, args))
	c, err := root.ExecuteContextC(ctx)
	name := "waxwing"
	for at := c; at.HasParent(); at = at.Parent() {
		name = "waxwing " + at.Name()
	}
	var u usageError
	var coded *sendmail.Error
	var faults config.Errors
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errTold):
		return exitFailed
	case errors.As(err, &coded):
		fmt.Fprintf(e.stderr, "%s: %v\n", name, err)
		return coded.Code
	case errors.As(err, &u):
		fmt.Fprintf(e.stderr, "%s: %s\n", name, u.text)
		if c.HasParent() || len(args) == 0 {
			p.usage(e.stderr, c)
		}
		return exitUsage
	case errors.As(err, &faults):
		fmt.Fprintf(e.stderr, "%s: the configuration has %s:\n%v\n", name, number(len(faults), "fault"), faults)
		return exitFailed
	}
	fmt.Fprintf(e.stderr, "%s: %v\n", name, err)
	return exitFailed
}
