package session

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"testing"

	"waxwing/internal/delivery"
)

// sink is a mail host that costs next to nothing, so that what is measured is
// the client.
type sink struct {
	config   *tls.Config // nil: no STARTTLS
	chunking bool
}

func (s *sink) serve(nc net.Conn) {
	defer nc.Close()
	br, bw := bufio.NewReaderSize(nc, 32<<10), bufio.NewWriterSize(nc, 4<<10)
	bw.WriteString("220 sink.test\r\n")
	for {
		if br.Buffered() == 0 && bw.Flush() != nil {
			return
		}
		line, err := br.ReadSlice('\n')
		if err != nil {
			return
		}
		switch verb := string(bytes.ToUpper(line[:4])); verb {
		case "EHLO":
			bw.WriteString("250-sink.test\r\n250-PIPELINING\r\n250-SIZE\r\n")
			if s.chunking {
				bw.WriteString("250-CHUNKING\r\n")
			}
			if _, on := nc.(*tls.Conn); s.config != nil && !on {
				bw.WriteString("250-STARTTLS\r\n")
			}
			bw.WriteString("250 8BITMIME\r\n")
		case "STAR":
			bw.WriteString("220 go\r\n")
			bw.Flush()
			nc = tls.Server(nc, s.config)
			br.Reset(nc)
			bw.Reset(nc)
		case "DATA":
			bw.WriteString("354 go\r\n")
			bw.Flush()
			if !skipData(br) {
				return
			}
			bw.WriteString("250 2.0.0 taken\r\n")
		case "BDAT":
			n, _ := strconv.Atoi(strings.Fields(string(line))[1])
			if _, err := br.Discard(n); err != nil {
				return
			}
			bw.WriteString("250 2.0.0 taken\r\n")
		default:
			bw.WriteString("250 2.0.0 ok\r\n")
		}
	}
}

func skipData(br *bufio.Reader) bool {
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return false
		}
		if string(line) == ".\r\n" {
			return true
		}
	}
}

// benchRig is a rig whose first address is a sink.
func benchRig(b *testing.B, s *sink) *rig {
	r := newRig(b, network{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	r.client.Dialer = mapDialer{map[string]string{addr1 + ":25": l.Addr().String()}}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(nc)
		}
	}()
	if s.config != nil {
		r.enforcePKIX()
	}
	r.req.Content = delivery.Bytes("Subject: test\r\n\r\n" + strings.Repeat("a line of text of common length, as mail has them\r\n", 160))
	return r
}

// One message of 8 KiB after the other, over connections of their own and over
// kept ones.
func BenchmarkCarry(b *testing.B) {
	p, err := makePKI()
	if err != nil {
		b.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{p.good}}
	for _, bb := range []struct {
		name   string
		sink   *sink
		pool   *Pool
		resume bool
	}{
		{"plaintext", &sink{}, nil, false},
		{"tls", &sink{config: conf}, nil, false},
		{"tls-resumed", &sink{config: conf}, nil, true},
		{"kept-plaintext-data", &sink{}, &Pool{}, false},
		{"kept-tls-data", &sink{config: conf}, &Pool{MaxMessages: 1 << 30}, false},
		{"kept-tls-bdat", &sink{config: conf, chunking: true}, &Pool{MaxMessages: 1 << 30}, false},
		{"kept-tls-bdat-100", &sink{config: conf, chunking: true}, &Pool{}, true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := benchRig(b, bb.sink)
			r.client.Pool = bb.pool
			if bb.resume {
				r.client.Resume = tls.NewLRUClientSessionCache(10)
			}
			b.ReportAllocs()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			for b.Loop() {
				if rep := r.client.Carry(ctx, r.req); rep.Recipients[0].Outcome != delivery.Delivered {
					b.Fatal(rep.Recipients[0].Text)
				}
			}
			if bb.pool != nil {
				bb.pool.Close()
			}
		})
	}
}

// Many messages at one time, as the queue does it.
func BenchmarkCarryParallel(b *testing.B) {
	p, err := makePKI()
	if err != nil {
		b.Fatal(err)
	}
	r := benchRig(b, &sink{config: &tls.Config{Certificates: []tls.Certificate{p.good}}, chunking: true})
	r.client.Pool, r.client.Resume = &Pool{}, tls.NewLRUClientSessionCache(10)
	defer r.client.Pool.Close()
	b.SetParallelism(10)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if rep := r.client.Carry(context.Background(), r.req); rep.Recipients[0].Outcome != delivery.Delivered {
				b.Error(rep.Recipients[0].Text)
			}
		}
	})
}
