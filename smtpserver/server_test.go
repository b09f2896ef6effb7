package smtpserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"waxwing/peers"
	"waxwing/sasl"
	"waxwing/smtp"
)

// Idle clients read 421 at once; a message under way is taken.
func TestDrain(t *testing.T) {
	t.Parallel()
	box := &mailbox{slow: 50 * time.Millisecond}
	s := &Server{Hostname: "mx.test", Backend: box}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	idle, busy := dial(t, l.Addr().String()), dial(t, l.Addr().String())
	idle.want("220")
	for _, line := range []string{"S: 220", "C: HELO c.test", "S: 250", "C: MAIL FROM:<>", "S: 250", "C: RCPT TO:<b@y.test>", "S: 250", "C: DATA", "S: 354"} {
		busy.line(0, line)
	}
	cancel()
	idle.want("421 4.3.2")
	idle.want("CLOSED")
	busy.send("x\r\n.\r\n")
	busy.want("250")
	busy.want("421 4.3.2")
	busy.want("CLOSED")
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if len(box.kept()) != 1 {
		t.Error("the message under way was lost")
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the listener is open after the drain")
	}
}

func TestDrainGrace(t *testing.T) {
	t.Parallel()
	s := &Server{Hostname: "mx.test", Backend: &mailbox{}, Timeouts: Timeouts{Drain: 50 * time.Millisecond}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	p := dial(t, l.Addr().String())
	for _, line := range []string{"S: 220", "C: HELO c.test", "S: 250", "C: MAIL FROM:<>", "S: 250", "C: RCPT TO:<b@y.test>", "S: 250", "C: DATA", "S: 354"} {
		p.line(0, line)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("a client that never ends its message holds the server up")
	}
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, Limits: Limits{ConnectionsPerAddr: 2}})
	a, b := dial(t, addr), dial(t, addr)
	a.want("220")
	b.want("220")
	c := dial(t, addr)
	c.want("421 4.7.0")
	c.want("CLOSED")
	a.line(0, "C: QUIT")
	a.want("221")
	a.want("CLOSED")
	for i := 0; ; i++ { // the slot is free a moment after the close
		d := dial(t, addr)
		if line, err := d.br.ReadString('\n'); err == nil && strings.HasPrefix(line, "220") {
			return
		}
		if i > 100 {
			t.Fatal("the slot was not given back")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestNeighbourhood(t *testing.T) {
	t.Parallel()
	var g gate
	l := Limits{Connections: 3, ConnectionsPerAddr: 1}
	for _, tt := range []struct{ addr, want string }{
		{"2001:db8::1", ""}, {"2001:db8::2", "limit-address"}, {"2001:db8:0:1::1", ""}, {"192.0.2.1", ""}, {"192.0.2.2", "limit-total"},
	} {
		if got := g.enter(netip.MustParseAddr(tt.addr), l); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.addr, got, tt.want)
		}
	}
	g.leave(netip.MustParseAddr("2001:db8::9"))
	if got := g.enter(netip.MustParseAddr("2001:db8::1"), l); got != "" {
		t.Errorf("after leave: %q", got)
	}
}

// INB-2: slow clients time out, idle ones and those that drip octets.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Hostname: "mx.test", Backend: &mailbox{}, Timeouts: Timeouts{Command: time.Minute, Data: time.Minute, Message: 10 * time.Minute}}
		for name, drip := range map[string]bool{"idle": false, "drip": true} {
			near, far := net.Pipe()
			go s.ServeConn(t.Context(), far)
			br := bufio.NewReader(near)
			expect := func(prefix string) {
				t.Helper()
				if line, err := br.ReadString('\n'); err != nil || !strings.HasPrefix(line, prefix) {
					t.Fatalf("%s: got %q, %v, want %s", name, line, err, prefix)
				}
			}
			expect("220")
			began := time.Now()
			if drip {
				for _, cmd := range []string{"HELO x", "MAIL FROM:<>", "RCPT TO:<b@y.test>"} {
					io.WriteString(near, cmd+"\r\n")
					expect("250")
				}
				io.WriteString(near, "DATA\r\n")
				expect("354")
				go func() {
					for range 1000 {
						time.Sleep(30 * time.Second)
						if _, err := io.WriteString(near, "x"); err != nil {
							return
						}
					}
				}()
			}
			expect("421 4.4.2")
			want := time.Minute
			if drip {
				want = 10 * time.Minute
			}
			if took := time.Since(began); took != want {
				t.Errorf("%s: closed after %s, want %s", name, took, want)
			}
			near.Close()
			time.Sleep(time.Minute) // until the writer has noticed
		}
	})
}

