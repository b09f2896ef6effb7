package smtpclient_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waxwing/smtp"
	"waxwing/smtpclient"
)

// rawHost says what it is told, octet by octet, and keeps the messages it read.
type rawHost struct {
	greeting, ehlo, mail, rcpt, data string
	final                            string // the reply to the final dot or to BDAT LAST
	pieces                           bool   // the final reply goes out octet by octet
	hold                             bool   // after it: neither more nor the end
	reset                            bool   // after it: RST, else an orderly end once the client has gone
	closes                           bool   // after it: the end at once
	got                              chan string
}

func newRawHost(final string) *rawHost {
	return &rawHost{greeting: "220 mx.example.org ESMTP\r\n", ehlo: "250 mx.example.org\r\n", mail: "250 ok\r\n", rcpt: "250 ok\r\n", data: "354 go\r\n",
		final: final, got: make(chan string, 1)}
}

func (h *rawHost) serve(nc net.Conn) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Hour))
	io.WriteString(nc, h.greeting)
	br := bufio.NewReader(nc)
	for {
		line, err := br.ReadString('\n')
		verb, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case err != nil:
			return
		case verb == "EHLO":
			io.WriteString(nc, h.ehlo)
		case verb == "MAIL":
			io.WriteString(nc, h.mail)
		case verb == "RCPT":
			io.WriteString(nc, h.rcpt)
		case verb == "DATA":
			io.WriteString(nc, h.data)
			text, err := io.ReadAll(smtp.NewDataReader(br, 0))
			if err != nil || !h.settle(nc, br, string(text)) {
				return
			}
		case verb == "BDAT" && arg == "3 LAST":
			text := make([]byte, 3)
			if _, err := io.ReadFull(br, text); err != nil || !h.settle(nc, br, string(text)) {
				return
			}
		default:
			io.WriteString(nc, "250 ok\r\n")
		}
	}
}

// settle has the message, answers, and goes on if it is true.
func (h *rawHost) settle(nc net.Conn, br *bufio.Reader, text string) bool {
	h.got <- text
	n := len(h.final)
	if h.pieces {
		n = 1
	}
	for i := 0; i < len(h.final); i += n {
		if _, err := io.WriteString(nc, h.final[i:min(len(h.final), i+n)]); err != nil {
			return false
		}
		if h.pieces {
			time.Sleep(time.Millisecond)
		}
	}
	if tc, ok := nc.(*net.TCPConn); ok && h.reset {
		time.Sleep(50 * time.Millisecond) // the reply is out
		tc.SetLinger(0)
	}
	if h.hold {
		io.Copy(io.Discard, br)
	}
	return !h.hold && !h.reset && !h.closes
}

