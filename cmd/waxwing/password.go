package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// wanted is a password that a command needs. It never comes from an argument: that
// would stand in the process list and in the shell's history.
type wanted struct {
	of    string // whose it is, as the prompt says
	isNew bool   // it is being chosen: typed twice
}

// askPassword reads a password: from a terminal without showing it, else the first
// line of standard input.
func askPassword(ctx context.Context, e env, w wanted) (string, error) {
	if f, ok := e.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return typePassword(ctx, e, f, w)
	}
	line, err := bufio.NewReader(e.stdin).ReadString('\n')
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password from standard input: %w", err)
		}
		return "", errors.New("no password on standard input: give one on the first line" + w.otherwise())
	}
	return password, nil
}

func (w wanted) otherwise() string {
	if w.isNew {
		return ", or use --generate"
	}
	return ""
}

// typePassword asks at a terminal.
func typePassword(ctx context.Context, e env, f *os.File, w wanted) (string, error) {
	kind := "password"
	if w.isNew {
		kind = "new password"
	}
	password, err := typeHidden(ctx, e, f, fmt.Sprintf("%s of %s: ", kind, w.of))
	if err != nil {
		return "", err
	}
	if password == "" {
		return "", errors.New("no password was typed" + w.otherwise())
	}
	if !w.isNew {
		return password, nil
	}
	again, err := typeHidden(ctx, e, f, "the same again: ")
	if err != nil {
		return "", err
	}
	if again != password {
		return "", errors.New("the two passwords differ: nothing was changed")
	}
	return password, nil
}

// typeHidden reads a line that the terminal does not show. When the command is
// interrupted, the terminal shows what is typed again.
func typeHidden(ctx context.Context, e env, f *os.File, prompt string) (string, error) {
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("the terminal: %w", err)
	}
	fmt.Fprint(e.stderr, prompt)
	type typed struct {
		line []byte
		err  error
	}
	got := make(chan typed, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		got <- typed{line, err}
	}()
	select {
	case t := <-got:
		fmt.Fprintln(e.stderr)
		if t.err != nil && !errors.Is(t.err, io.EOF) {
			return "", fmt.Errorf("reading the password from the terminal: %w", t.err)
		}
		return string(t.line), nil
	case <-ctx.Done():
		fmt.Fprintln(e.stderr)
		return "", errors.Join(errors.New("interrupted: nothing was changed"), term.Restore(fd, before))
	}
}

// newPassword has 120 bits.
func newPassword() string {
	b := make([]byte, 15)
	rand.Read(b)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}