// login runs an exchange as a client and returns the final line.
func (p *peer) login(c sasl.Client) string {
	p.t.Helper()
	mech, ir, err := c.Start()
	if err != nil {
		p.t.Fatal(err)
	}
	p.send("AUTH " + mech + " " + base64.StdEncoding.EncodeToString(ir) + "\r\n")
	for {
		line := p.want("")
		rest, more := strings.CutPrefix(line, "334 ")
		if !more {
			return line
		}
		ch, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			p.t.Fatal(err)
		}
		answer, err := c.Next(ch)
		if err != nil {
			return "client: " + err.Error()
		}
		p.send(base64.StdEncoding.EncodeToString(answer) + "\r\n")
	}
}

func TestScramOverTLS(t *testing.T) {
	t.Parallel()
	addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, Auth: doorman{}, TLS: testTLS(), ImplicitTLS: true})
	leaf, err := x509.ParseCertificate(testCert().Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	other := *leaf
	other.Raw = append([]byte("x"), leaf.Raw...)
	for _, tt := range []struct {
		name, mech, password string
		cert                 *x509.Certificate
		which                int // of the bindings
		could                bool
		want                 string
	}{
		{"plain scram", sasl.ScramSHA256, "secret", nil, 0, false, "235"},
		{"wrong password", sasl.ScramSHA256, "wrong", nil, 0, false, "535 5.7.8"},
		{"exporter", sasl.ScramSHA256Plus, "secret", leaf, 0, false, "235"},
		{"end point", sasl.ScramSHA256Plus, "secret", leaf, 1, false, "235"},
		{"end point of another", sasl.ScramSHA256Plus, "secret", &other, 1, false, "535 5.7.8"},
		{"downgrade", sasl.ScramSHA256, "secret", leaf, 0, true, "501 5.5.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := dial(t, addr)
			p.tls()
			p.want("220")
			p.ehlo()
			o := sasl.ScramClient{Mechanism: tt.mech, User: "joe", Password: tt.password, CouldBind: tt.could}
			if sasl.IsPlus(tt.mech) {
				bs := sasl.TLSBindings(p.nc.(*tls.Conn).ConnectionState(), tt.cert)
				o.Binding = &bs[tt.which]
			}
			c, err := sasl.NewScramClient(o)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.login(c); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TLS that breaks after 220, and the handshake handed to a hook.
func TestTLSHook(t *testing.T) {
	t.Parallel()
	s := &Server{Hostname: "mx.test", Backend: &mailbox{}, Hooks: Hooks{TLS: func(_ context.Context, nc net.Conn) (*tls.Conn, error) {
		io.WriteString(nc, "this is no TLS\r\n")
		return nil, errors.New("broken on purpose")
	}}}
	p := dial(t, start(t, s))
	p.want("220")
	p.ehlo()
	p.line(0, "C: STARTTLS")
	p.want("220")
	p.want("this is no TLS")
	p.want("CLOSED")
}

func TestGoSMTPClient(t *testing.T) {
	t.Parallel()
	box := &mailbox{}
	c, err := gosmtp.DialStartTLS(start(t, &Server{Hostname: "mx.test", Backend: box, TLS: testTLS(), Offer: Offer{RequireTLS: true}}), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("a@x.test", &gosmtp.MailOptions{RequireTLS: true, Size: 100, Return: gosmtp.DSNReturnFull, EnvelopeID: "id+1"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("no@y.test", nil); err == nil {
		t.Error("refused recipient was accepted")
	}
	if err := c.Rcpt("b@y.test", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifyNever}}); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "A: b\n\n.dots\n..\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	m := box.kept()
	if len(m) != 1 || m[0].body != "A: b\r\n\r\n.dots\r\n..\r\n" || !m[0].mail.RequireTLS || m[0].mail.EnvID != "id+1" {
		t.Errorf("kept %+v", m)
	}
}

func TestSwaks(t *testing.T) {
	t.Parallel()
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		t.Skip("swaks is not installed")
	}
	box := &mailbox{}
	addr := start(t, &Server{Hostname: "mx.test", Backend: box, TLS: testTLS(), Auth: doorman{plain: true}})
	for _, extra := range [][]string{nil, {"--auth", "PLAIN", "--au", "joe", "--ap", "secret"}, {"--pipeline"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		args := append([]string{"--server", addr, "--from", "a@x.test", "--to", "b@y.test", "--helo", "c.test", "--body", "hi"}, extra...)
		out, err := exec.CommandContext(ctx, swaks, args...).CombinedOutput()
		cancel()
		if err != nil {
			t.Errorf("swaks %v: %v\n%s", extra, err, out)
		}
	}
	if n := len(box.kept()); n != 3 {
		t.Errorf("%d messages kept, want 3", n)
	}
}

// Texts from elsewhere cannot break out of a reply.
func TestWriteReply(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		r    *smtp.Reply
		utf8 bool
		want string
	}{
		{smtp.NewReply(250, smtp.Enhanced{}, ""), false, "250 \r\n"},
		{smtp.NewReply(550, status(5, 1, 1), "a\nb"), false, "550-5.1.1 a\r\n550 5.1.1 b\r\n"},
		{&smtp.Reply{Code: 550, Lines: []string{"a\r\n250 ok\x00ü\x7f"}}, false, "550 a??250 ok???\r\n"},
		{&smtp.Reply{Code: 550, Lines: []string{"ü\u0085"}}, true, "550 ü?\r\n"},
		{&smtp.Reply{Code: 550}, false, "550 \r\n"},
	} {
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		writeReply(w, tt.r, tt.utf8)
		w.Flush()
		if b.String() != tt.want {
			t.Errorf("%+v: %q, want %q", tt.r, b.String(), tt.want)
		}
	}
}

// FuzzServer sends anything to a whole server: it must answer every line with
// well-formed replies, end, and keep only messages made of whole lines.
func FuzzServer(f *testing.F) {
	fuzzServer(f, false)
}

// FuzzLMTP is FuzzServer over LMTP (INB-14).
func FuzzLMTP(f *testing.F) {
	f.Add([]byte("LHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nRCPT TO:<no@e.f>\r\nRCPT TO:<g@e.f>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"))
	f.Add([]byte("LHLO x\r\nMAIL FROM:<>\r\nDATA\r\nRCPT TO:<early@e.f>\r\nDATA\r\nx\n.\r\nBDAT 1 LAST\r\nx"))
	fuzzServer(f, true)
}

func fuzzServer(f *testing.F, lmtp bool) {
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"))
	f.Add([]byte("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<d@e.f>\r\nBDAT 3\r\nabcBDAT 0 LAST\r\nRSET\r\n"))
	f.Add([]byte("EHLO x\r\nAUTH PLAIN\r\n*\r\nAUTH LOGIN\r\nYQ==\r\n\r\nSTARTTLS\r\nNOOP\r\n"))
	f.Add([]byte("EHLO x\r\nAUTH SCRAM-SHA-256 bixhPWEsbj1qb2Uscj1h\r\n\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\nMAIL FROM:<a@b.c> SMTPUTF8 AUTH=<>\r\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		box := &mailbox{}
		s := &Server{Hostname: "mx.test", LMTP: lmtp, Backend: box, Auth: doorman{plain: true}, Limits: Limits{MessageSize: 1000}, Peers: &peers.Ledger{Patience: peers.Patience{Step: 1}}}
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() { s.ServeConn(context.Background(), far); close(done) }()
		go func() {
			near.Write(input)
			time.Sleep(time.Millisecond)
			near.(interface{ SetReadDeadline(time.Time) error }).SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		}()
		out, _ := io.ReadAll(near)
		near.Close()
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			t.Fatal("the server does not end")
		}
		if i := bytes.LastIndexByte(out, '\n'); i >= 0 {
			out = out[:i+1]
		}
		br := bufio.NewReader(bytes.NewReader(out))
		for br.Buffered() > 0 || br.Size() > 0 {
			if _, err := br.Peek(1); err != nil {
				break
			}
			if _, err := smtp.ParseReply(br, smtp.ReplyLimits{}); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%v in %q", err, out)
			}
		}
		for _, m := range box.kept() {
			if m.body != "" && !strings.HasSuffix(m.body, "\r\n") || strings.Count(m.body, "\r") != strings.Count(m.body, "\r\n") || strings.Count(m.body, "\n") != strings.Count(m.body, "\r\n") {
				t.Fatalf("kept %q", m.body)
			}
		}
	})
}

// BenchmarkServer: messages of 10 KiB, one connection per goroutine, pipelined.
func BenchmarkServer(b *testing.B) {
	s := &Server{Hostname: "mx.test", Backend: discard{}, Limits: Limits{Transactions: 1 << 30, ConnectionsPerAddr: 1000}}
	addr := start(b, s)
	line := strings.Repeat("x", 78) + "\r\n"
	head := []byte("MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\n")
	body := []byte(strings.Repeat(line, 10<<10/80) + ".\r\n")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer nc.Close()
		br := bufio.NewReader(nc)
		expect := func(n int, code string) {
			for range n {
				l, err := br.ReadSlice('\n')
				if err != nil || !strings.HasPrefix(string(l[:3]), code) {
					b.Errorf("%q %v", l, err)
				}
			}
		}
		expect(1, "220")
		io.WriteString(nc, "HELO c.test\r\n")
		expect(1, "250")
		for pb.Next() {
			nc.Write(head)
			expect(2, "250")
			expect(1, "354")
			nc.Write(body)
			expect(1, "250")
		}
	})
}

