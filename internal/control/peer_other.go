//go:build !linux

package control

import (
	"net"
	"os"
)

// peerUID trusts the socket's mode, which lets in only its owner and root.
func peerUID(net.Conn) (int, error) { return os.Geteuid(), nil }
