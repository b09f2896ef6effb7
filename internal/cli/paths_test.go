package cli

import "testing"

// TestConfigPath (SET-7): what is named goes before the environment, that before the
// machine's, and that before what lies in the current directory.
func TestConfigPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		named, environment string
		machine            bool
		want               string
	}{
		{"", "", false, "waxwing.toml"},
		{"", "", true, "/etc/waxwing/waxwing.toml"},
		{"", "e.toml", false, "e.toml"},
		{"", "e.toml", true, "e.toml"},
		{"n.toml", "", false, "n.toml"},
		{"n.toml", "", true, "n.toml"},
		{"n.toml", "e.toml", false, "n.toml"},
		{"n.toml", "e.toml", true, "n.toml"},
	} {
		there := func(path string) bool { return c.machine && path == "/etc/waxwing/waxwing.toml" }
		if got := configPath(c.named, c.environment, there); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
