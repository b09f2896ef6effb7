package backup

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// openRegular opens a file to be read, and refuses what is no regular file: root may run
// this in a directory where another user has put a link to a file of root's, or a FIFO
// that nobody writes to.
func openRegular(path string, follow bool) (*os.File, error) {
	flags := os.O_RDONLY | syscall.O_NONBLOCK // or the opening of a FIFO waits for its writer
	if !follow {
		flags |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file: move it away", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// readRegular reads a regular file of at most so many octets; tooLong: it has more.
func readRegular(path string, most int64) (b []byte, tooLong bool, err error) {
	f, err := openRegular(path, false)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > most {
		return nil, err == nil, err
	}
	b, err = io.ReadAll(io.LimitReader(f, most+1))
	return b, int64(len(b)) > most, err
}