type discard struct{}

func (discard) NewSession(context.Context, Conn) (Session, error) { return discard{}, nil }
func (discard) Mail(context.Context, smtp.MailParams) error       { return nil }
func (discard) Rcpt(context.Context, smtp.RcptParams) error       { return nil }
func (discard) Reset()                                            {}
func (discard) Close()                                            {}
func (discard) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
	var buf [16 << 10]byte
	for {
		if _, err := r.Read(buf[:]); err == io.EOF {
			return smtp.NewReply(250, status(2, 0, 0), "OK"), nil
		} else if err != nil {
			return nil, err
		}
	}
}

// A connection that ends between or within chunks leaves no message: its first
// chunks were once taken for the whole.
func TestLostWithinBDAT(t *testing.T) {
	t.Parallel()
	for _, input := range []string{"BDAT 3\r\nabc", "BDAT 5\r\nabc", "BDAT 5 LAST\r\nabc", "BDAT 3\r\nabcBDAT", "BDAT 3\r\nabc\n"} {
		box := &mailbox{}
		s := &Server{Hostname: "mx.test", Backend: box}
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() { s.ServeConn(context.Background(), far); close(done) }()
		go io.Copy(io.Discard, near)
		io.WriteString(near, "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@y.test>\r\n"+input)
		near.Close()
		<-done
		if m := box.kept(); len(m) != 0 {
			t.Errorf("%q: kept %q", input, m[0].body)
		}
	}
}

