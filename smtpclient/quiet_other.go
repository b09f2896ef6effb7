//go:build !unix

package smtpclient

import "net"

// stirred cannot be seen here: what came shows when the next reply is read.
func stirred(net.Conn) bool { return false }
