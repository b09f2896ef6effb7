package smtpclient_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"waxwing/smtpclient"
)

// FuzzLMTP (INB-14): whatever a program of LMTP answers, no recipient has the message without a
// positive reply for it alone, and the transaction ends.
func FuzzLMTP(f *testing.F) {
	f.Add("220 x\r\n250-x\r\n250 PIPELINING\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n250 d\r\n552 5.2.2 full\r\n")
	f.Add("220 x\r\n250 x\r\n250 a\r\n550 b\r\n250 c\r\n354 go\r\n421 bye\r\n")
	f.Add("220 x\r\n250 x\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n354 go\r\nrubbish\r\n")
	f.Fuzz(func(t *testing.T, replies string) {
		here, there := net.Pipe()
		go io.Copy(io.Discard, there)
		go func() {
			io.WriteString(there, replies)
			there.Close()
		}()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c := smtpclient.New(here, smtpclient.Options{HELO: "client.test", LMTP: true})
		defer c.Close()
		if _, err := c.Greeting(ctx); err != nil {
			return
		}
		if c.Hello(ctx) != nil {
			return
		}
		res, _ := c.Transaction(ctx, smtpclient.Transaction{Mail: smtpclient.MailOptions{From: "a@a.test"},
			Rcpts: []smtpclient.RcptOptions{{To: "r1@b.test"}, {To: "r2@b.test"}}, Body: strings.NewReader("x\r\n")})
		for i := range res.Rcpts {
			if r := res.Final(i); res.Accepted(i) && (res.Each == nil || r == nil || !r.Positive()) {
				t.Errorf("recipient %d has it by %v: %q", i, r, replies)
			}
		}
	})
}
