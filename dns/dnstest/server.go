package dnstest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
)

// Server is a DNS server on loopback that stands for a validating resolver.
// All its methods may be called at any time, from any goroutine.
type Server struct {
	udp  *wire.Server
	tcp  *wire.Server
	addr string

	mu        sync.Mutex
	zones     map[string]*zone
	failures  map[string]Failure // by perNameKey
	questions []Question
	validate  bool
	hook      func(q, r *wire.Msg) *wire.Msg
}

// Question is one question the server was asked.
type Question struct {
	Name string // lower case, no final dot
	Type string
	TCP  bool
	CD   bool
}

// String is "TYPE name".
func (q Question) String() string { return q.Type + " " + q.Name }

// maxQuestions bounds what Questions remembers.
const maxQuestions = 10_000

// New makes a server without sockets, to be reached through Dial alone: for
// tests whose clock is fake.
func New(zones ...Zone) (*Server, error) {
	s := &Server{zones: make(map[string]*zone), failures: make(map[string]Failure), validate: true}
	for _, z := range zones {
		if err := s.Set(z); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Start makes a server that listens on a free port of 127.0.0.1, UDP and TCP.
// Close stops it.
func Start(zones ...Zone) (s *Server, err error) {
	// The port that TCP got may be taken for UDP.
	for range 20 {
		if s, err = StartAt("127.0.0.1:0", zones...); err == nil {
			break
		}
	}
	return s, err
}

// StartAt is Start on a given address.
func StartAt(addr string, zones ...Zone) (*Server, error) {
	s, err := New(zones...)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("starting a DNS server: %w", err)
	}
	pc, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("starting a DNS server: %w", err)
	}
	s.addr = l.Addr().String()
	s.tcp = &wire.Server{Listener: l, Handler: handler{s, true}}
	s.udp = &wire.Server{PacketConn: pc, Handler: handler{s, false}}
	for _, srv := range []*wire.Server{s.tcp, s.udp} {
		up := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(up) }
		go func() { _ = srv.ActivateAndServe() }()
		<-up
	}
	return s, nil
}

// Addr is "127.0.0.1:port"; empty for a server made by New.
func (s *Server) Addr() string { return s.addr }

// Close stops the server; it may be called more than once.
func (s *Server) Close() {
	for _, srv := range []*wire.Server{s.tcp, s.udp} {
		if srv != nil {
			_ = srv.Shutdown()
		}
	}
}

// Set adds a zone, or replaces the one of that name.
func (s *Server) Set(z Zone) error {
	p, err := parseZone(z)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones[p.name] = p
	return nil
}

// Add puts records, as lines of Zone.Records, into a zone; the zone is made,
// Insecure, if there is none.
func (s *Server) Add(zoneName string, records ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.zones[fqdn(zoneName)]
	if z == nil {
		var err error
		if z, err = parseZone(Zone{Name: zoneName, Security: dns.Insecure}); err != nil {
			return err
		}
		s.zones[z.name] = z
	}
	return z.add(records)
}

// Remove takes the records of name away; of one type, or of all if qtype is empty.
func (s *Server) Remove(name, qtype string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if z := zoneFor(s.zones, fqdn(name)); z != nil {
		z.remove(fqdn(name), qtype)
	}
}

// SetSecurity changes the state of one name; of one type, or of all if qtype is empty.
func (s *Server) SetSecurity(name, qtype string, sec dns.Security) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if z := zoneFor(s.zones, fqdn(name)); z != nil {
		z.setState(fqdn(name), qtype, sec)
	}
}

// Fail makes a name fail, and Unfail makes it work again.
func (s *Server) Fail(f Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[perNameKey(fqdn(f.Name), f.Type)] = f
}

// Unfail undoes a Fail of the same name and type.
func (s *Server) Unfail(name, qtype string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failures, perNameKey(fqdn(name), qtype))
}

// Validate turns validation off or on: without it the server gives data for
// Bogus names, and never AD.
func (s *Server) Validate(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.validate = on
}

// Intercept lets fn change each answer before it goes out; nil from fn means
// no answer. A nil fn ends it.
func (s *Server) Intercept(fn func(query, answer *wire.Msg) *wire.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = fn
}

// Questions is what was asked since the last ResetQuestions, at most 10,000.
func (s *Server) Questions() []Question {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Question(nil), s.questions...)
}

// ResetQuestions forgets the questions.
func (s *Server) ResetQuestions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.questions = nil
}

// handler serves one of the two transports.
type handler struct {
	s   *Server
	tcp bool
}

func (h handler) ServeDNS(w wire.ResponseWriter, q *wire.Msg) {
	if r := h.s.respond(q, h.tcp); r != nil {
		_ = w.WriteMsg(r)
	}
}

// respond answers one message; nil: not at all.
func (s *Server) respond(q *wire.Msg, tcp bool) *wire.Msg {
	r := s.answer(q, tcp)
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook != nil && r != nil {
		r = hook(q, r)
	}
	if r != nil && !tcp {
		size := wire.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		r.Truncate(size)
	}
	return r
}

