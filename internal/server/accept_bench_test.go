package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/server"
)

// BenchmarkAccept takes 10 KiB messages in on 20 sessions, durably, and
// delivers them into a mailbox: the whole server, for profiles. The figures of
// docs/performance.md come from bench/run.sh.
func BenchmarkAccept(b *testing.B) {
	cfg, err := config.Parse("bench.toml", []byte("hostname = \"mail.bench.test\"\ndata_dir = \""+b.TempDir()+"\"\n"+
		"[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"mx\"\n[resolver]\nservers = [\"127.0.0.1:9\"]\ntimeout = \"100ms\"\n"))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	if _, err := datadir.InitStore(ctx, cfg, nil); err != nil {
		b.Fatal(err)
	}
	s, err := server.New(ctx, server.Options{Config: cfg})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() { stop(); <-done })
	for _, err := range []error{s.Accounts.AddDomain(ctx, dns.MustParse("bench.test")), s.Accounts.AddAccount(ctx, "you", "password-of-bench"),
		s.Accounts.AddAddress(ctx, "*@bench.test", "you")} {
		if err != nil {
			b.Fatal(err)
		}
	}
	text := "From: <a@b.test>\r\nSubject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 131) + ".\r\n"
	var n atomic.Int64
	b.SetParallelism(10)
	b.SetBytes(int64(len(text)))
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", s.Addr(config.MX).String())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		say := func(line string) bool {
			fmt.Fprint(c, line)
			for {
				l, err := r.ReadString('\n')
				if err != nil || l[0] > '3' {
					b.Errorf("%q: %q %v", line, l, err)
					return false
				}
				if l[3] == ' ' {
					return true
				}
			}
		}
		ok := say("") && say("EHLO client.test\r\n")
		for ok && pb.Next() {
			ok = say("MAIL FROM:<>\r\n") && say(fmt.Sprintf("RCPT TO:<u%d@bench.test>\r\n", n.Add(1))) && say("DATA\r\n") && say(text)
		}
	})
}
