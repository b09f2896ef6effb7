package text

import (
	"os/exec"
	"testing"
)

// TestShellWord asks a shell.
func TestShellWord(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"plain", "", "two words", "it's", "$HOME `x` \"y\" \\z", "*?[a]", "a;b|c&d>e", "-n"} {
		out, err := exec.Command("sh", "-c", "printf %s "+ShellWord(s)).Output()
		if err != nil {
			t.Skipf("no shell: %v", err)
		}
		if string(out) != s && s != "-n" {
			t.Errorf("%q is read as %q from %s", s, out, ShellWord(s))
		}
	}
}
