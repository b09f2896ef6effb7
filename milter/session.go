package milter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Session is a connection with a filter, about one message. Its methods are called in the order
// Connect, HELO, Mail, Rcpt for each recipient, Message. After an answer that ends the matter (all
// but Continue; for Rcpt also Reject, TempFail and ReplyWith, which are about that recipient) only
// Close may be called, and after an error, which has closed it already. It is not safe for concurrent use.
type Session struct {
	wire
	version  uint32
	protocol uint32
	wanted   map[int][]string // macros by stage, where the filter says which; nil: those of stages
	skipping bool             // the filter wants no more recipients
}

// Start negotiates with a filter over a new connection, which it closes when that fails. The
// session is never nil.
func Start(ctx context.Context, nc net.Conn, limits Limits) (*Session, error) {
	s := &Session{wire: wire{nc: nc, r: bufio.NewReader(nc), w: bufio.NewWriter(nc), left: limits}}
	return s, s.do(ctx, s.negotiate)
}

// do has fn talk to the filter. What fails ends the session.
func (s *Session) do(ctx context.Context, fn func() error) error {
	err := s.within(ctx, fn)
	if err != nil {
		s.nc.Close()
		s.left.Time = 0
	}
	return err
}

// Dial connects to a filter and negotiates, in the time of limits: what it takes is gone for all that
// follows. The session is never nil.
func Dial(ctx context.Context, network, address string, limits Limits) (*Session, error) {
	begun := time.Now()
	dialling, cancel := context.WithTimeout(ctx, limits.Time)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(dialling, network, address)
	took := time.Since(begun)
	if err != nil {
		if dialling.Err() != nil && ctx.Err() == nil {
			err = ErrTime
		}
		return &Session{wire: wire{spent: took}}, err
	}
	limits.Time -= took
	s, err := Start(ctx, nc, limits)
	s.spent += took
	return s, err
}

// Spent is for how long the filter was waited for.
func (s *Session) Spent() time.Duration { return s.spent }

// maxQuit is for how long the end of a session may take to be told.
const maxQuit = time.Second

// Close ends the session. The filter is told, and not waited for.
func (s *Session) Close() {
	if s.nc == nil {
		return
	}
	if s.left.Time = min(s.left.Time, maxQuit); s.left.Time > 0 {
		_ = s.within(context.Background(), func() error {
			if err := s.send(cmdQuit); err != nil {
				return err
			}
			return s.w.Flush()
		})
	}
	s.nc.Close()
	s.left.Time = 0
}

func (s *Session) negotiate() error {
	offer := binary.BigEndian.AppendUint32(nil, version)
	offer = binary.BigEndian.AppendUint32(offer, actions)
	offer = binary.BigEndian.AppendUint32(offer, offered)
	if err := s.send(cmdNegotiate, offer); err != nil {
		return err
	}
	cmd, data, err := s.read()
	if err != nil {
		return err
	}
	if cmd != cmdNegotiate || len(data) < 12 {
		return fault("%q in place of the negotiation", cmd)
	}
	wants := binary.BigEndian.Uint32(data[4:])
	s.version, s.protocol = binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[8:])
	if s.version < 2 || s.version > version {
		return fault("the filter speaks version %d, 2 to %d are known", s.version, version)
	}
	if more := wants &^ actions; more != 0 {
		return fault("the filter asks for actions that do not exist (%#x)", more)
	}
	if more := s.protocol &^ offered; more != 0 {
		return fault("the filter asks for parts of the protocol that were not offered (%#x)", more)
	}
	if s.version < 4 {
		s.protocol |= noData
	}
	return s.lists(data[12:])
}

// The stages at which macros are sent (SMFIM_CONNECT and so on).
const (
	atConnect = iota
	atHELO
	atMail
	atRcpt
	atData
	atEnd
	atHeaderEnd
	numStages
)

// stages are the macros sent at each stage to a filter that does not say which it wants.
func stages(stage int) []string {
	return [numStages][]string{
		atConnect: {"j", "_", "v", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{if_addr}", "{if_name}",
			"{client_addr}", "{client_name}", "{client_port}", "{client_ptr}", "{client_resolve}"},
		atHELO:      {"{tls_version}", "{cipher}", "{cipher_bits}"},
		atMail:      {"i", "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_mailer}", "{mail_host}", "{mail_addr}"},
		atRcpt:      {"i", "{rcpt_mailer}", "{rcpt_host}", "{rcpt_addr}"},
		atData:      {"i"},
		atHeaderEnd: {"i"},
		atEnd:       {"i"},
	}[stage]
}

