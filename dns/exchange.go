package dns

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// udpSize is the EDNS payload size we offer (DNS-3): it avoids fragments on
// every common path.
const udpSize = 1232

// question is one name and type.
type question struct {
	name  Name
	qtype uint16
}

func (q question) typeName() string { return wire.Type(q.qtype).String() }

// fail makes the Error of q for a try that brought no reply.
func (q question) fail(err error) *Error {
	var ne net.Error
	timeout := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
	return &Error{Name: q.name, Type: q.typeName(), Timeout: timeout, Err: err}
}

// flags are what varies between the queries for one question.
type flags struct {
	edns bool
	do   bool // DNSSEC records wanted; AD alone asks only for the state (RFC 6840 §5.7)
	cd   bool // checking disabled
	tcp  bool // not over UDP first
}

func (q question) message(f flags) (*wire.Msg, error) {
	id, err := randomID()
	if err != nil {
		return nil, err
	}
	m := new(wire.Msg)
	m.SetQuestion(q.name.ascii+".", q.qtype)
	m.Id = id
	m.AuthenticatedData = true
	m.CheckingDisabled = f.cd
	if f.edns {
		m.SetEdns0(udpSize, f.do)
	}
	return m, nil
}

func randomID() (uint16, error) {
	var id [2]byte
	_, err := rand.Read(id[:])
	return binary.BigEndian.Uint16(id[:]), err
}

// exchange sends one question to one server and returns its reply to it, over
// TCP if UDP cut it short (RFC 7766 §5).
func (c *Client) exchange(ctx context.Context, s Server, q question, f flags) (*wire.Msg, error) {
	m, err := q.message(f)
	if err != nil {
		return nil, err
	}
	return c.send(ctx, s, m, f.tcp)
}

// send is a question over UDP and then TCP, if it is not to go over TCP at once; or over TLS.
func (c *Client) send(ctx context.Context, s Server, m *wire.Msg, tcp bool) (*wire.Msg, error) {
	network := "tcp"
	if s.TLS != nil {
		network, m = "tls", padded(m)
	} else if !tcp {
		r, err := c.transmit(ctx, "udp", s, m)
		if err != nil || !r.Truncated {
			return r, err
		}
	}
	r, err := c.transmit(ctx, network, s, m)
	if err == nil && r.Truncated {
		err = errors.New("the reply is truncated even over TCP")
	}
	return r, err
}

// transmit is one try over one transport.
func (c *Client) transmit(ctx context.Context, network string, s Server, m *wire.Msg) (*wire.Msg, error) {
	query, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("packing the query: %w", err)
	}
	if network == "tls" {
		return c.overTLS(ctx, s, m, query)
	}
	end := c.deadline(ctx)
	conn, giveBack, err := c.connect(ctx, network, s.Addr, end)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(end)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	var r *wire.Msg
	if network == "tcp" {
		r, err = overTCP(conn, m, query)
	} else {
		r, err = overUDP(conn, m, query)
	}
	giveBack(stop() && err == nil)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r, err
}

// deadline is the end of one try.
func (c *Client) deadline(ctx context.Context) time.Time {
	end := time.Now().Add(cmp.Or(max(c.Timeout, 0), defaultTimeout))
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	return end
}

// connect returns a connection and what is to be called at its end, with whether
// it is fit for another question.
func (c *Client) connect(ctx context.Context, network, addr string, end time.Time) (net.Conn, func(fit bool), error) {
	if c.Dial == nil && network == "udp" && c.sockets.keeps(addr) {
		conn, err := c.sockets.get(ctx, addr)
		return conn, func(fit bool) {
			if fit {
				c.sockets.put(c.Guard, addr, conn)
			} else {
				conn.Close()
			}
		}, err
	}
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	conn, err := dial(ctx, network, addr)
	return conn, func(bool) { conn.Close() }, err
}

func overTCP(conn net.Conn, m *wire.Msg, query []byte) (*wire.Msg, error) {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, fmt.Errorf("reading the reply over TCP: %w", err)
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, fmt.Errorf("reading the reply over TCP: %w", err)
	}
	r, err := accept(m, b)
	if r == nil && err == nil {
		err = errors.New("the reply over TCP is to another question")
	}
	return r, err
}

// maxStray is how many datagrams that are no reply to our question are passed
// over: a flood of forged ones ends the try.
const maxStray = 16

// buffers for replies, of more than we offer to take. Unpacking copies all it keeps.
var buffers = sync.Pool{New: func() any { return new([4096]byte) }}

func overUDP(conn net.Conn, m *wire.Msg, query []byte) (*wire.Msg, error) {
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	b := buffers.Get().(*[4096]byte)[:]
	defer buffers.Put((*[4096]byte)(b))
	for range maxStray {
		n, err := conn.Read(b)
		if err != nil {
			return nil, err
		}
		if r, err := accept(m, b[:n]); r != nil || err != nil {
			return r, err
		}
	}
	return nil, errors.New("too many datagrams that are no reply to the question")
}

// accept parses b if it is the reply to m. Both nil: it belongs to another
// question (RFC 5452 §9.1); an error: it is ours, and malformed.
func accept(m *wire.Msg, b []byte) (*wire.Msg, error) {
	if len(b) < 12 || binary.BigEndian.Uint16(b) != m.Id || b[2]&0x80 == 0 {
		return nil, nil
	}
	r := new(wire.Msg)
	if err := r.Unpack(b); err != nil {
		// What stands before the cut of a truncated message is of no use, but
		// its TC bit is.
		if r.Truncated {
			return &wire.Msg{MsgHdr: r.MsgHdr}, nil
		}
		return nil, fmt.Errorf("malformed reply: %w", err)
	}
	// The wire library takes a message that ends early, between two records,
	// for a whole one.
	if !r.Truncated && (counted(b, 6) != len(r.Answer) || counted(b, 8) != len(r.Ns) || counted(b, 10) != len(r.Extra)) {
		return nil, errors.New("malformed reply: it holds fewer records than it says")
	}
	// Some servers leave the question out of an error reply.
	if len(r.Question) == 0 && (r.Rcode != wire.RcodeSuccess && r.Rcode != wire.RcodeNameError || r.Truncated) {
		return r, nil
	}
	if len(r.Question) != 1 || r.Opcode != wire.OpcodeQuery {
		return nil, nil
	}
	want, got := m.Question[0], r.Question[0]
	if got.Qtype != want.Qtype || got.Qclass != want.Qclass || !strings.EqualFold(got.Name, want.Name) {
		return nil, nil
	}
	return r, nil
}

// counted is one of the header's record counts.
func counted(b []byte, at int) int { return int(binary.BigEndian.Uint16(b[at:])) }
