package cli

import "testing"

// TestProgramName: lines that a command prints to be typed work as they stand.
func TestProgramName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		argv0, exe string
		inSource   bool
		want       string
	}{
		{"waxwing", "/usr/bin/waxwing", false, "waxwing"},
		{"waxwing", "/usr/bin/waxwing", true, "waxwing"},
		{"../waxwing", "/home/x/waxwing", false, "../waxwing"},
		{"bin/waxwing", "/src/bin/waxwing", true, "bin/waxwing"},
		{"/opt/my programs/waxwing", "/opt/my programs/waxwing", false, "'/opt/my programs/waxwing'"},
		{"/tmp/go-build123/b001/exe/waxwing", "/tmp/go-build123/b001/exe/waxwing", true, "go run ./cmd/waxwing"},
		{"/tmp/go-build123/b001/exe/waxwing", "/tmp/go-build123/b001/exe/waxwing", false, "/tmp/go-build123/b001/exe/waxwing"},
		{"", "/usr/bin/waxwing", false, "waxwing"},
	} {
		if got := programName(tt.argv0, tt.exe, func(string) bool { return tt.inSource }); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
