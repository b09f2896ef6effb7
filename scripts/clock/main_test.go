//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain is also the program that lives on another day.
func TestMain(m *testing.M) {
	switch os.Getenv("CLOCK_TEST") {
	case "time":
		began := time.Now()
		time.Sleep(50 * time.Millisecond)
		os.Stdout.WriteString(strconv.FormatInt(began.Unix(), 10) + " " + time.Since(began).String())
		os.Exit(3)
	case "signal":
		os.Stdout.WriteString("ready")
		time.Sleep(time.Minute)
	default:
		os.Exit(m.Run())
	}
}

// TestClock: a Go program reads the other day, its own time runs as ever, and its exit
// status and the signals for it go through.
func TestClock(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "clock")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, ahead := range []time.Duration{0, 24 * time.Hour, -1000 * time.Hour} {
		cmd := exec.Command(bin, "-ahead", ahead.String(), os.Args[0])
		cmd.Env = append(os.Environ(), "CLOCK_TEST=time")
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 3 {
			t.Fatalf("%v: %v, %s", ahead, err, out)
		}
		words := strings.Fields(string(out))
		at, err := strconv.ParseInt(words[0], 10, 64)
		if off := time.Unix(at, 0).Sub(time.Now().Add(ahead)).Abs(); err != nil || off > 30*time.Second {
			t.Errorf("%v ahead it is %v there (%v)", ahead, time.Unix(at, 0), err)
		}
		if took, err := time.ParseDuration(words[1]); err != nil || took < 50*time.Millisecond || took > 20*time.Second {
			t.Errorf("50 ms took %v, %v", took, err)
		}
	}
}

func TestSignal(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "clock")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(bin, os.Args[0])
	cmd.Env = append(os.Environ(), "CLOCK_TEST=signal")
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := said.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 2 && exit.ExitCode() != 130 {
		t.Errorf("ended with %v", err)
	}
}