// send sends one message to a host, and returns the connection with what came of it.
func (h *rawHost) send(t *testing.T, nc net.Conn, chunk bool) (*smtpclient.Conn, *smtpclient.TransactionResult, error) {
	t.Helper()
	c := smtpclient.New(nc, smtpclient.Options{HELO: "client.test"})
	t.Cleanup(func() { c.Close() })
	ctx := context.Background()
	if _, err := c.Greeting(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello(ctx); err != nil {
		t.Fatal(err)
	}
	res, err := c.Transaction(ctx, smtpclient.Transaction{
		Rcpts: []smtpclient.RcptOptions{{To: "a@b.test"}}, Body: strings.NewReader("x\r\n"), Size: 3, Chunk: chunk,
	})
	return c, res, err
}

func dialRaw(t *testing.T, h *rawHost) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		if nc, err := l.Accept(); err == nil {
			h.serve(nc)
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// finalReplies are spellings of the reply to the final dot with the code that
// counts and the faults to be told; 0: it is none.
var finalReplies = []struct {
	name, reply string
	code        int
	faults      smtp.ReplyFaults
}{
	{"as it should be", "250 2.0.0 Ok: queued\r\n", 250, 0},
	{"three digits", "250\r\n", 250, 0},
	{"bare LF", "250 2.0.0 Ok: queued\n", 250, smtp.FaultLF},
	{"bare LF in many lines", "250-2.0.0 Ok\n250 queued\n", 250, smtp.FaultLF},
	{"CR CR LF", "250 2.0.0 Ok\r\r\n", 250, smtp.FaultCR},
	{"CR within", "250 2.0.0 Ok\rqueued\r\n", 250, smtp.FaultCR},
	{"long", "250 2.0.0 Ok: " + strings.Repeat("x", 3000) + "\r\n", 250, smtp.FaultLong},
	{"longer than the buffer", "250 2.0.0 Ok: " + strings.Repeat("x", 9000) + "\r\n", 250, smtp.FaultLong},
	{"long, bare LF", "250 2.0.0 Ok: " + strings.Repeat("x", 3000) + "\n", 250, smtp.FaultLong},
	{"TAB after the code", "250\t2.0.0 Ok\r\n", 250, smtp.FaultBlank},
	{"no blank", "250Ok\r\n", 250, smtp.FaultBlank},
	{"another mark", "250_Ok\r\n", 250, smtp.FaultBlank},
	{"blanks before", "  250 Ok\r\n", 250, smtp.FaultBlank},
	{"another code behind", "250-2.0.0 Ok\r\n251 queued\r\n", 250, smtp.FaultCodes},
	{"another class behind", "250-2.0.0 Ok\r\n550 queued\r\n", 250, smtp.FaultClass},
	{"another class in between", "550-5.7.1 no\r\n250-x\r\n550 no\r\n", 550, smtp.FaultClass},
	{"a line without code", "250-2.0.0 Ok\r\nqueued as 4711\r\n250 bye\r\n", 250, smtp.FaultUncoded},
	{"a line before", "queued as 4711\r\n250 2.0.0 Ok\r\n", 250, smtp.FaultUncoded},
	{"an empty line before", "\r\n250 2.0.0 Ok\r\n", 250, smtp.FaultUncoded},
	{"NUL and 8-bit", "250 2.0.0 \x00\xff\xe9t\xe9\r\n", 250, 0},
	{"NUL after the code", "250\x00Ok\r\n", 250, smtp.FaultBlank},
	{"enhanced code of another class", "250 5.0.0 Ok\r\n", 250, 0},
	{"no enhanced code", "250 2.0 Ok\r\n", 250, 0},
	{"enhanced code too long", "250 2.0.12345 Ok\r\n", 250, 0},
	{"many lines", strings.Repeat("250-x\r\n", 500) + "250 x\r\n", 250, smtp.FaultLines},
	{"354 again", "354 go\r\n250 Ok\r\n", 250, smtp.FaultMisplaced},
	{"octets behind", "250 Ok\r\nqueued\r\n", 250, smtp.FaultMisplaced},
	{"an empty line behind", "250 Ok\r\n\r\n", 250, smtp.FaultMisplaced},
	{"another reply behind", "250 Ok\r\n550 no\r\n", 250, smtp.FaultMisplaced},
	{"refused, bare LF", "550 5.7.1 no\n", 550, smtp.FaultLF},
	{"refused, TAB", "550\t5.7.1 no\r\n", 550, smtp.FaultBlank},
	{"refused for now, long", "451 4.7.1 " + strings.Repeat("x", 5000) + "\r\n", 451, smtp.FaultLong},
	{"another 2xx", "200 Ok\r\n", 200, 0},
	// No reply at all.
	{"words", "Ok\r\n", 0, 0},
	{"two digits", "25 Ok\r\n", 0, 0},
	{"four digits", "2500 Ok\r\n", 0, 0},
	{"no such class", "650 Ok\r\n", 0, 0},
	{"nothing", "", 0, 0},
}

// SES-13: the reply to the final dot counts by its code, however it is written
// and in however many packets it comes; then the connection is done with.
func TestFinalReply(t *testing.T) {
	t.Parallel()
	for _, tt := range finalReplies {
		for _, pieces := range []bool{false, true} {
			if pieces && len(tt.reply) > 200 {
				continue
			}
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				h := newRawHost(tt.reply)
				h.pieces, h.closes = pieces, tt.code == 0
				c, res, err := h.send(t, dialRaw(t, h), false)
				<-h.got
				if tt.code == 0 {
					var lost *smtpclient.ConnError
					if !errors.As(err, &lost) || res.Data != nil || !res.DotSent {
						t.Fatalf("%+v, %v; want an outcome that nobody knows", res, err)
					}
					return
				}
				if err != nil || res.Data == nil || res.Data.Code != tt.code || res.Accepted(0) != (tt.code < 300) {
					t.Fatalf("%+v, %v; want %d", res, err, tt.code)
				}
				// What is behind the reply is seen only where it has arrived.
				if got := res.Data.Faults; got != tt.faults && !(pieces && tt.faults == smtp.FaultMisplaced) {
					t.Errorf("faults %q, want %q", got, tt.faults)
				}
				if tt.faults != 0 && !pieces && (c.Usable() || !c.Retired()) || tt.faults == 0 && !c.Usable() {
					t.Errorf("usable %v, retired %v after faults %q", c.Usable(), c.Retired(), tt.faults)
				}
				if n := len(res.Data.String()); n > 500_000 {
					t.Errorf("%d octets of a reply are kept", n)
				}
			})
		}
	}
}

