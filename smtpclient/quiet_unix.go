//go:build unix

package smtpclient

import "syscall"

// socket looks at the socket under a connection.
type socket struct {
	raw   syscall.RawConn // nil: cannot be seen
	look  func(fd uintptr) bool
	found bool
}

// stirred reports that the socket has something to read: octets, its end, or an
// error. False where that cannot be seen.
func (c *Conn) stirred() bool {
	if c.socket == nil {
		c.socket = newSocket(c.raw)
	}
	s := c.socket
	if s.raw == nil {
		return false
	}
	s.found = false
	err := s.raw.Read(s.look)
	return s.found || err != nil
}

func newSocket(nc any) *socket {
	s := &socket{}
	if sc, ok := nc.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.look = func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		s.found = err != syscall.EAGAIN && err != syscall.EINTR
		return true // whatever it was: do not wait
	}
	return s
}
