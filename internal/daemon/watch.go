package daemon

import (
	"os"
	"os/signal"
	"syscall"
)

// watchSignals returns the signals that a server obeys while it runs. One to whom
// nobody listens any more (SIGPIPE of a log's reader that went away) must not end it.
func watchSignals() (got <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	signal.Ignore(syscall.SIGPIPE)
	return c, func() { signal.Stop(c) }
}

// ignoreSignals ignores them, also for a program that takes this process over.
func ignoreSignals() { signal.Ignore(syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2) }

func isHandOver(s os.Signal) bool { return s == syscall.SIGUSR2 }

func isVerbose(s os.Signal) bool { return s == syscall.SIGUSR1 }
