//go:build !unix

package smtpclient

type socket struct{}

// stirred cannot be seen here: what came shows when the next reply is read.
func (c *Conn) stirred() bool { return false }
