package main

import (
	"os/exec"
	"syscall"
)

// rusage is what a process that has ended held in memory at its largest, in KiB.
func rusage(cmd *exec.Cmd) int64 {
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss
	}
	return 0
}
