package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// terminal is a pseudo-terminal, and a program that runs at it.
type terminal struct {
	t        *testing.T
	keyboard *os.File // of the user
	line     *os.File // of the program
	cmd      *exec.Cmd

	mu    sync.Mutex
	shown bytes.Buffer // what the terminal echoes
	said  bytes.Buffer // standard error
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// atTerminal starts waxwing in a directory with its standard input at a terminal.
func atTerminal(t *testing.T, dir string, args ...string) *terminal {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	var unlocked, number int32
	if err := ioctl(keyboard, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked)); err != nil {
		t.Fatal(err)
	}
	if err := ioctl(keyboard, syscall.TIOCGPTN, unsafe.Pointer(&number)); err != nil {
		t.Fatal(err)
	}
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &terminal{t: t, keyboard: keyboard, line: line}
	w.cmd = exec.Command(os.Args[0], args...)
	w.cmd.Dir, w.cmd.Stdin, w.cmd.Stderr = dir, line, lockedWriter{w}
	w.cmd.Env = append(os.Environ(), "WAXWING_RUN=1")
	go func() {
		b := make([]byte, 1000)
		for {
			n, err := keyboard.Read(b)
			w.mu.Lock()
			w.shown.Write(b[:n])
			w.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { keyboard.Close(); line.Close() })
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}

// lockedWriter is the program's standard error.
type lockedWriter struct{ w *terminal }

func (l lockedWriter) Write(b []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.said.Write(b)
}

func (w *terminal) text() (shown, said string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shown.String(), w.said.String()
}

// echoes reports whether the terminal shows what is typed.
func (w *terminal) echoes() bool {
	var state syscall.Termios
	if err := ioctl(w.line, syscall.TCGETS, unsafe.Pointer(&state)); err != nil {
		w.t.Fatal(err)
	}
	return state.Lflag&syscall.ECHO != 0
}

// eventually waits for something to be true.
func (w *terminal) eventually(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			shown, said := w.text()
			w.t.Fatalf("%s: never; shown %q, said %q", what, shown, said)
		}
	}
}

// answer types a line after a prompt, once the terminal has stopped showing it.
func (w *terminal) answer(prompt, line string) {
	w.t.Helper()
	w.eventually(prompt, func() bool { _, said := w.text(); return strings.HasSuffix(said, prompt) && !w.echoes() })
	if _, err := w.keyboard.WriteString(line + "\n"); err != nil {
		w.t.Fatal(err)
	}
}

// A password that is typed is not shown; afterwards, and after an interruption, the
// terminal shows what is typed again.
func TestPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	quickstart := exec.Command(os.Args[0], "quickstart", "-local", "you@example.test")
	quickstart.Dir, quickstart.Env = dir, append(os.Environ(), "WAXWING_RUN=1")
	if out, err := quickstart.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conf := filepath.Join(dir, "waxwing.toml")
	for name, tt := range map[string]struct {
		args    []string
		prompts []string
	}{
		"a new account":  {[]string{"account", "add", "-config", conf, "joe"}, []string{"new password of joe: ", "the same again: "}},
		"a new password": {[]string{"account", "password", "-config", conf, "you"}, []string{"new password of you: ", "the same again: "}},
		"of a relay": {[]string{"transport", "add", "-config", conf, "-kind", "submission", "-host", "relay.example.test", "-user", "me", "relay"},
			[]string{"password of me: "}},
	} {
		t.Run(name, func(t *testing.T) {
			w := atTerminal(t, dir, tt.args...)
			for _, prompt := range tt.prompts {
				w.answer(prompt, "hunter2222")
			}
			if err := w.cmd.Wait(); err != nil {
				_, said := w.text()
				t.Fatalf("%v: %s", err, said)
			}
			if shown, said := w.text(); strings.Contains(shown+said, "hunter") || !w.echoes() {
				t.Errorf("shown %q, said %q, shows again %v", shown, said, w.echoes())
			}
		})
	}
	w := atTerminal(t, dir, "account", "password", "-config", conf, "you")
	w.eventually("a prompt", func() bool { return !w.echoes() })
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Wait(); err == nil || !w.echoes() {
		t.Errorf("interrupted: %v, the terminal shows what is typed: %v", err, w.echoes())
	}
	if _, said := w.text(); !strings.Contains(said, "interrupted: nothing was changed") {
		t.Errorf("interrupted: %s", said)
	}
}
