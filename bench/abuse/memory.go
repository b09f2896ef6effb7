package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// attack is something that is done to a server. What it returns is said beside its
// line; end lets go of what it holds.
type attack struct {
	name  string
	every int // its figure is also told for each of so many; 0: it is not
	run   func(ctx context.Context, s *server) (note string, end func(), err error)
}

func noEnd() {}

// memory prints the peak of the server's resident memory under each attack, and what
// it still holds a while after.
func memory(ctx context.Context, o options) (bool, error) {
	s, err := start(ctx, o, 2*o.idle)
	if err != nil {
		return false, err
	}
	defer s.stop()
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintf(t, "Resident memory of the server\tpeak MiB\t%s after MiB\teach KiB\tbar %d MiB\t\n", o.rest, o.budget)
	good := true
	for _, a := range attacks(o) {
		ok, err := measure(ctx, s, t, a)
		if err != nil {
			return false, fmt.Errorf("%s: %w", a.name, err)
		}
		good = good && ok
	}
	return good, nil
}

// measure carries one attack out and prints its line.
func measure(ctx context.Context, s *server, t io.Writer, a attack) (bool, error) {
	before, err := s.rss()
	if err == nil {
		err = s.forget()
	}
	if err != nil {
		return false, err
	}
	note, end, err := a.run(ctx, s)
	if err != nil {
		return false, err
	}
	during, err := s.rss()
	if err != nil {
		return false, err
	}
	end()
	select {
	case <-time.After(s.o.rest):
	case <-ctx.Done():
		return false, ctx.Err()
	}
	peak, err := s.peak()
	if err != nil {
		return false, err
	}
	after, err := s.rss()
	if err != nil {
		return false, err
	}
	each := ""
	if a.every > 0 {
		each = fmt.Sprintf("%.1f", float64(during-before)/float64(a.every))
	}
	ok := peak>>10 < s.o.budget
	fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\n", a.name, peak>>10, after>>10, each, met(ok), note)
	return ok, nil
}

const fifty = 50

func attacks(o options) []attack {
	return []attack{
		{"nothing", 0, func(context.Context, *server) (string, func(), error) { return "", noEnd, nil }},
		{fmt.Sprintf("%d idle connections", o.idle), o.idle, idle(o.idle, false)},
		{fmt.Sprintf("%d idle connections over TLS", o.idle), o.idle, idle(o.idle, true)},
		{"1000 connections with a line of 12 KiB that does not end", 1000, unended},
		{"1000 connections with an envelope as large as it may be", 1000, envelopes},
		{"500 connections in the middle of a login", 500, halfLogins},
		{"50 logging in at once", 0, logins},
		{"50 with TLS reports of 8 MiB, half of them gzip bombs", 0, reportMails},
		{fmt.Sprintf("50 messages of %d MiB at once", o.large>>20), 0, largeMessages(o.large)},
		{"1000 bodies by HTTPS that do not end", 0, slowPosts},
		{"one network floods", 0, flooding("connect")},
		{"one network floods with TLS handshakes", 0, flooding("tls")},
		{"many networks flood with TLS handshakes", 0, flooding("tls-many")},
	}
}

func idle(n int, withTLS bool) func(context.Context, *server) (string, func(), error) {
	return func(ctx context.Context, _ *server) (string, func(), error) {
		cs, failed, first := crowd(ctx, n, 0, withTLS)
		return outcome(failed, first), func() { closeAll(cs) }, nil
	}
}

// outcome is a note on clients that did not get through: under attack some may not.
func outcome(failed int64, first error) string {
	if failed == 0 {
		return ""
	}
	return fmt.Sprintf("%d were refused or broke off, the first: %v", failed, first)
}

// holding opens n connections to addr and leaves each as do leaves it.
func holding(ctx context.Context, addr string, n int, withTLS bool, do func(c *client, i int) error) (string, func(), error) {
	cs := make([]*client, n)
	const parallel = 40
	failed, first := each(parallel, func(worker int) error {
		var last error
		for i := worker; i < n; i += parallel {
			c, err := open(ctx, addr, from(i), withTLS)
			if err == nil {
				cs[i], err = c, do(c, i)
			}
			if err != nil {
				last = err
			}
		}
		return last
	})
	return outcome(failed, first), func() { closeAll(cs) }, nil
}

func unended(ctx context.Context, _ *server) (string, func(), error) {
	line := strings.Repeat("x", 12200)
	return holding(ctx, mxAddr, 1000, false, func(c *client, _ int) error {
		_, err := io.WriteString(c.nc, line)
		return err
	})
}

// envelopes have recipients that are one mailbox under many names, with as much beside
// each as a command may hold.
func envelopes(ctx context.Context, _ *server) (string, func(), error) {
	return holding(ctx, mxAddr, 1000, false, func(c *client, i int) error {
		if err := c.say('2', "MAIL FROM:<> ENVID="+strings.Repeat("x", 100)); err != nil {
			return err
		}
		orcpt, pad := strings.Repeat("y", 480), strings.Repeat(" ", 3000)
		for n := range 1000 {
			if err := c.say('2', fmt.Sprintf("RCPT TO:<you+%s%d@bench.test>%s ORCPT=rfc822;%s", strings.Repeat("z", 200), n, pad, orcpt)); err != nil {
				if strings.Contains(err.Error(), "452 ") {
					return nil // it may have no more
				}
				return err
			}
		}
		return nil
	})
}

