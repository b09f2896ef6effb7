package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMutants: every comparison and boolean is flipped once, alone, and the key says
// where, so that it outlives lines that move.
func TestMutants(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := "package p\n\nfunc f(a, b int, c bool) bool {\n\tif a < b && !c || a == 1 {\n\t\treturn true\n\t}\n\treturn a == 1\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := mutants(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"if a < b && !c && a == 1 {", "if a < b || !c || a == 1 {", "if a <= b && !c || a == 1 {", "if a < b && c || a == 1 {", "if a < b && !c || a != 1 {",
		"return false", "return a != 1",
	}
	if len(all) != len(want) {
		t.Fatalf("%d mutants, want %d", len(all), len(want))
	}
	keys := map[string]bool{}
	for i, m := range all {
		if !strings.Contains(string(m.text), want[i]) || len(strings.Split(string(m.text), "\n")) != len(strings.Split(src, "\n")) {
			t.Errorf("mutant %d:\n%s\nwant %s", i, m.text, want[i])
		}
		if keys[m.key] || !strings.Contains(m.key, " f: ") {
			t.Errorf("key %q", m.key)
		}
		keys[m.key] = true
	}
}
