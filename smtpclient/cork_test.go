package smtpclient_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/smtpclient"
)

// counting counts writes, which are what a peer wakes up for.
type counting struct {
	net.Conn
	writes atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// tlsPeer answers a dialogue with STARTTLS and sends what came after it, up to the end.
func tlsPeer(t *testing.T, nc net.Conn, config *tls.Config, said chan<- string) {
	defer nc.Close()
	br := bufio.NewReader(nc)
	io.WriteString(nc, "220 b.test\r\n")
	br.ReadString('\n')
	io.WriteString(nc, "250-b.test\r\n250 STARTTLS\r\n")
	br.ReadString('\n')
	io.WriteString(nc, "220 go\r\n")
	tc := tls.Server(nc, config)
	if err := tc.Handshake(); err != nil {
		said <- err.Error()
		return
	}
	br = bufio.NewReader(tc)
	ehlo, _ := br.ReadString('\n')
	io.WriteString(tc, "250 b.test\r\n")
	rest, err := io.ReadAll(br)
	said <- fmt.Sprintf("%q %q %v", ehlo, rest, err)
}

// The end of the handshake travels with EHLO, QUIT with TLS's farewell, and a peer sees both, and
// the alert that says why a handshake failed.
func TestWritesAreGathered(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, want := range []string{`"EHLO c.test\r\n" "QUIT\r\n" <nil>`, "bad certificate"} {
			t.Run(fmt.Sprint(tls.VersionName(version), " ", want), func(t *testing.T) {
				t.Parallel()
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				said := make(chan string, 1)
				config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}, MaxVersion: version}
				go func() {
					if nc, err := l.Accept(); err == nil {
						tlsPeer(t, nc, config, said)
					}
				}()
				nc, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				cc := &counting{Conn: nc}
				c := smtpclient.New(cc, smtpclient.Options{HELO: "c.test", Timeouts: smtpclient.Timeouts{StartTLS: 10 * time.Second}})
				defer c.Close()
				ctx := t.Context()
				if _, err := c.Greeting(ctx); err != nil {
					t.Fatal(err)
				}
				if err := c.Hello(ctx); err != nil {
					t.Fatal(err)
				}
				client := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error {
					if strings.HasPrefix(want, "bad") {
						return x509.HostnameError{Certificate: new(x509.Certificate), Host: "b.test"}
					}
					return nil
				}}
				var failed *smtpclient.HandshakeError
				if err := c.StartTLS(ctx, client); errors.As(err, &failed) != strings.HasPrefix(want, "bad") {
					t.Fatalf("StartTLS: %v", err)
				}
				if failed == nil {
					before := cc.writes.Load()
					if err := c.Hello(ctx); err != nil {
						t.Fatal(err)
					}
					hello := cc.writes.Load() - before
					if err := c.Part(); err != nil {
						t.Errorf("Part: %v", err)
					}
					// In TLS 1.2 the server has the last word of the handshake.
					if part := cc.writes.Load() - before - hello; hello != 1 || part != 1 || version == tls.VersionTLS13 && before != 3 {
						t.Errorf("%d writes up to the end of the handshake, %d with EHLO, %d to part", before, hello, part)
					}
				}
				if got := <-said; !strings.Contains(got, want) {
					t.Errorf("the peer saw %s, want %s", got, want)
				}
			})
		}
	}
}
