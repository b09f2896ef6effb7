package session

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"

	"waxwing/internal/delivery"
)

// keyedCache keeps the sessions of one kind of plan apart from those of others
// in a cache that all share: what was agreed under one verification is not
// offered under another (SES-3).
//
// It is for one connection, on one goroutine.
type keyedCache struct {
	shared tls.ClientSessionCache
	key    string
	asked  string // the key of the last Get
	put    string // and of the last Put
}

func (c *keyedCache) Get(name string) (*tls.ClientSessionState, bool) {
	c.asked = c.key + name
	return c.shared.Get(c.asked)
}

func (c *keyedCache) Put(name string, s *tls.ClientSessionState) {
	c.put = c.key + name
	c.shared.Put(c.put, s)
}

// forget drops the session that was resumed, and one that was just made. The first
// carries the certificate of the day it was made, and the host may have a better one
// by now.
func (c *keyedCache) forget() {
	if c == nil {
		return
	}
	for _, key := range []string{c.asked, c.put} {
		if key != "" {
			c.shared.Put(key, nil)
		}
	}
}

// sessionKey names all of a plan that a TLS session's worth depends on.
func sessionKey(port uint16, p *delivery.Plan) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s|%d|%d|%d|%d|%s|%d|%v|%s", p.Host.Name, port, p.TLS, offered(p), p.PKIX, p.PKIXName, p.DANE, p.DANENames, recordSet(p))
	return hex.EncodeToString(h.Sum(nil)) + "|"
}