func halfLogins(ctx context.Context, _ *server) (string, func(), error) {
	return holding(ctx, subAddr, 500, true, func(c *client, i int) error {
		return c.say('3', "AUTH SCRAM-SHA-256 "+base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "n,,n=you%d,r=%d", i, rand.Uint64())))
	})
}

// logins are all of passwords that differ, every other one right.
func logins(ctx context.Context, s *server) (string, func(), error) {
	failed, first := each(fifty, func(i int) error {
		c, err := open(ctx, subAddr, from(i), true)
		if err != nil {
			return err
		}
		defer c.close()
		if i%2 == 0 {
			return c.login("you@bench.test", s.password)
		}
		if err := c.login("you@bench.test", fmt.Sprint("wrong", i)); err == nil {
			return fmt.Errorf("a wrong password was taken")
		}
		return nil
	})
	return outcome(failed, first), noEnd, nil
}

// reportMails come to the report address with a valid signature, so that they are
// unpacked.
func reportMails(ctx context.Context, s *server) (string, func(), error) {
	bomb, err := s.report(bytes.Repeat([]byte{' '}, 1<<30))
	if err != nil {
		return "", nil, err
	}
	noise := make([]byte, 8<<20)
	for i := range noise {
		noise[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[rand.IntN(64)]
	}
	large, err := s.report(noise)
	if err != nil {
		return "", nil, err
	}
	failed, first := each(fifty, func(i int) error {
		c, err := open(ctx, mxAddr, from(i), false)
		if err != nil {
			return err
		}
		defer c.close()
		return c.message("tls-reports@bench.test", [][]byte{bomb, large}[i%2])
	})
	return outcome(failed, first), noEnd, nil
}

// report is a signed mail with a report that holds filler.
func (s *server) report(filler []byte) ([]byte, error) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	fmt.Fprint(w, `{"organization-name":"`)
	if _, err := w.Write(filler); err != nil {
		return nil, err
	}
	fmt.Fprint(w, `"}`)
	if err := w.Close(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: reports@reporter.test\r\nTo: tls-reports@bench.test\r\nSubject: Report Domain: bench.test Submitter: reporter.test Report-ID: <%d@reporter.test>\r\n"+
		"Date: %s\r\nMessage-ID: <%[1]d@reporter.test>\r\nTLS-Report-Domain: bench.test\r\nTLS-Report-Submitter: reporter.test\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n", rand.Uint32(), time.Now().Format(time.RFC1123Z))
	text := base64.StdEncoding.EncodeToString(gz.Bytes())
	for len(text) > 0 {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return s.signed(b.Bytes())
}

// largeMessages are signed, so that each is read to its end.
func largeMessages(size int64) func(context.Context, *server) (string, func(), error) {
	return func(ctx context.Context, s *server) (string, func(), error) {
		line := strings.Repeat("The quick brown fox jumps over it. ", 3)[:76] + "\r\n"
		text, err := s.signed([]byte("From: a@reporter.test\r\nSubject: large\r\n\r\n" + strings.Repeat(line, int(size-3000)/len(line))))
		if err != nil {
			return "", nil, err
		}
		failed, first := each(fifty, func(i int) error {
			c, err := open(ctx, mxAddr, from(i), false)
			if err != nil {
				return err
			}
			defer c.close()
			if err := c.envelope("you@bench.test"); err != nil {
				return err
			}
			if _, err := c.nc.Write(text); err != nil {
				return err
			}
			return c.say('2', ".")
		})
		return outcome(failed, first), noEnd, nil
	}
}

// slowPosts say that a report of almost 1 MiB comes, and leave it at most of that.
func slowPosts(ctx context.Context, _ *server) (string, func(), error) {
	cs := make([]*client, 1000)
	const parallel = 40
	body := strings.Repeat("x", 900<<10)
	failed, first := each(parallel, func(worker int) (last error) {
		for i := worker; i < len(cs); i += parallel {
			c, err := dial(ctx, webAddr, from(i))
			if err == nil {
				cs[i] = c
				err = c.tls()
			}
			if err == nil {
				c.nc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
				// What the server does not take is the point.
				_, _ = fmt.Fprintf(c.nc, "%s /tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Length: 1000000\r\n\r\n%s", http.MethodPost, body)
			}
			if err != nil {
				last = err
			}
		}
		return last
	})
	return outcome(failed, first), func() { closeAll(cs) }, nil
}

// flooding runs a flood of its own process for a few seconds.
func flooding(kind string) func(context.Context, *server) (string, func(), error) {
	return func(ctx context.Context, _ *server) (string, func(), error) {
		stop, err := startFlood(ctx, kind)
		if err != nil {
			return "", nil, err
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
		return stop(), noEnd, ctx.Err()
	}
}
