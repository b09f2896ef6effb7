package session

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

const (
	drop = "drop" // close without a reply
	hang = "hang" // neither reply nor close
	drip = "drip" // a digit now and then, never a line
	// The same below SMTP, over TLS or not.
	half    = "half"    // the end of what it sends (over TLS with close_notify), and neither a reply nor a close
	garbage = "garbage" // octets that are no TLS record
	alert   = "alert"   // a TLS alert that nobody authenticated
	reset   = "reset"   // TCP RST
)

// peer is a mail host that does as it is told, over real sockets and real TLS.
type peer struct {
	cert   *tls.Certificate // nil: no STARTTLS
	ext    []string         // EHLO lines
	extTLS []string         // further lines over TLS
	// answer replaces the reply to a command: "" leaves it, drop and hang as
	// above, a trailing "!" closes after it. "" is the greeting's verb, "." the end of a message's.
	answer func(verb, arg string, overTLS bool) string
	// step does the same by the number of the connection and of the message on
	// it, both from 1.
	step func(conn, mail int, verb string) string
	// login takes the place of AUTH.
	login func(s *peerConn, arg string) bool
	// handshake takes the place of the TLS handshake.
	handshake func(nc net.Conn)
	config    func(*tls.Config)
	// body takes the place of reading a message after 354; true: it was read whole.
	body     func(nc net.Conn, br *bufio.Reader) bool
	noBDAT   bool // offered, and not known
	implicit bool // TLS before the greeting

	mu    sync.Mutex
	got   []mail
	seen  []string // commands of all connections
	conns int
}

// mail is one message that the peer accepted.
type mail struct {
	from string // argument of MAIL
	to   []string
	data string
	tls  bool
}

func (p *peer) serve(nc net.Conn, number int) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	s := &peerConn{p: p, nc: nc, br: bufio.NewReader(nc), number: number}
	if p.implicit && !s.startTLS() {
		return
	}
	if !s.reply("", "", "220 peer.test ESMTP") {
		return
	}
	for {
		line, err := smtp.NewLineReader(s.br, 4096).ReadLine()
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(string(line), " ")
		p.mu.Lock()
		p.seen = append(p.seen, string(line))
		p.mu.Unlock()
		if !s.command(strings.ToUpper(verb), arg) {
			return
		}
	}
}

type peerConn struct {
	p    *peer
	nc   net.Conn
	br   *bufio.Reader
	tls  bool
	mail mail
	last string

	number, mails int
}

// reply answers a command with what the script says, else as standard. Before
// says what becomes of the peer's state if the answer is sent.
func (s *peerConn) reply(verb, arg, standard string, before ...func(code string)) bool {
	text := standard
	if s.p.answer != nil {
		if a := s.p.answer(verb, arg, s.tls); a != "" {
			text = a
		}
	}
	if s.p.step != nil {
		if a := s.p.step(s.number, s.mails, verb); a != "" {
			text = a
		}
	}
	switch text {
	case drop:
		return false
	case hang:
		io.Copy(io.Discard, s.br)
		return false
	case drip:
		for range 100 {
			time.Sleep(20 * time.Millisecond)
			if _, err := io.WriteString(s.nc, "2"); err != nil {
				return false
			}
		}
		return false
	}
	if under(s.nc, text) {
		io.Copy(io.Discard, s.br)
		return false
	}
	text, last := strings.CutSuffix(text, "!")
	s.last = text
	for _, f := range before {
		f(text[:min(len(text), 3)])
	}
	io.WriteString(s.nc, strings.ReplaceAll(text, "\n", "\r\n")+"\r\n")
	return !last
}

// under does below SMTP what a fault says; false for the others.
func under(nc net.Conn, fault string) bool {
	raw := nc
	tc, overTLS := nc.(*tls.Conn)
	if overTLS {
		raw = tc.NetConn()
	}
	switch fault {
	case half:
		nc.(interface{ CloseWrite() error }).CloseWrite()
	case garbage:
		raw.Write([]byte("\x16\x03\x03\xff\xff garbage\r\n"))
	case alert:
		raw.Write([]byte{21, 3, 3, 0, 2, 2, 80})
	case reset:
		raw.(*net.TCPConn).SetLinger(0)
		raw.Close()
	default:
		return false
	}
	return true
}

