package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// The kinds of flood. Each client connects again at once, whatever it is told.
const (
	floodConnect = "connect"  // one address connects and says EHLO
	floodNames   = "names"    // one address tries names of recipients
	floodTLS     = "tls"      // one address makes TLS handshakes
	floodMany    = "tls-many" // a thousand networks make TLS handshakes
)

// flood is the process of an attacker. On the internet it would have processors of
// its own: here it leaves them to the server and to the others.
func flood(args []string) {
	fs := flag.NewFlagSet("flood", flag.ExitOnError)
	kind := fs.String("kind", floodConnect, "connect, names, tls, tls-many")
	fs.Parse(args)
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var tries, through atomic.Int64
	const clients = 200
	each(clients, func(i int) error {
		own := net.IPv4(127, 250, 250, 1)
		for n := i; ctx.Err() == nil; n += clients {
			if *kind == floodMany {
				own = from(3000 + n%1000)
			}
			tries.Add(1)
			if floodOnce(ctx, *kind, own) == nil {
				through.Add(1)
			}
		}
		return nil
	})
	fmt.Printf("%d tries, %d got through\n", tries.Load(), through.Load())
}

// floodOnce is one try; nil: it was served.
func floodOnce(ctx context.Context, kind string, own net.IP) error {
	c, err := dial(ctx, mxAddr, own)
	if err != nil {
		time.Sleep(time.Millisecond)
		return err
	}
	defer c.close()
	c.nc.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := bufio.NewReader(c.nc).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "220") {
		return fmt.Errorf("refused: %s %w", line, err)
	}
	if err := c.say('2', "EHLO flood.test"); err != nil {
		return err
	}
	switch kind {
	case floodNames:
		return c.names(ctx)
	case floodTLS, floodMany:
		if err := c.say('2', "STARTTLS"); err != nil {
			return err
		}
		return tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true, ServerName: "mail.bench.test"}).HandshakeContext(ctx)
	}
	return nil
}

// names tries as many as it may, a hundred in one go.
func (c *client) names(ctx context.Context) error {
	if err := c.say('2', "MAIL FROM:<>"); err != nil {
		return err
	}
	batch := strings.Repeat("RCPT TO:<nobody@bench.test>\r\n", 100)
	for ctx.Err() == nil {
		if _, err := io.WriteString(c.nc, batch); err != nil {
			return err
		}
		for range 100 {
			if err := c.want('5'); err != nil {
				return err
			}
		}
	}
	return nil
}

// startFlood starts a flood; stop ends it and says what it came to.
func startFlood(ctx context.Context, kind string) (stop func() string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "flood", "-kind", kind)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() string {
		// What it printed is all that is wanted.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		return strings.TrimSpace(out.String())
	}, nil
}