// lists reads which macros the filter wants at which stage.
func (s *Session) lists(data []byte) error {
	for len(data) > 0 {
		stage, rest, err := number(data)
		if err != nil {
			return err
		}
		names, rest, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return fault("a list of macros has no end")
		}
		if data = rest; stage >= numStages {
			continue // of a later version, or nonsense that costs nothing
		}
		if s.wanted == nil {
			s.wanted = map[int][]string{}
		}
		s.wanted[int(stage)] = strings.Fields(strings.ReplaceAll(string(names), ",", " "))
	}
	return nil
}

// macros sends those of a stage that there are.
func (s *Session) macros(stage int, cmd byte, all Macros) error {
	names, ok := s.wanted[stage]
	if !ok {
		names = stages(stage)
	}
	var known []string
	for _, name := range names {
		if value, ok := all[name]; ok {
			known = append(known, name, value)
		}
	}
	if len(known) == 0 {
		return nil
	}
	return s.send(cmdMacros, []byte{cmd}, texts(known...))
}

// step is a command: what a filter may not want to hear of, and may not answer.
type step struct {
	cmd         byte
	stage       int // whose macros go before it; -1: none
	unwanted    uint32
	unanswered  uint32
	mayBeTooFar bool // the filter may answer that it wants no more of these
}

// tell sends a command and reads the answer to it. skip says that the filter wants no more of these.
func (s *Session) tell(of step, m Macros, parts ...[]byte) (a Answer, skip bool, err error) {
	if s.protocol&of.unwanted != 0 {
		return Answer{}, false, nil
	}
	if of.stage >= 0 {
		if err := s.macros(of.stage, of.cmd, m); err != nil {
			return a, false, err
		}
	}
	if err := s.send(of.cmd, parts...); err != nil || s.protocol&of.unanswered != 0 {
		return a, false, err
	}
	return s.answer(of)
}

func (s *Session) answer(of step) (a Answer, skip bool, err error) {
	for {
		cmd, data, err := s.read()
		if err != nil {
			return a, false, err
		}
		if cmd == ansProgress {
			continue
		}
		if cmd == ansSkip && of.mayBeTooFar && s.protocol&skips != 0 {
			return a, true, nil
		}
		a, ok, err := verb(cmd, data)
		if err == nil && !ok {
			err = fault("%q in answer to %q", cmd, of.cmd)
		}
		return a, false, err
	}
}

// Client is who hands in the message.
type Client struct {
	Name string // "": the address in brackets stands for it
	Addr netip.AddrPort
}

// Connect tells of the client.
func (s *Session) Connect(ctx context.Context, c Client, m Macros) (a Answer, err error) {
	ip, name := c.Addr.Addr().Unmap().WithZone(""), c.Name
	text, family := ip.String(), byte('4')
	switch {
	case !ip.IsValid():
		family = 'U'
	case ip.Is6():
		text, family = "IPv6:"+text, '6'
	}
	if name == "" && family != 'U' {
		name = "[" + text + "]"
	} else if name == "" {
		name = "localhost"
	}
	rest := []byte{family}
	if family != 'U' {
		rest = append(binary.BigEndian.AppendUint16(rest, c.Addr.Port()), texts(text)...)
	}
	err = s.do(ctx, func() error {
		a, _, err = s.tell(step{cmd: cmdConnect, stage: atConnect, unwanted: noConnect, unanswered: mutesConnect}, m, texts(name), rest)
		return err
	})
	return a, err
}

// HELO tells the name with which the client greets.
func (s *Session) HELO(ctx context.Context, name string, m Macros) (a Answer, err error) {
	err = s.do(ctx, func() error {
		a, _, err = s.tell(step{cmd: cmdHELO, stage: atHELO, unwanted: noHELO, unanswered: mutesHELO}, m, texts(name))
		return err
	})
	return a, err
}

// Mail tells the reverse-path, "" for the null one, and its ESMTP parameters.
func (s *Session) Mail(ctx context.Context, from string, params []string, m Macros) (a Answer, err error) {
	err = s.do(ctx, func() error {
		a, _, err = s.tell(step{cmd: cmdMail, stage: atMail, unwanted: noMail, unanswered: mutesMail}, m, texts("<"+from+">"), texts(params...))
		return err
	})
	return a, err
}

// Rcpt tells a recipient and its ESMTP parameters.
func (s *Session) Rcpt(ctx context.Context, to string, params []string, m Macros) (a Answer, err error) {
	if s.skipping {
		return a, nil
	}
	err = s.do(ctx, func() error {
		a, s.skipping, err = s.tell(step{cmd: cmdRcpt, stage: atRcpt, unwanted: noRcpt, unanswered: mutesRcpt, mayBeTooFar: true}, m, texts("<"+to+">"), texts(params...))
		return err
	})
	return a, err
}

// Message is the message itself.
type Message struct {
	Macros Macros
	Fields []Field
	Body   io.Reader
	// Replaced takes the body that the filter wants in place of Body, as it comes. With a *ProtocolError it
	// says that the filter must not send such a one.
	Replaced io.Writer
}

// Message tells DATA, the header, the body and their end, and reads what is to be changed. A
// failure of Body or Replaced is a *LocalError.
func (s *Session) Message(ctx context.Context, m Message) (r Result, err error) {
	err = s.do(ctx, func() error {
		r, err = s.message(m)
		return err
	})
	return r, err
}

func (s *Session) message(m Message) (r Result, err error) {
	for _, part := range []func(Message) (Answer, error){s.data, s.header, s.body} {
		if r.Answer, err = part(m); err != nil || r.Answer.Verb != Continue {
			return r, err
		}
	}
	if err := s.macros(atEnd, cmdEnd, m.Macros); err != nil {
		return r, err
	}
	if err := s.send(cmdEnd); err != nil {
		return r, err
	}
	return s.changes(m.Replaced)
}

func (s *Session) data(m Message) (a Answer, err error) {
	a, _, err = s.tell(step{cmd: cmdData, stage: atData, unwanted: noData, unanswered: mutesData}, m.Macros)
	return a, err
}

func (s *Session) header(m Message) (a Answer, err error) {
	of := step{cmd: cmdField, stage: -1, unwanted: noFields, unanswered: mutesFields, mayBeTooFar: true}
	for _, f := range m.Fields {
		value := strings.ReplaceAll(f.Value, "\r\n", "\n")
		if s.protocol&leadingSpace == 0 {
			value = strings.TrimPrefix(value, " ")
		}
		a, skip, err := s.tell(of, nil, texts(f.Name, value))
		if err != nil || a.Verb != Continue {
			return a, err
		}
		if skip {
			break
		}
	}
	a, _, err = s.tell(step{cmd: cmdHeaderEnd, stage: atHeaderEnd, unwanted: noHeaderEnd, unanswered: mutesHeaderEnd}, m.Macros)
	return a, err
}

func (s *Session) body(m Message) (a Answer, err error) {
	if s.protocol&noBody != 0 {
		return a, nil
	}
	of := step{cmd: cmdBody, stage: -1, unanswered: mutesBody, mayBeTooFar: true}
	b := make([]byte, maxBody)
	for {
		n, err := io.ReadFull(m.Body, b)
		ended := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !ended {
			return a, &LocalError{err}
		}
		if n > 0 {
			a, skip, err := s.tell(of, nil, b[:n])
			if err != nil || a.Verb != Continue || skip {
				return a, err
			}
		}
		if ended {
			return a, nil
		}
	}
}

// changes reads what the filter wants changed, up to its last word.
func (s *Session) changes(body io.Writer) (r Result, err error) {
	for {
		cmd, data, err := s.read()
		if err != nil {
			return r, err
		}
		switch cmd {
		case ansProgress:
			continue
		case ansBody:
			r.Replaced = true
			if err := replace(body, data); err != nil {
				return r, err
			}
			continue
		}
		if a, ok, err := verb(cmd, data); ok {
			r.Answer = a
			return r, err
		}
		c, ok, err := change(cmd, data)
		switch {
		case err != nil:
			return r, err
		case !ok:
			return r, fault("%q in answer to a message", cmd)
		case len(r.Changes) == s.left.Changes:
			return r, fault("more than %d changes of one message", s.left.Changes)
		}
		if s.protocol&leadingSpace == 0 && c.Name != "" && c.Value != "" {
			c.Value = " " + c.Value
		}
		r.Changes = append(r.Changes, c)
	}
}

// replace writes a part of the filter's body. What the caller finds wrong with it is the filter's fault.
func replace(body io.Writer, data []byte) error {
	_, err := body.Write(data)
	if its := (*ProtocolError)(nil); err == nil || errors.As(err, &its) {
		return err
	}
	return &LocalError{err}
}

// IsLocal reports that err is no failure of the filter's.
func IsLocal(err error) bool {
	var local *LocalError
	return errors.As(err, &local)
}
