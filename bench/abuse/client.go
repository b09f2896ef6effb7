package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// from is the address of client n; each has a network of its own.
func from(n int) net.IP { return net.IPv4(127, byte(1+n/200), byte(1+n%200), 1) }

// client is one connection.
type client struct {
	nc net.Conn
	br *bufio.Reader
}

// stepTime is how long a client waits for one answer.
const stepTime = 60 * time.Second

func dial(ctx context.Context, addr string, own net.IP) (*client, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: own}, Timeout: stepTime}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{nc: nc}, nil
}

func (c *client) close() {
	if c != nil {
		c.nc.Close()
	}
}

// want reads a reply and holds its class against what is wanted.
func (c *client) want(class byte) error {
	c.nc.SetReadDeadline(time.Now().Add(stepTime))
	if c.br == nil {
		c.br = bufio.NewReaderSize(c.nc, 512)
	}
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			return err
		}
		if len(line) < 4 || line[0] != class {
			return fmt.Errorf("unexpected reply %q", strings.TrimSpace(line))
		}
		if line[3] == ' ' {
			return nil
		}
	}
}

// say sends a line and wants a reply.
func (c *client) say(class byte, line string) error {
	if _, err := io.WriteString(c.nc, line+"\r\n"); err != nil {
		return err
	}
	return c.want(class)
}

// starttls goes on over TLS.
func (c *client) starttls() error {
	if err := c.say('2', "STARTTLS"); err != nil {
		return err
	}
	return c.tls()
}

func (c *client) tls() error {
	tc := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true, ServerName: "mail.bench.test"})
	c.nc.SetDeadline(time.Now().Add(stepTime))
	if err := tc.Handshake(); err != nil {
		return err
	}
	c.nc.SetDeadline(time.Time{})
	c.nc, c.br = tc, nil
	return nil
}

// hello goes to where MAIL may be said.
func (c *client) hello(withTLS bool) error {
	if err := c.want('2'); err != nil {
		return err
	}
	if err := c.say('2', "EHLO client.test"); err != nil || !withTLS {
		return err
	}
	if err := c.starttls(); err != nil {
		return err
	}
	return c.say('2', "EHLO client.test")
}

// open dials and says hello.
func open(ctx context.Context, addr string, own net.IP, withTLS bool) (*client, error) {
	c, err := dial(ctx, addr, own)
	if err != nil {
		return nil, err
	}
	if err := c.hello(withTLS); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// envelope goes to where the data may come.
func (c *client) envelope(to string) error {
	for _, line := range []string{"MAIL FROM:<a@reporter.test>", "RCPT TO:<" + to + ">"} {
		if err := c.say('2', line); err != nil {
			return err
		}
	}
	return c.say('3', "DATA")
}

// message sends one.
func (c *client) message(to string, text []byte) error {
	if err := c.envelope(to); err != nil {
		return err
	}
	if _, err := c.nc.Write(append(text[:len(text):len(text)], ".\r\n"...)); err != nil {
		return err
	}
	return c.want('2')
}

func (c *client) login(user, password string) error {
	return c.say('2', "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)))
}

// each runs n clients at once and counts those that failed; the first failure is told.
func each(n int, run func(i int) error) (failed int64, first error) {
	var wg sync.WaitGroup
	var count atomic.Int64
	var once sync.Once
	for i := range n {
		wg.Go(func() {
			if err := run(i); err != nil {
				count.Add(1)
				once.Do(func() { first = err })
			}
		})
	}
	wg.Wait()
	return count.Load(), first
}

// crowd opens n connections, not too many at the same time, and keeps them.
func crowd(ctx context.Context, n, firstClient int, withTLS bool) (open_ []*client, failed int64, first error) {
	open_ = make([]*client, n)
	const parallel = 40
	failed, first = each(parallel, func(worker int) error {
		for i := worker; i < n; i += parallel {
			c, err := open(ctx, mxAddr, from(firstClient+i), withTLS)
			if err != nil {
				return err
			}
			open_[i] = c
		}
		return nil
	})
	return open_, failed, first
}

func closeAll(cs []*client) {
	for _, c := range cs {
		c.close()
	}
}