// SES-13: the same for BDAT LAST, where the replies to all commands come together.
func TestFinalReplyToBDAT(t *testing.T) {
	t.Parallel()
	for _, tt := range finalReplies {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newRawHost(tt.reply)
			h.ehlo, h.closes = "250-mx.example.org\r\n250-PIPELINING\r\n250 CHUNKING\r\n", true
			_, res, err := h.send(t, dialRaw(t, h), true)
			<-h.got
			want := tt.code
			switch tt.name {
			case "a line before", "an empty line before", "354 again", "another reply behind":
				want = 0 // which of them is the reply to BDAT cannot be told
			}
			if want == 0 {
				if err == nil || res.Data != nil || !res.DotSent {
					t.Fatalf("%+v, %v; want an outcome that nobody knows", res, err)
				}
				return
			}
			if err != nil || res.Data == nil || res.Data.Code != want || res.Data.Faults != tt.faults || res.Accepted(0) != (want < 300) {
				t.Fatalf("%+v, %v, faults %q; want %d with %q", res, err, res.Data.Faults, want, tt.faults)
			}
		})
	}
}

// SES-13: what was seen in use, as it was seen.
func TestFinalReplyCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/finalreply/smtp-*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
		lines[len(lines)-1] += "\n"
		h := newRawHost(lines[5])
		h.greeting, h.ehlo, h.mail, h.rcpt, h.data = lines[0], lines[1], lines[2], lines[3], lines[4]
		c, res, err := h.send(t, dialRaw(t, h), false)
		if err != nil || !res.Accepted(0) || c.Usable() || res.Data.Faults == 0 {
			t.Errorf("%s: %+v, %v, usable %v", file, res, err, c.Usable())
		}
	}
}

// SES-13: the code counts also where the connection ends within the reply, in
// whatever way, right behind it, or never.
func TestFinalReplyEnds(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"250 2.0.0 Ok\r\n", "250 2.0.0 Ok", "250 2.0.0 Ok\r", "250", "250-2.0.0 Ok\r\n", "250-2.0.0 Ok\r\nque"} {
		for _, how := range []string{"close", "reset"} {
			h := newRawHost(reply)
			h.closes, h.reset = how == "close", how == "reset"
			c, res, err := h.send(t, dialRaw(t, h), false)
			if err != nil || !res.Accepted(0) {
				t.Errorf("%q, %s: %+v, %v", reply, how, res, err)
			}
			if whole := strings.HasSuffix(reply, "Ok\r\n") && reply[3] == ' '; !whole && (c.Usable() || res.Data.Faults&smtp.FaultCut == 0) {
				t.Errorf("%q, %s: usable %v, faults %q", reply, how, c.Usable(), res.Data.Faults)
			}
		}
	}
	for _, reply := range []string{"", "2", "25"} {
		h := newRawHost(reply)
		h.closes = true
		if _, res, err := h.send(t, dialRaw(t, h), false); err == nil || res.Data != nil || !res.DotSent {
			t.Errorf("%q: %+v, %v", reply, res, err)
		}
	}
}