func (s *peerConn) command(verb, arg string) bool {
	switch verb {
	case "EHLO":
		lines := append([]string{"peer.test hello"}, s.p.ext...)
		if s.tls {
			lines = append(lines, s.p.extTLS...)
		} else if s.p.cert != nil {
			lines = append(lines, "STARTTLS")
		}
		return s.reply(verb, arg, "250-"+strings.Join(lines[:len(lines)-1], "\n250-")+"\n250 "+lines[len(lines)-1])
	case "STARTTLS":
		if !s.reply(verb, arg, "220 go on") {
			return false
		}
		return !strings.HasPrefix(s.last, "220") || s.startTLS()
	case "AUTH":
		return s.auth(arg)
	case "MAIL":
		s.mail = mail{from: arg, tls: s.tls}
		s.mails++
	case "RCPT":
		return s.reply(verb, arg, "250 2.1.5 ok", func(code string) {
			if code[0] == '2' {
				s.mail.to = append(s.mail.to, arg)
			}
		})
	case "DATA":
		if !s.reply(verb, arg, "354 go on") {
			return false
		}
		return !strings.HasPrefix(s.last, "354") || s.data()
	case "BDAT":
		if s.p.noBDAT {
			return s.reply(verb, arg, "500 5.5.2 what")
		}
		return s.chunk(arg)
	case "QUIT":
		s.reply(verb, arg, "221 bye")
		return false
	}
	return s.reply(verb, arg, "250 2.0.0 ok")
}

func (s *peerConn) data() bool {
	if s.p.body != nil && !s.p.body(s.nc, s.br) {
		return false
	}
	body, err := io.ReadAll(smtp.NewDataReader(s.br, 0))
	if err != nil {
		return false
	}
	return s.take(body)
}

// chunk takes a message in one chunk.
func (s *peerConn) chunk(arg string) bool {
	n, err := strconv.Atoi(strings.TrimSuffix(arg, " LAST"))
	if err != nil || !strings.HasSuffix(arg, " LAST") {
		return false
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(s.br, body); err != nil {
		return false
	}
	if len(s.mail.to) == 0 {
		return s.reply("BDAT", arg, "503 5.5.1 nobody to send to")
	}
	return s.take(body)
}

// take answers the end of a message, and has the message if that says so.
func (s *peerConn) take(body []byte) bool {
	return s.reply(".", "", "250 2.0.0 taken", func(code string) {
		if code[0] != '2' {
			return
		}
		s.mail.data = string(body)
		s.p.mu.Lock()
		s.p.got = append(s.p.got, s.mail)
		s.p.mu.Unlock()
		s.mail = mail{}
	})
}

func (s *peerConn) auth(arg string) bool {
	if s.p.login == nil {
		return s.reply("AUTH", arg, "503 5.5.1 not here")
	}
	return s.p.login(s, arg)
}

func (s *peerConn) startTLS() bool {
	if s.p.handshake != nil {
		s.p.handshake(s.nc)
		return false
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{*s.p.cert}}
	if s.p.config != nil {
		s.p.config(cfg)
	}
	tc := tls.Server(s.nc, cfg)
	if tc.Handshake() != nil {
		return false
	}
	s.nc, s.br, s.tls = tc, bufio.NewReader(tc), true
	return true
}

func (p *peer) received() []mail {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got
}

func (p *peer) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns
}

