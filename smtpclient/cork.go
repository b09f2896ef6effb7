package smtpclient

import (
	"net"
	"time"
)

// corked is a connection that, while hold is set, gathers what is written and sends it
// before the next read, or together with the first write after it. TLS writes its
// last message of the handshake, and its word of farewell, by themselves, where the
// peer would wake up twice for what one packet holds: our EHLO is written next, our
// QUIT just before.
type corked struct {
	net.Conn
	hold    bool
	waiting []byte
	last    bool // Close sends what waits
}

// maxWaiting bounds what is gathered, in octets.
const maxWaiting = 16 << 10

func (k *corked) Write(p []byte) (int, error) {
	if !k.hold && len(k.waiting) == 0 {
		return k.Conn.Write(p)
	}
	k.waiting = append(k.waiting, p...)
	if k.hold && len(k.waiting) <= maxWaiting {
		return len(p), nil
	}
	if err := k.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (k *corked) Read(p []byte) (int, error) {
	if len(k.waiting) > 0 {
		if err := k.flush(); err != nil {
			return 0, err
		}
	}
	return k.Conn.Read(p)
}

func (k *corked) flush() error {
	b := k.waiting
	k.waiting = k.waiting[:0]
	_, err := k.Conn.Write(b)
	return err
}

// Close may be called while a handshake is under way, which it ends; then last is false
// and what waits is not looked at.
func (k *corked) Close() error {
	if k.last && len(k.waiting) > 0 {
		k.Conn.SetWriteDeadline(time.Now().Add(partTime)) // crypto/tls has set one that is over
		k.flush()                                         // nothing that matters could still be said
	}
	return k.Conn.Close()
}
