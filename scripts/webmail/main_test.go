package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// WEB-1: what is served is what the TypeScript says.
func TestFresh(t *testing.T) {
	t.Parallel()
	made, err := bundles(filepath.Join("..", "..", "internal", "web", "mail"))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range made {
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale: go run ./scripts/webmail (%v)", file, err)
		}
	}
}

// WEB-1: the types fit. esbuild looks at none of them.
func TestTypes(t *testing.T) {
	t.Parallel()
	tsc, err := exec.LookPath("tsc")
	if err != nil {
		if os.Getenv("WAXWING_INTEROP") == "required" {
			t.Fatal("tsc is not installed")
		}
		t.Skip("webmail: tsc is not installed (Debian's node-typescript)")
	}
	c := exec.Command(tsc, "--project", filepath.Join("..", "..", "internal", "web", "mail", "script"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
