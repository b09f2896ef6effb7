package smtpclient_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waxwing/smtp"
	"waxwing/smtpclient"
)

// SES-7: a peer that drips bytes gets no more than the one deadline of a step.
func TestDrippingGreeting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer time.Sleep(2 * time.Minute) // so that the peer sees the end
		defer there.Close()
		go func() {
			for {
				time.Sleep(time.Minute)
				if _, err := there.Write([]byte("2")); err != nil {
					return
				}
			}
		}()
		c := smtpclient.New(here, smtpclient.Options{HELO: "client.test"})
		defer c.Close()
		began := time.Now()
		_, err := c.Greeting(context.Background())
		var ce *smtpclient.ConnError
		if !errors.As(err, &ce) || !ce.Timeout() || ce.Step != smtpclient.StepGreeting {
			t.Errorf("error %v", err)
		}
		if d := time.Since(began); d != 5*time.Minute {
			t.Errorf("gave up after %v, want 5 minutes (RFC 5321 §4.5.3.2.1)", d)
		}
		if _, err := c.Greeting(context.Background()); !errors.Is(err, smtpclient.ErrUnusable) {
			t.Errorf("a connection out of step was used again: %v", err)
		}
	})
}

// slowPeer answers at once and reads the message at a rate in octets per second.
func slowPeer(nc net.Conn, rate int) {
	defer nc.Close()
	br := bufio.NewReaderSize(nc, 16)
	io.WriteString(nc, "220 hi\r\n")
	for _, r := range []string{"250 hi\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"} {
		if _, err := br.ReadString('\n'); err != nil {
			return
		}
		io.WriteString(nc, r)
	}
	buf := make([]byte, rate)
	for {
		if _, err := io.ReadFull(nc, buf); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// SES-7: each write may take Block, and what was sent so far no more than that and
// its size at the least rate.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rate int
		want time.Duration
	}{
		{1, 3 * time.Minute},                  // stands still: the first block is not taken
		{200, 3*time.Minute + 64*time.Second}, // always a little, too little: 64 KiB of 1 MiB
	} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			defer time.Sleep(2 * time.Second) // so that the peer sees the end
			go slowPeer(there, tt.rate)
			c := smtpclient.New(here, smtpclient.Options{HELO: "client.test"})
			defer c.Close()
			ctx := context.Background()
			if _, err := c.Greeting(ctx); err != nil {
				t.Fatal(err)
			}
			if err := c.Hello(ctx); err != nil {
				t.Fatal(err)
			}
			body := strings.Repeat(strings.Repeat("x", 62)+"\r\n", 1<<14)
			began := time.Now()
			res, err := c.Transaction(ctx, smtpclient.Transaction{
				Rcpts: []smtpclient.RcptOptions{{To: "a@b.test"}}, Body: strings.NewReader(body), Size: int64(len(body)),
			})
			var ce *smtpclient.ConnError
			if !errors.As(err, &ce) || !ce.Timeout() || res.DotSent || res.Data != nil {
				t.Errorf("rate %d: %v, %+v", tt.rate, err, res)
			}
			if d := time.Since(began); d != tt.want {
				t.Errorf("rate %d: gave up after %v, want %v", tt.rate, d, tt.want)
			}
		})
	}
}

// SES-7: a peer that takes almost all of its time for each of many recipients
// gets less in all.
func TestSlowEnvelope(t *testing.T) {
	t.Parallel()
	for _, hello := range []string{"250 hi\r\n", "250-hi\r\n250 PIPELINING\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				go func() {
					io.WriteString(there, "220 hi\r\n"+hello)
					for {
						time.Sleep(299 * time.Second)
						if _, err := io.WriteString(there, "250 ok\r\n"); err != nil {
							return
						}
					}
				}()
				io.Copy(io.Discard, there)
			}()
			defer time.Sleep(time.Hour)
			c := smtpclient.New(here, smtpclient.Options{HELO: "client.test"})
			defer c.Close()
			ctx := context.Background()
			if _, err := c.Greeting(ctx); err != nil {
				t.Fatal(err)
			}
			if err := c.Hello(ctx); err != nil {
				t.Fatal(err)
			}
			tr := smtpclient.Transaction{Body: strings.NewReader("x\r\n")}
			for range 100 {
				tr.Rcpts = append(tr.Rcpts, smtpclient.RcptOptions{To: "a@b.test"})
			}
			began := time.Now()
			var ce *smtpclient.ConnError
			if _, err := c.Transaction(ctx, tr); !errors.As(err, &ce) || !ce.Timeout() {
				t.Errorf("error %v", err)
			}
			if d := time.Since(began); d > 50*time.Minute {
				t.Errorf("held for %v", d)
			}
		})
	}
}