// lines are the commands so far: a farewell may be on its way.
func (p *peer) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// saw counts the commands that begin with prefix.
func (p *peer) saw(prefix string) int {
	n := 0
	for _, line := range p.lines() {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// network maps the addresses of a test to its peers; an address without one
// refuses connections.
type network map[string]*peer

type mapDialer struct{ to map[string]string }

func (d mapDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	to, ok := d.to[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	var nd net.Dialer
	return nd.DialContext(ctx, network, to)
}

const (
	mxName = "mx.test"
	addr1  = "192.0.2.1"
	addr2  = "192.0.2.2"
	addr6  = "2001:db8::1"
)

// rig is a client on a network, and a request to vary.
type rig struct {
	t      testing.TB
	pki    *pki
	client *Client
	req    Request
}

func newRig(t testing.TB, peers network) *rig {
	t.Helper()
	p, err := makePKI()
	if err != nil {
		t.Fatal(err)
	}
	d := mapDialer{map[string]string{}}
	for addr, p := range peers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		d.to[net.JoinHostPort(addr, "25")] = l.Addr().String()
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				p.mu.Lock()
				p.conns++
				n := p.conns
				p.mu.Unlock()
				go p.serve(nc, n)
			}
		}()
	}
	r := &rig{t: t, pki: p, client: &Client{Dialer: d, HELO: "client.test", Roots: p.pool()}}
	name := dns.MustParse(mxName)
	r.req.Plan = delivery.Plan{Host: delivery.Host{Name: delivery.MXHost{Name: name}}, SNI: name, PKIXName: name, PlaintextFallback: true}
	r.addrs(addr1)
	body := delivery.Bytes("Subject: test\r\n\r\n.a dot\r\n")
	r.req.Content = body
	r.req.Job = &delivery.Job{Envelope: delivery.Envelope{Sender: "from@sender.test", Size: body.Size()}}
	r.rcpts(1)
	return r
}

func (r *rig) addrs(as ...string) {
	r.req.Plan.Host.Addrs = nil
	for _, a := range as {
		r.req.Plan.Host.Addrs = append(r.req.Plan.Host.Addrs, netip.MustParseAddr(a))
	}
}

func (r *rig) rcpts(n int) {
	r.req.Recipients = nil
	for i := range n {
		r.req.Recipients = append(r.req.Recipients, delivery.Recipient{ID: int64(i + 1), Address: fmt.Sprintf("r%d@rcpt.test", i)})
	}
}

func (r *rig) short(d time.Duration) {
	r.client.Timeouts = smtpclient.Timeouts{Greeting: d, Hello: d, StartTLS: d, Mail: d, Rcpt: d, Data: d, Block: d, Final: d, Quit: d}
}

func (r *rig) enforcePKIX() {
	r.req.Plan.TLS, r.req.Plan.PKIX, r.req.Plan.PlaintextFallback = delivery.TLSRequired, delivery.CheckRequire, false
}

func (r *rig) enforceDANE(cert *x509.Certificate) {
	tlsa := dane.Generate(cert, dane.UsageEE, 1, 1)
	r.req.Plan.TLS, r.req.Plan.DANE, r.req.Plan.PlaintextFallback = delivery.TLSRequired, delivery.CheckRequire, false
	r.req.Plan.TLSA = []dane.Record{{Usage: tlsa.Usage, Selector: tlsa.Selector, MatchingType: tlsa.MatchingType, Data: tlsa.Data}}
	r.req.Plan.DANENames = []dns.Name{dns.MustParse(mxName)}
}

func (r *rig) carry() Report {
	r.t.Helper()
	rep := r.client.Carry(context.Background(), r.req)
	if len(rep.Recipients) != len(r.req.Recipients) {
		r.t.Fatalf("%d results for %d recipients", len(rep.Recipients), len(r.req.Recipients))
	}
	for i, res := range rep.Recipients {
		if res.ID != r.req.Recipients[i].ID {
			r.t.Fatalf("result %d is that of recipient %d", i, res.ID)
		}
		if res.Outcome != delivery.Delivered && res.Word == "" {
			r.t.Errorf("recipient %d is %v without a word why", i, res.Outcome)
		}
	}
	return rep
}

// last is the report's last session.
func last(rep Report) delivery.Session { return rep.Visit.Sessions[len(rep.Visit.Sessions)-1] }

// broken is a Content that fails in its midst.
type broken struct{}

func (broken) Size() int64 { return 1000 }

func (broken) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader("a\r\n"), errReader{})), nil
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }
