package main

import (
	"os"
	"testing"
)

// TestMain lets the test binary stand for the program: with WAXWING_RUN set it
// is waxwing, so that tests can start, script and kill real processes.
func TestMain(m *testing.M) {
	if os.Getenv("WAXWING_RUN") != "" {
		main()
	}
	os.Exit(m.Run())
}
