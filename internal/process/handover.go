package process

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Successor is a program that takes this process over, with the sockets that it listens
// on: the process stays the same, and no connection is refused meanwhile, for the kernel
// keeps those that come until they are accepted.
type Successor struct {
	program string
	args    []string
	names   []string
	files   []*os.File
}

// Succeed prepares for the program at path with args, the first of which is its name.
// The sockets stay open when their listeners are closed.
func Succeed(path string, args []string, sockets []Socket) (*Successor, error) {
	s := &Successor{program: path, args: args}
	for _, x := range sockets {
		l, ok := x.Listener.(interface{ File() (*os.File, error) })
		if !ok {
			continue // not of the kernel's: a test's
		}
		f, err := l.File()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("hand over the socket %s: %w", x.Addr(), err), s.Close())
		}
		s.files, s.names = append(s.files, f), append(s.names, x.Name+"/"+x.For)
	}
	return s, nil
}

// Close gives it up.
func (s *Successor) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Exec becomes the successor; it returns only if that fails.
func (s *Successor) Exec(environ []string) error {
	var words []string
	for i, f := range s.files {
		fd := f.Fd()
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFD, 0); errno != 0 {
			return fmt.Errorf("hand over a socket: %w", errno)
		}
		words = append(words, fmt.Sprintf("%s=%d", s.names[i], fd))
	}
	err := syscall.Exec(s.program, s.args, append(environ, handOver+"="+strings.Join(words, " ")))
	return fmt.Errorf("start %s: %w", s.program, err)
}
