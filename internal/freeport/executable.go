package freeport

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
)

// Executable writes a program that the test is going to start. While a file is being written,
// no process may be: it would hold the file open for writing until its own program runs, and
// whoever starts ours meanwhile is told that the "text file [is] busy".
func Executable(t testing.TB, path string, content io.Reader) {
	t.Helper()
	syscall.ForkLock.RLock() // held for writing by whoever starts a process
	defer syscall.ForkLock.RUnlock()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, content)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