func TestContextInterrupts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		c := smtpclient.New(here, smtpclient.Options{HELO: "client.test"})
		ctx, cancel := context.WithTimeout(context.Background(), 7*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := c.Greeting(ctx); err == nil || ctx.Err() == nil {
			t.Errorf("%v, context %v", err, ctx.Err())
		}
		if d := time.Since(began); d != 7*time.Second {
			t.Errorf("interrupted after %v", d)
		}
		if c.Usable() {
			t.Error("the connection still counts as usable")
		}
	})
}

func TestArguments(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer there.Close()
	c := smtpclient.New(here, smtpclient.Options{HELO: "client.test\r\nDATA"})
	defer c.Close()
	ctx := context.Background()
	if err := c.Hello(ctx); !errors.Is(err, smtpclient.ErrControl) {
		t.Errorf("HELO name with a line end: %v", err)
	}
	for _, tr := range []smtpclient.Transaction{
		{Mail: smtpclient.MailOptions{From: "a\r\nb"}, Rcpts: []smtpclient.RcptOptions{{To: "x@y.test"}}},
		{Rcpts: []smtpclient.RcptOptions{{To: "x@y.test>\r\nDATA"}}},
		{Rcpts: []smtpclient.RcptOptions{{To: "x@y.test", ORcpt: "rfc822;a\n"}}},
	} {
		if _, err := c.Transaction(ctx, tr); !errors.Is(err, smtpclient.ErrControl) {
			t.Errorf("%+v: %v", tr, err)
		}
	}
	if _, err := c.Transaction(ctx, smtpclient.Transaction{}); err == nil {
		t.Error("a transaction without recipients was sent")
	}
	if err := c.StartTLS(ctx, nil); !errors.Is(err, smtpclient.ErrNotOffered) {
		t.Errorf("STARTTLS that was not offered: %v", err)
	}
}

// What must not be sent with DATA is not sent with BDAT either; and a message
// larger than one chunk goes with DATA.
func TestChunkLimits(t *testing.T) {
	t.Parallel()
	b, addr := goSMTP(t)
	for _, tt := range []struct {
		body string
		want error
	}{
		{"a\r\n.b", nil}, {strings.Repeat("0123456789abcd\r\n", 1<<12), nil}, {strings.Repeat("0123456789abcd\r\n", 1<<12) + "x", nil},
		{"", nil}, {"a\nb\r\n", smtp.ErrBareNewline}, {"a\rb\r\n", smtp.ErrBareNewline}, {"a\r\n\r", smtp.ErrBareNewline},
	} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := smtpclient.New(nc, smtpclient.Options{HELO: "client.test"})
		defer c.Close()
		ctx := context.Background()
		if _, err := c.Greeting(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Hello(ctx); err != nil {
			t.Fatal(err)
		}
		res, err := c.Transaction(ctx, smtpclient.Transaction{
			Rcpts: []smtpclient.RcptOptions{{To: "yes@b.test"}}, Body: strings.NewReader(tt.body), Reset: true, Chunk: true,
		})
		if !errors.Is(err, tt.want) || res.Accepted(0) != (tt.want == nil) || c.Quiet() != (tt.want == nil || res.Mail == nil) {
			t.Errorf("%d octets: %v, %+v", len(tt.body), err, res)
		}
		if got := b.last(); tt.want == nil && strings.TrimSuffix(got, "\r\n") != strings.TrimSuffix(tt.body, "\r\n") {
			t.Errorf("%d octets went out, %d arrived", len(tt.body), len(got))
		}
	}
}
