package freeport

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A program can be started as soon as it is written, however many others are.
func TestExecutable(t *testing.T) {
	t.Parallel()
	ctx, enough := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for range 8 {
		others.Go(func() {
			for ctx.Err() == nil {
				if err := exec.CommandContext(ctx, "true").Run(); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	dir := t.TempDir()
	for i := range 100 {
		path := filepath.Join(dir, fmt.Sprint(i))
		Executable(t, path, strings.NewReader("#!/bin/sh\n"+strings.Repeat("#\n", 1<<15)))
		if err := exec.Command(path).Run(); err != nil {
			t.Errorf("program %d: %v", i, err)
		}
	}
	enough()
	others.Wait()
}
