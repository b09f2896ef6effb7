// Package websocket is the server's side of the WebSocket protocol (RFC 6455) over HTTP/1.1: the opening handshake, messages
// as they come in pieces, control frames and the closing handshake. It negotiates no extension, and keeps nothing of a message:
// whoever reads one says how much of it there may be.
package websocket

import (
	"crypto/sha1" // RFC 6455 §4.2.2 wants it; nothing is kept secret by it
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Codes with which a connection is closed (RFC 6455 §7.4.1).
const (
	NormalClosure   uint16 = 1000
	GoingAway       uint16 = 1001
	ProtocolError   uint16 = 1002
	UnsupportedData uint16 = 1003
	InvalidData     uint16 = 1007
	PolicyViolation uint16 = 1008
	TooBig          uint16 = 1009
	InternalError   uint16 = 1011
)

// HandshakeError is why a request opens no WebSocket.
type HandshakeError struct {
	Status int
	Text   string
}

func (e *HandshakeError) Error() string { return e.Text }

// Accept opens a WebSocket for a request that asks for one with a subprotocol, and takes the connection from net/http. An error that is
// a *HandshakeError is to be answered; after another one nothing can be. Whether the request may be made is for the caller to
// decide before, its Origin included (RFC 6455 §10.2).
func Accept(w http.ResponseWriter, r *http.Request, subprotocol string, t Times) (*Conn, error) {
	key, fault := check(r, subprotocol)
	if fault != nil {
		if fault.Status == http.StatusUpgradeRequired {
			w.Header().Set("Sec-WebSocket-Version", "13")
			w.Header().Set("Upgrade", "websocket")
		}
		return nil, fault
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		return nil, &HandshakeError{http.StatusNotImplemented, "WebSockets are opened by HTTP/1.1"}
	}
	if err != nil {
		return nil, err
	}
	c := &Conn{net: nc, r: rw.Reader, times: t}
	_ = nc.SetDeadline(time.Time{}) // of net/http
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n", accept(key), subprotocol)
	if err := c.send([]byte(b.String())); err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// check reads the client's part of the handshake (RFC 6455 §4.2.1).
func check(r *http.Request, subprotocol string) (key string, fault *HandshakeError) {
	bad := func(text string) (string, *HandshakeError) { return "", &HandshakeError{http.StatusBadRequest, text} }
	switch {
	case r.Method != http.MethodGet || r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return "", &HandshakeError{http.StatusNotImplemented, "WebSockets are opened by GET of HTTP/1.1"}
	case !has(r.Header, "Connection", "upgrade") || !has(r.Header, "Upgrade", "websocket"):
		return "", &HandshakeError{http.StatusUpgradeRequired, "this is a WebSocket: ask for an upgrade"}
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return "", &HandshakeError{http.StatusUpgradeRequired, "WebSockets of version 13 are spoken"}
	case !has(r.Header, "Sec-WebSocket-Protocol", subprotocol):
		return bad("the subprotocol is " + subprotocol)
	case r.ContentLength != 0:
		return bad("a request for a WebSocket has no body")
	}
	key = r.Header.Get("Sec-WebSocket-Key")
	if b, err := base64.StdEncoding.DecodeString(key); err != nil || len(b) != 16 {
		return bad("Sec-WebSocket-Key is 16 octets in base64")
	}
	return key, nil
}

// has tells whether a word stands in a list of a header field.
func has(h http.Header, name, word string) bool {
	for _, v := range h.Values(name) {
		for one := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(one), word) {
				return true
			}
		}
	}
	return false
}

// accept is the server's answer to a key.
func accept(key string) string {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 §1.3
	sum := sha1.Sum([]byte(key + guid))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Times bound how long a client may take.
type Times struct {
	Idle    time.Duration // without anything, not even an answer to a ping
	Message time.Duration // for all of a message, once it has begun, and for taking one
}
