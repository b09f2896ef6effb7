package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// TestMain lets the test binary stand for the program: with WAXWING_RUN set it
// is waxwing, so that tests can start, script and kill real processes.
func TestMain(m *testing.M) {
	if os.Getenv("WAXWING_RUN") != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := run(ctx, systemEnv(), programArgs(os.Args))
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}