// SES-13: a reply that has begun gets a minute, and its code counts; one that has
// not gets all of the time that RFC 5321 §4.5.3.2.6 gives it.
func TestFinalReplyHangs(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]time.Duration{
		"250 2.0.0 Ok": time.Minute, "250-2.0.0 Ok\r\n": time.Minute, "250 2.0.0 Ok\r": time.Minute, "250 ": time.Minute,
		"25": time.Minute, "222": time.Minute, "": 10 * time.Minute, "Ok\r\n": 10 * time.Minute, "354 go\r\n": 10 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			h := newRawHost(reply)
			h.hold = true
			go h.serve(there)
			began := time.Now()
			_, res, err := h.send(t, here, false)
			if known := strings.HasPrefix(reply, "250"); known != (err == nil && res.Accepted(0)) || !res.DotSent {
				t.Errorf("%q: %+v, %v", reply, res, err)
			}
			if d := time.Since(began).Round(time.Second); d != want {
				t.Errorf("%q: after %v, want %v", reply, d, want)
			}
		})
	}
}

// SES-13: a reply without end is not waited for, and little of it is kept.
func TestFinalReplyWithoutEnd(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"250 " + strings.Repeat("x", 1<<22), "250-a\r\n" + strings.Repeat("250-x\r\n", 1<<20), "250-a\r\n" + strings.Repeat("x\n", 1<<21)} {
		h := newRawHost(reply)
		h.hold = true
		began := time.Now()
		c, res, err := h.send(t, dialRaw(t, h), false)
		if err != nil || !res.Accepted(0) || c.Usable() || res.Data.Faults&smtp.FaultCut == 0 || len(res.Data.String()) > 500_000 {
			t.Errorf("%.20q: %v, %d octets kept, usable %v", reply, err, len(res.Data.String()), c.Usable())
		}
		if d := time.Since(began); d > 30*time.Second {
			t.Errorf("%.20q: took %v", reply, d)
		}
	}
}

// SES-13: over TLS an end without close_notify cuts nothing off that was said.
func TestFinalReplyTLSCut(t *testing.T) {
	t.Parallel()
	cert := certificate(t)
	for _, reply := range []string{"250 2.0.0 Ok\r\n", "250 2.0.0 Ok", "250-2.0.0 Ok\r\n"} {
		h := newRawHost(reply)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			h.closes = true
			h.serve(&cutTLS{tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}})})
		}()
		nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, res, err := h.send(t, nc, false); err != nil || !res.Accepted(0) {
			t.Errorf("%q: %+v, %v", reply, res, err)
		}
	}
}

// cutTLS closes below TLS.
type cutTLS struct{ *tls.Conn }

func (c *cutTLS) Close() error { return c.NetConn().Close() }

