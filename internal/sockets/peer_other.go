//go:build !linux

package sockets

import (
	"errors"
	"fmt"
	"net"
)

// PeerUID is errors.ErrUnsupported.
func PeerUID(net.Conn) (uint32, error) {
	return 0, fmt.Errorf("who is at the other end of a unix socket: %w", errors.ErrUnsupported)
}
