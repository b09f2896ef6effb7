package websocket_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	peer "golang.org/x/net/websocket"

	"waxwing/websocket"
)

var times = websocket.Times{Idle: 5 * time.Second, Message: 5 * time.Second}

const most = 1 << 20

// echo sends back what comes, and says on ended why it has ended.
func echo(t *testing.T, ended chan<- error) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, "test", times)
		var refused *websocket.HandshakeError
		if errors.As(err, &refused) {
			http.Error(w, refused.Text, refused.Status)
			return
		}
		for err == nil {
			var m *websocket.Message
			var b []byte
			if m, err = c.Next(most); err == nil {
				if b, err = m.ReadAll(most); err == nil {
					err = c.WriteText(b)
				}
			}
		}
		c.Close(websocket.NormalClosure, "")
		if ended != nil {
			ended <- err
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

// JMP-1: another implementation speaks with this one: messages of all lengths, and of many in a row.
func TestPeer(t *testing.T) {
	t.Parallel()
	srv := echo(t, nil)
	c, err := peer.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), "test", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, n := range []int{0, 1, 125, 126, 127, 4095, 4096, 65535, 65536, 200_000, most} {
		want := strings.Repeat("ä", n/2) + strings.Repeat("x", n%2)
		if err := peer.Message.Send(c, want); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := peer.Message.Receive(c, &got); err != nil || got != want {
			t.Errorf("%d octets came back as %d, %v", n, len(got), err)
		}
	}
}

// raw is a connection on which anything can be written, after the handshake.
func raw(t *testing.T, srv *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, test\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || resp.Header.Get("Sec-WebSocket-Protocol") != "test" {
		t.Fatalf("%v, %v", resp, err)
	}
	return c, r
}

// frame is one as clients send it.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	var mask [4]byte
	rand.Read(mask[:])
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// read is a frame of the server.
func read(r *bufio.Reader) (first byte, payload string, err error) {
	var h [2]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, "", err
	}
	n := int(h[1])
	if n == 126 {
		var l [2]byte
		if _, err := io.ReadFull(r, l[:]); err != nil {
			return 0, "", err
		}
		n = int(binary.BigEndian.Uint16(l[:]))
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return h[0], string(b), err
}

// RFC 6455 §5, §7: what a client may send, and with which code a connection ends on which it sends anything else.
func TestFrames(t *testing.T) {
	t.Parallel()
	srv := echo(t, nil)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	long := append([]byte{0x81, 0x80 | 127}, binary.BigEndian.AppendUint64(nil, 1<<63)...)
	notShortest := append([]byte{0x81, 0x80 | 126}, 0, 5, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o')
	for name, c := range map[string]struct {
		send []byte
		want []string // first octet and payload of each answer; 88: the code of the close frame
	}{
		"text":                         {frame(0x81, "hé"), []string{"81 hé"}},
		"text in pieces":               {join(frame(0x01, "h\xc3"), frame(0x00, "\xa9"), frame(0x89, "in between"), frame(0x80, "llo")), []string{"8a in between", "81 héllo"}},
		"empty pieces":                 {join(frame(0x01, ""), frame(0x00, ""), frame(0x80, "")), []string{"81 "}},
		"ping, and a pong unasked for": {join(frame(0x89, "are you there"), frame(0x8a, "x"), frame(0x81, "y")), []string{"8a are you there", "81 y"}},
		"close":                        {frame(0x88, "\x03\xe8bye"), []string{"88 1000"}},
		"close without a code":         {frame(0x88, ""), []string{"88 1000"}},
		"close with half a code":       {frame(0x88, "\x03"), []string{"88 1002"}},
		"close with a code of nobody":  {frame(0x88, "\x03\xed"), []string{"88 1002"}},
		"close with no UTF-8":          {frame(0x88, "\x03\xe8\xff"), []string{"88 1002"}},
		"no UTF-8":                     {frame(0x81, "\xff"), []string{"88 1007"}},
		"no mask":                      {[]byte{0x81, 1, 'x'}, []string{"88 1002"}},
		"reserved bits":                {frame(0xc1, "x"), []string{"88 1002"}},
		"unknown opcode":               {frame(0x83, "x"), []string{"88 1002"}},
		"unknown control":              {frame(0x8b, "x"), []string{"88 1002"}},
		"long ping":                    {frame(0x89, strings.Repeat("x", 126)), []string{"88 1002"}},
		"ping in pieces":               {frame(0x09, "x"), []string{"88 1002"}},
		"continuation of nothing":      {frame(0x80, "x"), []string{"88 1002"}},
		"message within a message":     {join(frame(0x01, "a"), frame(0x81, "b")), []string{"88 1002"}},
		"length beyond all":            {long, []string{"88 1002"}},
		"length not in shortest form":  {notShortest, []string{"88 1002"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, r := raw(t, srv)
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := conn.Write(c.send); err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				first, payload, err := read(r)
				got := fmt.Sprintf("%x %s", first, payload)
				if first == 0x88 && len(payload) >= 2 {
					got = fmt.Sprintf("88 %d", binary.BigEndian.Uint16([]byte(payload)))
				}
				if err != nil || got != want {
					t.Fatalf("%q, %v, want %q", got, err, want)
				}
			}
		})
	}
}