// SES-13: elsewhere in the dialogue a plain reply counts by its code, too; and the
// connection, though it goes on, is not kept.
func TestPlainReplies(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3000)
	for name, change := range map[string]func(*rawHost){
		"banner, bare LF":    func(h *rawHost) { h.greeting = "220 hi\n" },
		"banner, long":       func(h *rawHost) { h.greeting = "220 " + long + "\r\n" },
		"banner, TAB":        func(h *rawHost) { h.greeting = "220\thi\r\n" },
		"banner, raw lines":  func(h *rawHost) { h.greeting = "220-hi\r\nno spam, please\r\n220 hi\r\n" },
		"EHLO, bare LF":      func(h *rawHost) { h.ehlo = "250-mx\n250-SIZE 1000\n250 8BITMIME\n" },
		"EHLO, long line":    func(h *rawHost) { h.ehlo = "250-mx " + long + "\r\n250-SIZE 1000\r\n250 8BITMIME\r\n" },
		"EHLO, codes":        func(h *rawHost) { h.ehlo = "250-mx\r\n250-SIZE 1000\r\n250-8BITMIME\r\n251 x\r\n" },
		"EHLO, TAB":          func(h *rawHost) { h.ehlo = "250-mx\r\n250-SIZE 1000\r\n250\t8BITMIME\r\n" },
		"MAIL, bare LF":      func(h *rawHost) { h.mail = "250 ok\n" },
		"MAIL, no blank":     func(h *rawHost) { h.mail = "250ok\r\n" },
		"RCPT, long":         func(h *rawHost) { h.rcpt = "250 " + long + "\r\n" },
		"RCPT, bare CR":      func(h *rawHost) { h.rcpt = "250 a\rb\r\n" },
		"DATA, bare LF":      func(h *rawHost) { h.data = "354 go\n" },
		"DATA, 354 twice":    func(h *rawHost) { h.data = "354 go\r\n354 go on\r\n" },
		"DATA, 250 behind":   func(h *rawHost) { h.data = "354 go\r\n250 ok\r\n" },
		"DATA, words behind": func(h *rawHost) { h.data = "354 go\r\nend with a dot\r\n" },
		"all of them with a LF": func(h *rawHost) {
			*h = *newRawHost("250 taken\n")
			h.greeting, h.ehlo, h.mail, h.rcpt, h.data = "220 a\n", "250-a\n250-SIZE 1000\n250 8BITMIME\n", "250 b\n", "250 c\n", "354 d\n"
		},
		"all of them pipelined": func(h *rawHost) {
			h.ehlo = "250-a\n250-SIZE 1000\n250-8BITMIME\n250 PIPELINING\n"
			h.mail, h.rcpt, h.data = "250 b\n", "250\tc\r\n", "354d\r\n"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newRawHost("250 taken\r\n")
			change(h)
			c, res, err := h.send(t, dialRaw(t, h), false)
			if err != nil || !res.Accepted(0) || res.Data.Text() != "taken" {
				t.Fatalf("%+v, %v", res, err)
			}
			if strings.Contains(h.ehlo, "SIZE") && (c.Extensions().MaxSize != 1000 || !c.Extensions().EightBitMIME) {
				t.Errorf("offers %+v", c.Extensions())
			}
			if c.InForm() {
				t.Error("the connection counts as one that may be kept")
			}
		})
	}
	// Refusals, too.
	h := newRawHost("")
	h.rcpt = "550\t5.1.1 nobody\n"
	if _, res, err := h.send(t, dialRaw(t, h), false); err != nil || res.Rcpts[0] == nil || res.Rcpts[0].Code != 550 || res.Rcpts[0].Enhanced.String() != "5.1.1" {
		t.Errorf("%+v, %v", res, err)
	}
	// A refusal before the end of the message is its end: the final dot is not sent.
	h = newRawHost("250 taken\r\n")
	h.data = "354 go\r\n552 5.3.4 too large\r\n"
	if _, res, err := h.send(t, dialRaw(t, h), false); err == nil || res.Data == nil || res.Data.Code != 552 || res.DotSent {
		t.Errorf("%+v, %v", res, err)
	}
	// A reply to DATA that the end cuts off does not begin a message.
	h = newRawHost("")
	h.data = "354 go"
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		br := bufio.NewReader(there)
		for _, r := range []string{h.greeting, h.ehlo, h.mail, h.rcpt, h.data} {
			io.WriteString(there, r)
			if r != h.data {
				br.ReadString('\n')
			}
		}
	}()
	if _, res, err := h.send(t, here, false); err == nil || res.DotSent {
		t.Errorf("%+v, %v", res, err)
	}
}
