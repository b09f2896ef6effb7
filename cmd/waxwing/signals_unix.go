//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// watchSignals returns the signals that a server obeys while it runs. One to whom
// nobody listens any more (SIGPIPE of a log's reader that went away) must not end it.
func watchSignals() (got <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGUSR1)
	signal.Ignore(syscall.SIGPIPE)
	return c, func() { signal.Stop(c) }
}

func isVerbose(s os.Signal) bool { return s == syscall.SIGUSR1 }
