// Package cli is the command line: commands as data, from which the tree, its help,
// completions and manual pages are made; how arguments and passwords are read, and how
// answers are printed for people and programs.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"waxwing/internal/config"
	"waxwing/internal/text"
)

// Exit codes.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// Env is what a command may touch of the outside.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       text.Terminal // what Stdout is
	Name           string        // how the program is called, for lines that are to be typed; "": waxwing
}

// SystemEnv is that of the process.
func SystemEnv() Env {
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0]
	}
	return Env{os.Stdin, os.Stdout, os.Stderr, terminalOf(os.Stdout, os.Getenv), programName(os.Args[0], exe, isFile)}
}

// usageError is a wrong call: exit code 2.
type usageError struct{ text string }

func (u usageError) Error() string { return u.text }

// Usagef makes the error of a wrong call: exit code 2, told with the right usage.
func Usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// ErrTold is an error that was told in full on stderr already.
var ErrTold = errors.New("failed")

// ExitError is an error with an exit code of its own.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }
func (e *ExitError) Unwrap() error { return e.Err }

// Run carries out one call of the program, whose commands build makes, and returns its
// exit code. Whatever fails is told on stderr, also a standard output that cannot be
// written: a listing cut short must not pass for a whole one.
func Run(ctx context.Context, e Env, args []string, build func(*Program) *cobra.Command) int {
	out := &output{w: e.Stdout}
	e.Stdout = out
	code := perform(ctx, &Program{Env: e}, args, build)
	if out.err == nil {
		return code
	}
	fmt.Fprintf(e.Stderr, "waxwing: standard output cannot be written, and what stands there is not complete: %v\n", out.err)
	if code == ExitDone {
		code = ExitFailed
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

func perform(ctx context.Context, p *Program, args []string, build func(*Program) *cobra.Command) int {
	root := build(p)
	root.SetArgs(spelled(root, args))
	c, err := root.ExecuteContextC(ctx)
	name := root.Name()
	for at := c; at.HasParent(); at = at.Parent() {
		name = root.Name() + " " + at.Name()
	}
	var u usageError
	var coded *ExitError
	var faults config.Errors
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, ErrTold):
		return ExitFailed
	case errors.As(err, &coded):
		fmt.Fprintf(p.Stderr, "%s: %v\n", name, err)
		return coded.Code
	case errors.As(err, &u):
		fmt.Fprintf(p.Stderr, "%s: %s\n", name, u.text)
		if c.HasParent() || len(args) == 0 {
			p.usage(p.Stderr, c)
		}
		return ExitUsage
	case errors.As(err, &faults):
		fmt.Fprintf(p.Stderr, "%s: the configuration has %s:\n%v\n", name, text.Count(len(faults), "fault"), faults)
		return ExitFailed
	}
	fmt.Fprintf(p.Stderr, "%s: %v\n", name, err)
	return ExitFailed
}