// A message that is longer than may be is not held in memory, and ends the connection where nobody passes over it.
func TestTooLong(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	srv := echo(t, ended)
	conn, _ := raw(t, srv)
	head := append([]byte{0x01, 0x80 | 127}, binary.BigEndian.AppendUint64(nil, 1<<40)...)
	_, err := conn.Write(append(head, 0, 0, 0, 0))
	for n := 0; err == nil && n < 64; n++ {
		_, err = conn.Write(make([]byte, most/16))
	}
	select {
	case err := <-ended:
		if !errors.Is(err, websocket.ErrTooLong) {
			t.Errorf("%v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it is read still")
	}
}

// RFC 6455 §4.2.1: what opens no WebSocket.
func TestHandshake(t *testing.T) {
	t.Parallel()
	srv := echo(t, nil)
	for _, c := range []struct {
		change [2]string
		status int
	}{
		{[2]string{"Connection", "close"}, 426}, {[2]string{"Upgrade", "h2c"}, 426}, {[2]string{"Sec-WebSocket-Version", "8"}, 426},
		{[2]string{"Sec-WebSocket-Key", "short"}, 400}, {[2]string{"Sec-WebSocket-Protocol", "other"}, 400},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "test"} {
			req.Header.Set(name, v)
		}
		req.Header.Set(c.change[0], c.change[1])
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status || c.status == 426 && resp.Header.Get("Sec-WebSocket-Version") != "13" {
			t.Errorf("%v: %d", c.change, resp.StatusCode)
		}
	}
}

// A client that takes nothing, and one that says nothing, lose the connection.
func TestSilence(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 2)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, "test", websocket.Times{Idle: 50 * time.Millisecond, Message: 50 * time.Millisecond})
		for err == nil && r.URL.Path == "/write" {
			err = c.WriteText(make([]byte, 64<<10))
		}
		if err == nil {
			_, err = c.Next(most)
		}
		ended <- err
	}))
	t.Cleanup(srv.Close)
	raw(t, srv)
	select {
	case err := <-ended:
		var slow net.Error
		if !errors.As(err, &slow) || !slow.Timeout() {
			t.Errorf("%v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits still")
	}
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /write HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: test\r\n\r\n")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(5 * time.Second):
		t.Error("it writes still")
	}
}

// Whatever comes, nothing panics, and what is answered is frames.
func FuzzFrames(f *testing.F) {
	f.Add(frame(0x81, "hello"))
	f.Add(append(frame(0x01, "a"), frame(0x80, "b")...))
	f.Add(frame(0x88, "\x03\xe8"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := websocket.NewConn(&said{in: bytes.NewReader(in)}, websocket.Times{Idle: time.Second, Message: time.Second})
		for {
			m, err := c.Next(1000)
			if err != nil {
				break
			}
			if b, err := m.ReadAll(1000); err == nil && int64(len(b)) > 1000 {
				t.Fatalf("%d octets", len(b))
			}
		}
	})
}

// said is a connection on which all was said at once, and nobody listens.
type said struct {
	net.Conn
	in *bytes.Reader
}

func (s *said) Read(b []byte) (int, error)       { return s.in.Read(b) }
func (s *said) Write(b []byte) (int, error)      { return len(b), nil }
func (s *said) Close() error                     { return nil }
func (s *said) SetReadDeadline(time.Time) error  { return nil }
func (s *said) SetWriteDeadline(time.Time) error { return nil }