func (s *Server) answer(q *wire.Msg, tcp bool) *wire.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := new(wire.Msg)
	r.SetReply(q)
	r.RecursionAvailable = true
	if q.IsEdns0() != nil {
		r.SetEdns0(wire.DefaultMsgSize, q.IsEdns0().Do())
	}
	if len(q.Question) != 1 || q.Question[0].Qclass != wire.ClassINET {
		r.Rcode = wire.RcodeRefused
		return r
	}
	name, qtype := fqdn(q.Question[0].Name), q.Question[0].Qtype
	if len(s.questions) < maxQuestions {
		s.questions = append(s.questions, Question{strings.TrimSuffix(name, "."), wire.Type(qtype).String(), tcp, q.CheckingDisabled})
	}
	if f, ok := s.failure(name, qtype); ok {
		if f.Drop {
			return nil
		}
		return fail(r, f)
	}
	wantsAD := q.AuthenticatedData || q.IsEdns0() != nil && q.IsEdns0().Do()
	s.fill(r, name, qtype)
	r.AuthenticatedData = r.AuthenticatedData && wantsAD // RFC 6840 §5.8
	return r
}

func (s *Server) failure(name string, qtype uint16) (Failure, bool) {
	f, ok := s.failures[perNameKey(name, wire.Type(qtype).String())]
	if !ok {
		f, ok = s.failures[perNameKey(name, "")]
	}
	return f, ok
}

func fail(r *wire.Msg, f Failure) *wire.Msg {
	r.Answer, r.Ns, r.AuthenticatedData = nil, nil, false
	r.Rcode = wire.RcodeServerFailure
	if c, ok := wire.StringToRcode[f.RCode]; ok {
		r.Rcode = c
	}
	if opt := r.IsEdns0(); opt != nil && f.EDE != 0 {
		opt.Option = append(opt.Option, &wire.EDNS0_EDE{InfoCode: f.EDE, ExtraText: "as the test wants"})
	}
	return r
}

// fill follows CNAMEs through the zones and puts the answer into r. AD is set
// where every step is Secure.
func (s *Server) fill(r *wire.Msg, name string, qtype uint16) {
	secure := true
	for range 20 {
		z := zoneFor(s.zones, name)
		if z == nil {
			fail(r, Failure{RCode: "NXDOMAIN"})
			return
		}
		// SetReply has copied CD from the query.
		sec := z.state(name, wire.Type(qtype).String())
		if sec == dns.Bogus && s.validate && !r.CheckingDisabled {
			fail(r, Failure{EDE: z.ede})
			return
		}
		secure = secure && sec == dns.Secure
		rrs, cname, exists := z.find(name, qtype)
		switch {
		case len(rrs) > 0:
			r.Answer = append(r.Answer, rrs...)
		case cname != nil:
			r.Answer = append(r.Answer, cname)
			name = fqdn(cname.Target)
			continue
		default:
			r.Ns = []wire.RR{z.soa()}
			if !exists {
				r.Rcode = wire.RcodeNameError
			}
		}
		r.AuthenticatedData = secure && s.validate && !r.CheckingDisabled
		return
	}
	fail(r, Failure{}) // a CNAME loop
}

// Dial reaches the server without a network: its end of a net.Pipe is served
// until the other end is closed. It fits dns.Client.Dial; the address is not looked at.
func (s *Server) Dial(_ context.Context, network, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	switch network {
	case "udp":
		go s.servePipe(far, pipe{readDatagram, writeDatagram, false})
	case "tcp":
		go s.servePipe(far, pipe{readFramed, writeFramed, true})
	default:
		return nil, errors.New("DNS goes over udp or tcp, not " + network)
	}
	return near, nil
}

// pipe is how messages lie on one of the two transports.
type pipe struct {
	read  func(net.Conn) ([]byte, error)
	write func(net.Conn, []byte) error
	tcp   bool
}

func (s *Server) servePipe(c net.Conn, p pipe) {
	defer c.Close()
	for {
		b, err := p.read(c)
		if err != nil {
			return
		}
		q := new(wire.Msg)
		if q.Unpack(b) != nil {
			continue
		}
		r := s.respond(q, p.tcp)
		if r == nil {
			continue
		}
		if b, err = r.Pack(); err != nil || p.write(c, b) != nil {
			return
		}
	}
}

func readDatagram(c net.Conn) ([]byte, error) {
	b := make([]byte, 65535)
	n, err := c.Read(b)
	return b[:n], err
}

func writeDatagram(c net.Conn, b []byte) error {
	_, err := c.Write(b)
	return err
}

func readFramed(c net.Conn) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}

func writeFramed(c net.Conn, b []byte) error {
	return writeDatagram(c, append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
}

// TB is what this package needs of a *testing.T.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Serve starts a server with zones for the length of a test.
func Serve(t TB, zones ...Zone) *Server {
	t.Helper()
	s, err := Start(zones...)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(s.Close)
	return s
}

// Client is a client that trusts s and asks nobody else, without a cache and
// with short timeouts. t may be nil outside tests.
func Client(t TB, s *Server) *dns.Client {
	if t != nil {
		t.Helper()
	}
	c := &dns.Client{Servers: []dns.Server{{Addr: s.Addr(), Trusted: true}}, Timeout: 2 * time.Second, Attempts: 1}
	if s.Addr() == "" {
		c.Servers[0].Addr = "pipe"
		c.Dial = s.Dial
	}
	return c
}
