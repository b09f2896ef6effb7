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

	"waxwing/smtpclient"
)

// SES-7: the time that a body may take follows from its size, grows with it, and has
// an end; what is beyond the first MiB must be sixteen times as fast.
func TestBodyTime(t *testing.T) {
	t.Parallel()
	var def smtpclient.Timeouts
	const mib = 1 << 20
	for _, tt := range []struct {
		t    smtpclient.Timeouts
		n    int64
		want time.Duration
	}{
		{def, 0, 3 * time.Minute},
		{def, 1024, 3*time.Minute + time.Second},
		{def, mib, 3*time.Minute + 1024*time.Second},
		{def, 2 * mib, 3*time.Minute + 1024*time.Second + 64*time.Second},
		{def, 50 * mib, 3*time.Minute + 1024*time.Second + 49*64*time.Second}, // 72 min
		{def, 1 << 40, 2 * time.Hour},
		{def, 1<<63 - 1, 2 * time.Hour},
		{smtpclient.Timeouts{MinRate: 1 << 62}, 1<<63 - 1, 3*time.Minute + 125*time.Millisecond},
		{smtpclient.Timeouts{MinRate: 10240, Block: time.Minute}, mib, time.Minute + 102400*time.Millisecond},
		{smtpclient.Timeouts{Body: time.Minute}, mib, time.Minute},
	} {
		if got := tt.t.BodyTime(tt.n); got != tt.want {
			t.Errorf("%d octets: %v, want %v", tt.n, got, tt.want)
		}
	}
	last := time.Duration(0)
	for n := int64(0); n < 1<<40; n += 1 + n/3 {
		got := def.BodyTime(n)
		if got < last || got > 2*time.Hour {
			t.Fatalf("%d octets may take %v, less of them %v", n, got, last)
		}
		last = got
	}
}

// meteredPeer answers at once, reads a message at a rate in octets per second, and
// takes it at its end.
func meteredPeer(nc net.Conn, rate int) {
	defer nc.Close()
	br := bufio.NewReaderSize(nc, 16)
	io.WriteString(nc, "220 hi\r\n")
	for _, r := range []string{"250 hi\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"} {
		if _, err := br.ReadString('\n'); err != nil {
			return
		}
		io.WriteString(nc, r)
	}
	buf, tail := make([]byte, rate), ""
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		if tail += string(buf[max(0, n-5):n]); strings.HasSuffix(tail, "\r\n.\r\n") {
			io.WriteString(nc, "250 taken\r\n")
			return
		}
		tail = tail[max(0, len(tail)-5):]
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	}
}

// lines is a message of n octets that is nowhere.
func lines(n int64) io.Reader {
	return io.LimitReader(repeat(strings.Repeat("x", 62)+"\r\n"), n)
}

type repeat string

func (r repeat) Read(p []byte) (int, error) {
	n := 0
	for n+len(r) <= len(p) {
		n += copy(p[n:], r)
	}
	return n, nil
}

// SES-7: a peer that trickles is parted from in minutes, whatever the size, and one
// that is merely slow gets its message.
func TestTricklingBody(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, tt := range []struct {
		size  int64
		rate  int
		taken bool
		most  time.Duration
	}{
		{50 * mib, 100, false, 4 * time.Minute},
		{50 * mib, 200, false, 5 * time.Minute},
		{50 * mib, 1500, false, 22 * time.Minute},
		{50 * mib, 8000, false, 45 * time.Minute},
		{50 * mib, 16500, true, 55 * time.Minute},
		{50 * mib, 100_000, true, 10 * time.Minute},
		{mib, 1000, true, 18 * time.Minute},
		{mib, 500, false, 10 * time.Minute},
		{32 << 10, 200, true, 3 * time.Minute},
		{128, 10, true, 20 * time.Second},
		{400 * mib, 30_000, false, 2*time.Hour + time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			defer time.Sleep(time.Hour) // so that the peer sees the end
			go meteredPeer(there, tt.rate)
			c := smtpclient.New(here, smtpclient.Options{HELO: "client.test"})
			defer c.Close()
			ctx := context.Background()
			if _, err := c.Greeting(ctx); err != nil {
				t.Fatal(err)
			}
			if err := c.Hello(ctx); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			res, err := c.Transaction(ctx, smtpclient.Transaction{Rcpts: []smtpclient.RcptOptions{{To: "a@b.test"}}, Body: lines(tt.size)})
			d := time.Since(began)
			if tt.taken != (err == nil && res.Accepted(0)) || d > tt.most {
				t.Errorf("%d octets at %d in a second: after %v %v, %v", tt.size, tt.rate, d, res.Data, err)
			}
			var ce *smtpclient.ConnError
			if !tt.taken && (!errors.As(err, &ce) || !ce.Timeout() || res.DotSent) {
				t.Errorf("%d octets at %d in a second: %v, dot sent %v", tt.size, tt.rate, err, res.DotSent)
			}
		})
	}
}

// QUE-2: whatever the peer does from the end of the message on, with DATA and BDAT,
// its fate is known within Settle, which is what the lease must outlast.
func TestSettleTime(t *testing.T) {
	t.Parallel()
	for _, chunk := range []bool{false, true} {
		for _, pace := range []time.Duration{0, time.Second, 59 * time.Second, 4 * time.Minute, 9 * time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				defer time.Sleep(time.Hour)
				go func() {
					defer there.Close()
					br := bufio.NewReader(there)
					say := func(s string) { io.WriteString(there, s) }
					say("220 hi\r\n")
					br.ReadString('\n')
					say("250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
					go io.Copy(io.Discard, br)
					time.Sleep(time.Second)
					if !chunk {
						say("250 ok\r\n250 ok\r\n354 go\r\n")
					}
					for pace > 0 { // one octet now and then, never a line
						time.Sleep(pace)
						if _, err := io.WriteString(there, "2"); err != nil {
							return
						}
					}
					time.Sleep(time.Hour)
				}()
				c := smtpclient.New(here, smtpclient.Options{HELO: "client.test"})
				defer c.Close()
				ctx := context.Background()
				if _, err := c.Greeting(ctx); err != nil {
					t.Fatal(err)
				}
				if err := c.Hello(ctx); err != nil {
					t.Fatal(err)
				}
				var from time.Time
				res, err := c.Transaction(ctx, smtpclient.Transaction{Rcpts: []smtpclient.RcptOptions{{To: "a@b.test"}}, Body: strings.NewReader("x\r\n"), Size: 3, Chunk: chunk,
					BeforeFinal: func(context.Context) error { from = time.Now(); return nil }})
				if err == nil || !res.DotSent || res.Data != nil {
					t.Errorf("chunk %v, pace %v: %+v, %v", chunk, pace, res, err)
				}
				if d := time.Since(from); d > (smtpclient.Timeouts{}).Settle() {
					t.Errorf("chunk %v, pace %v: known after %v, Settle is %v", chunk, pace, d, (smtpclient.Timeouts{}).Settle())
				}
			})
		}
	}
}
