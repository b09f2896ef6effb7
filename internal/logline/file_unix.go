//go:build unix

package logline

import (
	"os"
	"syscall"
)

// identity is where an open file lies.
func identity(f *os.File) (dev, ino uint64, ok bool) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return uint64(st.Dev), uint64(st.Ino), true
}
