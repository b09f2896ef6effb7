//go:build linux || darwin || freebsd

package disk

import (
	"fmt"
	"math"
	"syscall"
)

// free is what a process without privileges may still write.
func free(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("ask how much room %s has: %w", dir, err)
	}
	if s.Bavail <= 0 { // signed on FreeBSD
		return 0, nil
	}
	blocks, size := uint64(s.Bavail), uint64(s.Bsize)
	if size != 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64, nil
	}
	return int64(blocks * size), nil
}
