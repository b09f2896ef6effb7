package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"waxwing/internal/text"
)

func TestTerminal(t *testing.T) {
	t.Parallel()
	if got := terminalOf(&bytes.Buffer{}, os.Getenv); got != (text.Terminal{}) {
		t.Errorf("a buffer is %+v", got)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := terminalOf(f, os.Getenv); got != (text.Terminal{}) {
		t.Errorf("a file is %+v", got)
	}
	for env, want := range map[string]bool{"": true, "NO_COLOR=1": false, "NO_COLOR=": true, "TERM=dumb": false, "TERM=xterm": true} {
		got := colour(func(name string) string {
			k, v, _ := strings.Cut(env, "=")
			if k == name {
				return v
			}
			return ""
		})
		if got != want {
			t.Errorf("%q: colour %v", env, got)
		}
	}
}