// What has its own limit does not count as a command: many recipients, many
// chunks. Empty chunks do.
func TestCommandLimit(t *testing.T) {
	t.Parallel()
	addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, Limits: Limits{Commands: 20}})
	p := dial(t, addr)
	p.want("220")
	p.ehlo()
	p.line(0, "C: MAIL FROM:<>")
	p.want("250")
	for range 50 {
		p.line(0, "C: RCPT TO:<b@y.test>")
		p.want("250 2.1.5")
	}
	for range 50 {
		p.send("BDAT 3\r\na\r\n")
		p.want("250 2.0.0 chunk")
	}
	for range 50 {
		p.send("BDAT 0\r\n")
		if line := p.want(""); strings.HasPrefix(line, "421 4.7.0") {
			return
		}
	}
	t.Error("empty chunks without end")
}

// flaky is a listener that is out of descriptors for a while, then broken.
type flaky struct {
	net.Listener
	errs []error
}

func (f *flaky) Accept() (net.Conn, error) {
	err := f.errs[0]
	f.errs = f.errs[1:]
	return nil, err
}

func (f *flaky) Close() error { return nil }

func TestAcceptFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	l := &flaky{errs: []error{&net.OpError{Err: syscall.EMFILE}, &net.OpError{Err: syscall.ECONNABORTED}, broken}}
	s := &Server{Hostname: "mx.test", Backend: discard{}}
	if err := s.Serve(t.Context(), l); err != broken || len(l.errs) != 0 {
		t.Errorf("Serve: %v, %d errors left", err, len(l.errs))
	}
	if err := (&Server{}).Serve(t.Context(), l); err == nil {
		t.Error("a server without a backend serves")
	}
}
