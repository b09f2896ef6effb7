// Package miltertest has a mail filter for tests that answers as it is told, also what no filter may.
package miltertest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Answer is what the filter does when it is asked. The zero value says nothing.
type Answer struct {
	Raw   []byte // is sent
	Hang  bool   // and then nothing more, until the other side closes
	Close bool   // and then the connection is closed
}

// Packet is a packet with a command and what belongs to it.
func Packet(cmd byte, parts ...string) []byte {
	data := strings.Join(parts, "")
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1)), cmd), data...)
}

// Texts are strings, each with a NUL behind it.
func Texts(all ...string) string { return strings.Join(all, "\x00") + "\x00" }

// Number is a number as the protocol has it.
func Number(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// Options is the answer to the negotiation.
func Options(version, actions, protocol uint32, lists ...string) []byte {
	return Packet('O', append([]string{Number(version), Number(actions), Number(protocol)}, lists...)...)
}

// Say is an answer of whole packets.
func Say(packets ...[]byte) Answer {
	var a Answer
	for _, p := range packets {
		a.Raw = append(a.Raw, p...)
	}
	return a
}

// Filter is a mail filter.
type Filter struct {
	Addr string // host:port
	// Script says what is answered to a command. Where it returns nil, the filter goes on with
	// the message: it wants everything in version 6.
	script func(cmd byte, data string) *Answer

	mu    sync.Mutex
	heard []string
}

// Serve has a filter listen until the test ends.
func Serve(t testing.TB, script func(cmd byte, data string) *Answer) *Filter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &Filter{Addr: l.Addr().String(), script: script}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { f.Answer(nc) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return f
}

// Heard is what the filter was told, in order: each command and what belongs to it, without
// macros that nobody asks for by name.
func (f *Filter) Heard() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.heard...)
}

// Forget forgets what the filter was told.
func (f *Filter) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = nil
}

// Answer serves one connection until it ends.
func (f *Filter) Answer(nc net.Conn) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	for {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		f.mu.Lock()
		f.heard = append(f.heard, string(b))
		f.mu.Unlock()
		if !f.answer(nc, b[0], string(b[1:])) {
			return
		}
		if b[0] == 'Q' {
			return
		}
	}
}

// answer does what the script says, and reports whether the connection goes on.
func (f *Filter) answer(nc net.Conn, cmd byte, data string) bool {
	a := f.script(cmd, data)
	switch {
	case a != nil:
	case cmd == 'O':
		a = &Answer{Raw: Options(6, 0x1ff, 0x100000)}
	case cmd == 'D', cmd == 'Q', cmd == 'A':
		a = &Answer{}
	default:
		a = &Answer{Raw: Packet('c')}
	}
	if _, err := nc.Write(a.Raw); err != nil {
		return false
	}
	if a.Hang {
		_, _ = io.Copy(io.Discard, nc)
		return false
	}
	return !a.Close
}
