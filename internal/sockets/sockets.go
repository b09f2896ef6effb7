// Package sockets is what unix sockets of a server need beside package net: the
// place for one, and who is at the other end.
package sockets

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// ErrInUse: somebody listens at the path.
var ErrInUse = errors.New("in use by another process, perhaps a waxwing that still runs: end it, or give another path")

// maxPath is the longest path of a unix socket, in octets.
const maxPath = 107

// Clear makes way for a socket of a network, "unix" or "unixgram", at path: it
// removes one that a dead process has left. One that is alive is ErrInUse; any other
// kind of file is an error, too.
func Clear(network, path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("the socket's path %q is longer than %d octets", path, maxPath)
	}
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the socket %s: %w", path, err)
	case fi.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s is there and no socket: remove it, or give another path", path)
	}
	c, err := net.Dial(network, path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("the socket %s is %w", path, ErrInUse)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("the socket %s is there: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the old socket: %w", err)
	}
	return nil
}
