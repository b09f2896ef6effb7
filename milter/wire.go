package milter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// wire is the connection with a filter, and what is left of its limits.
type wire struct {
	nc   net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	left Limits

	spent time.Duration // waiting for the filter
}

// ErrTime says that a filter has used up its time.
var ErrTime = errors.New("milter: no answer in time")

// within has fn talk to the filter in the time that is left.
func (w *wire) within(ctx context.Context, fn func() error) error {
	if w.left.Time <= 0 {
		return ErrTime
	}
	begun := time.Now()
	if err := w.nc.SetDeadline(begun.Add(w.left.Time)); err != nil {
		return err
	}
	nc := w.nc
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err := fn()
	took := time.Since(begun)
	w.left.Time, w.spent = w.left.Time-took, w.spent+took
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil {
		return ErrTime
	}
	return err
}

// send puts a packet into the buffer, which the next read empties.
func (w *wire) send(cmd byte, parts ...[]byte) error {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	if _, err := w.w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(n)), cmd)); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// texts are strings as the protocol has them, each with a NUL behind it.
func texts(all ...string) []byte {
	var b []byte
	for _, s := range all {
		b = append(append(b, word(s)...), 0)
	}
	return b
}

// read is the next packet.
func (w *wire) read() (cmd byte, data []byte, err error) {
	if err := w.w.Flush(); err != nil {
		return 0, nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return 0, nil, gone(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	w.left.Packets--
	w.left.Octets -= int64(n) + 4
	switch {
	case n == 0:
		return 0, nil, fault("an empty packet")
	case n > maxPacket:
		return 0, nil, fault("a packet of %d octets, %d are allowed", n, maxPacket)
	case w.left.Packets < 0:
		return 0, nil, fault("too many packets about one message")
	case w.left.Octets < 0:
		return 0, nil, fault("too many octets about one message")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(w.r, b); err != nil {
		return 0, nil, gone(err)
	}
	return b[0], b[1:], nil
}

// gone says in words what EOF means here.
func gone(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("milter: the filter has closed the connection: %w", err)
	}
	return err
}

// split takes n strings off the front of data; what is left must be empty.
func split(data []byte, n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		s, rest, ok := bytes.Cut(data, []byte{0})
		if !ok {
			return nil, fault("a string has no end")
		}
		out[i], data = string(s), rest
	}
	if len(data) > 0 {
		return nil, fault("a packet is longer than what it holds")
	}
	return out, nil
}

// number takes a number off the front of data.
func number(data []byte) (n uint32, rest []byte, err error) {
	if len(data) < 4 {
		return 0, nil, fault("a packet is too short")
	}
	return binary.BigEndian.Uint32(data), data[4:], nil
}
