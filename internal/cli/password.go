package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"waxwing/internal/account"
	"waxwing/internal/config"

	"golang.org/x/term"
)

// Wanted is a password that a command needs. It never comes from an argument: that
// would stand in the process list and in the shell's history.
type Wanted struct {
	Of    string // whose it is, as the prompt says
	IsNew bool   // it is being chosen: typed twice
}

// AskPassword reads a password: from a terminal without showing it, else the first
// line of standard input.
func (e Env) AskPassword(ctx context.Context, w Wanted) (string, error) {
	if f, ok := e.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return e.typePassword(ctx, f, w)
	}
	line, err := bufio.NewReader(e.Stdin).ReadString('\n')
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password from standard input: %w", err)
		}
		return "", errors.New("no password on standard input: give one on the first line" + w.otherwise())
	}
	return password, nil
}

func (w Wanted) otherwise() string {
	if w.IsNew {
		return ", or use --generate"
	}
	return ""
}

// typePassword asks at a terminal.
func (e Env) typePassword(ctx context.Context, f *os.File, w Wanted) (string, error) {
	kind := "password"
	if w.IsNew {
		kind = "new password"
	}
	password, err := e.typeHidden(ctx, f, fmt.Sprintf("%s of %s: ", kind, w.Of))
	if err != nil {
		return "", err
	}
	if password == "" {
		return "", errors.New("no password was typed" + w.otherwise())
	}
	if !w.IsNew {
		return password, nil
	}
	again, err := e.typeHidden(ctx, f, "the same again: ")
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
func (e Env) typeHidden(ctx context.Context, f *os.File, prompt string) (string, error) {
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("the terminal: %w", err)
	}
	fmt.Fprint(e.Stderr, prompt)
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
		fmt.Fprintln(e.Stderr)
		if t.err != nil && !errors.Is(t.err, io.EOF) {
			return "", fmt.Errorf("reading the password from the terminal: %w", t.err)
		}
		return string(t.line), nil
	case <-ctx.Done():
		fmt.Fprintln(e.Stderr)
		return "", errors.Join(errors.New("interrupted: nothing was changed"), term.Restore(fd, before))
	}
}

// Secret reads the password of a user, from a file if one is named; none without a user.
func (e Env) Secret(ctx context.Context, user, file string) (string, error) {
	if user == "" {
		return "", nil
	}
	if file == "" {
		return e.AskPassword(ctx, Wanted{Of: user})
	}
	return firstLine(file)
}

// firstLine is the first line of a file that holds a password.
func firstLine(file string) (string, error) {
	if config.OthersRead(file) {
		return "", fmt.Errorf("everybody on this machine can read %s, and it holds a password: chmod o-rwx %s", file, file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", fmt.Errorf("the first line of %s is empty: write the password there", file)
	}
	return line, nil
}

// NewPassword has 120 bits.
func NewPassword() string { return account.NewSecret() }
