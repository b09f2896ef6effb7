//go:build unix

package smtpclient

import (
	"net"
	"syscall"
)

// stirred reports that the socket under nc has something to read: octets, its
// end, or an error. False where that cannot be seen.
func stirred(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	found := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, rerr := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		found = rerr != syscall.EAGAIN && rerr != syscall.EINTR
		return true // whatever it was: do not wait
	})
	return found || err != nil
}
