package websocket

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"
)

// Conn is an open WebSocket. One goroutine reads; any number write.
type Conn struct {
	net   net.Conn
	r     *bufio.Reader
	times Times
	open  *Message // whose end was not read yet

	write  sync.Mutex
	closed bool // a close frame was sent: nothing follows it
}

// CloseError is why a connection has ended: what the client has said, or what it did wrong.
type CloseError struct {
	Code uint16
	Text string
}

func (e *CloseError) Error() string { return fmt.Sprintf("closed with %d %s", e.Code, e.Text) }

// ErrTooLong is a message of which there is more than may be.
var ErrTooLong = errors.New("the message is too long")

// Opcodes (RFC 6455 §5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa

	finBit, rsvBits, opBits = 0x80, 0x70, 0x0f
	maskBit, lengthBits     = 0x80, 0x7f
	maxControl              = 125
)

// header is that of a frame.
type header struct {
	op     byte
	fin    bool
	length int64
	mask   [4]byte
}

// Message is one that comes in.
type Message struct {
	Text  bool  // else it is binary
	First int64 // octets of its first frame: all of them, where it comes in one
	Whole bool  // it comes in one frame

	c    *Conn
	by   time.Time // it must have come whole
	h    header    // of the frame that is read
	left int64     // of that frame
	at   int64     // of its mask
	end  bool
}

// Next waits for a message, and answers control frames meanwhile. What was not read of the message before is passed over, of which
// there may be pass octets. The error is a *CloseError where the connection has ended by the rules, or because the client did
// not keep to them; it has been closed then.
func (c *Conn) Next(pass int64) (*Message, error) {
	if c.open != nil {
		n, err := io.Copy(io.Discard, io.LimitReader(c.open, pass+1))
		if err == nil && n > pass {
			err = c.fail(TooBig, "the message is too long")
		}
		if err != nil {
			return nil, err
		}
		c.open = nil
	}
	h, err := c.data(time.Now().Add(c.times.Idle))
	if err != nil {
		return nil, err
	}
	if h.op == opContinuation {
		return nil, c.fail(ProtocolError, "a continuation of nothing")
	}
	c.open = &Message{Text: h.op == opText, First: h.length, Whole: h.fin, c: c, by: time.Now().Add(c.times.Message), h: h, left: h.length}
	return c.open, nil
}

// Read gives the octets of a message; io.EOF is its end.
func (m *Message) Read(b []byte) (int, error) {
	for m.left == 0 {
		if m.end || m.h.fin {
			m.end = true
			return 0, io.EOF
		}
		h, err := m.c.data(m.by)
		if err == nil && h.op != opContinuation {
			err = m.c.fail(ProtocolError, "a message within a message")
		}
		if err != nil {
			return 0, err
		}
		m.h, m.left, m.at = h, h.length, 0
	}
	if len(b) == 0 {
		return 0, nil
	}
	_ = m.c.net.SetReadDeadline(m.by)
	n, err := m.c.r.Read(b[:min(int64(len(b)), m.left)])
	for i := range n {
		b[i] ^= m.h.mask[(m.at+int64(i))%4]
	}
	m.at, m.left = m.at+int64(n), m.left-int64(n)
	return n, noEOF(err)
}

// ReadAll is a text message of up to most octets; ErrTooLong. What is no UTF-8 closes the connection (RFC 6455 §8.1).
func (m *Message) ReadAll(most int64) ([]byte, error) {
	b := make([]byte, 0, min(m.First, most))
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := m.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > most:
			return nil, ErrTooLong
		case errors.Is(err, io.EOF):
			if m.Text && !utf8.Valid(b) {
				return nil, m.c.fail(InvalidData, "the text is no UTF-8")
			}
			return b, nil
		case err != nil:
			return nil, err
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// data is the next frame that is none of control. Control frames are answered; between messages each gives the client its time anew.
func (c *Conn) data(by time.Time) (header, error) {
	for {
		_ = c.net.SetReadDeadline(by)
		h, err := c.header()
		if err != nil || h.op < opClose {
			return h, err
		}
		if err := c.control(h); err != nil {
			return h, err
		}
		if c.open == nil {
			by = time.Now().Add(c.times.Idle)
		}
	}
}

// header reads that of a frame (RFC 6455 §5.2).
func (c *Conn) header() (h header, err error) {
	var b [8]byte
	if _, err := io.ReadFull(c.r, b[:2]); err != nil {
		return h, noEOF(err)
	}
	h.op, h.fin, h.length = b[0]&opBits, b[0]&finBit != 0, int64(b[1]&lengthBits)
	if b[0]&rsvBits != 0 {
		return h, c.fail(ProtocolError, "an extension that was not negotiated")
	}
	if b[1]&maskBit == 0 {
		return h, c.fail(ProtocolError, "a frame without a mask")
	}
	switch h.op {
	case opContinuation, opText, opBinary:
	case opClose, opPing, opPong:
		if !h.fin || h.length > maxControl {
			return h, c.fail(ProtocolError, "a control frame that is long or in pieces")
		}
	default:
		return h, c.fail(ProtocolError, "an unknown opcode")
	}
	if h.length, err = c.length(h.length); err != nil {
		return h, err
	}
	_, err = io.ReadFull(c.r, h.mask[:])
	return h, noEOF(err)
}

// length reads the longer forms of a length. Only the shortest that will do is allowed.
func (c *Conn) length(short int64) (int64, error) {
	var b [8]byte
	size, least := 0, uint64(0)
	switch short {
	case 126:
		size, least = 2, 126
	case 127:
		size, least = 8, 1<<16
	default:
		return short, nil
	}
	if _, err := io.ReadFull(c.r, b[8-size:]); err != nil {
		return 0, noEOF(err)
	}
	n := binary.BigEndian.Uint64(b[:])
	if n < least || n >= 1<<63 {
		return 0, c.fail(ProtocolError, "a length that is not in its shortest form")
	}
	return int64(n), nil
}

// control answers a control frame. That of a close is a *CloseError.
func (c *Conn) control(h header) error {
	var buf [maxControl]byte
	b := buf[:h.length]
	if _, err := io.ReadFull(c.r, b); err != nil {
		return noEOF(err)
	}
	for i := range b {
		b[i] ^= h.mask[i%4]
	}
	switch h.op {
	case opPing:
		return c.frame(opPong, b)
	case opPong:
		return nil
	}
	said, ok := closing(b)
	if !ok {
		return c.fail(ProtocolError, "a close frame that says nothing")
	}
	code := said.Code
	if len(b) == 0 {
		code = NormalClosure
	}
	c.Close(code, "")
	return said
}

// closing reads what a close frame says (RFC 6455 §5.5.1, §7.4).
func closing(b []byte) (*CloseError, bool) {
	if len(b) == 0 {
		return &CloseError{Code: 1005}, true // that there is none
	}
	if len(b) == 1 {
		return nil, false
	}
	code, text := binary.BigEndian.Uint16(b), b[2:]
	valid := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006 || code >= 3000 && code < 5000
	if !valid || !utf8.Valid(text) {
		return nil, false
	}
	return &CloseError{code, string(text)}, true
}

// fail closes a connection of which the client has broken the rules.
func (c *Conn) fail(code uint16, text string) error {
	c.Close(code, text)
	return &CloseError{code, text}
}

// WriteText sends a message. A client that does not take it in time loses the connection.
func (c *Conn) WriteText(b []byte) error { return c.frame(opText, b) }

// Ping asks whether the client is there: its answer counts as something for Times.Idle.
func (c *Conn) Ping() error { return c.frame(opPing, nil) }

// errClosed is what writes after a close frame are told.
var errClosed = errors.New("the WebSocket is closed")

// frame sends one, whole.
func (c *Conn) frame(op byte, b []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	if c.closed {
		return errClosed
	}
	c.closed = op == opClose
	head := append(make([]byte, 0, 10), finBit|op)
	switch n := len(b); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	if len(b) < 4<<10 {
		return c.send(append(head, b...)) // one record of TLS
	}
	if err := c.send(head); err != nil {
		return err
	}
	return c.send(b)
}

// slowest is how many octets a second a client must take of a long message.
const slowest = 128 << 10

// send writes, for which the client has its time. Without all of it the connection is of no use.
func (c *Conn) send(b []byte) error {
	_ = c.net.SetWriteDeadline(time.Now().Add(c.times.Message + time.Duration(len(b)/slowest)*time.Second))
	_, err := c.net.Write(b)
	if err != nil {
		c.closed = true
		_ = c.net.Close()
	}
	return err
}

// Close says why, and ends the connection. The client's answer is not waited for: it can say nothing that would still count.
func (c *Conn) Close(code uint16, text string) {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = append(b, text[:min(len(text), maxControl-2)]...)
	_ = c.frame(opClose, b) // to a client that may have gone
	_ = c.net.Close()
}

// NewConn is an open WebSocket on a connection whose handshake is done.
func NewConn(nc net.Conn, t Times) *Conn { return &Conn{net: nc, r: bufio.NewReader(nc), times: t} }
