package sendmail

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"waxwing/internal/certs"
	"waxwing/internal/delivery"
	"waxwing/message"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// submission is one session with a submission server, or with the server on this
// machine over its socket.
type submission struct {
	o    *outgoing
	call *call
	conf *config
	conn *smtpclient.Conn
}

// submit hands the message to the configured server: over verified TLS only, or over
// the local socket.
func (o *outgoing) submit(ctx context.Context, call *call, conf *config) (*smtp.Reply, error) {
	s := &submission{o: o, call: call, conf: conf}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	defer s.conn.Close()
	if err := s.login(ctx); err != nil {
		return nil, err
	}
	return s.send(ctx)
}

// server is who is spoken to, for messages.
func (s *submission) server() string {
	return cmp.Or(s.conf.Server, "the local server")
}

// tlsConfig verifies the server's name, with this machine's authorities or the configured ones.
func (s *submission) tlsConfig() (*tls.Config, error) {
	var roots *x509.CertPool
	if f := s.conf.RootsFile; f != "" {
		var err error
		if roots, err = certs.Roots(f, false); err != nil {
			return nil, &Error{Code: exConfig, Err: err}
		}
	}
	return &tls.Config{ServerName: s.conf.Server, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// connect comes as far as the server's extensions, over TLS unless it is the local one.
func (s *submission) connect(ctx context.Context) error {
	nc, conf, err := s.dial(ctx)
	if err != nil {
		return err
	}
	s.conn = smtpclient.New(nc, smtpclient.Options{HELO: s.helo()})
	if err := s.greet(ctx, conf); err != nil {
		s.conn.Close()
		return err
	}
	return nil
}

// dial opens the connection; with a configuration, TLS is to be begun with STARTTLS.
func (s *submission) dial(ctx context.Context) (net.Conn, *tls.Config, error) {
	var d net.Dialer
	if socket := s.conf.Socket; socket != "" {
		nc, err := d.DialContext(ctx, "unix", socket)
		if err != nil {
			err = failf(exTempFail, "cannot connect to the local server: %w: the message was not sent; is \"waxwing serve\" running, with [sendmail] socket = %q?", err, socket)
		}
		return nc, nil, err
	}
	conf, err := s.tlsConfig()
	if err != nil {
		return nil, nil, err
	}
	addr := net.JoinHostPort(s.conf.Server, strconv.Itoa(s.conf.port()))
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, failf(exTempFail, "cannot connect to %s: %w: the message was not sent", addr, err)
	}
	if !s.conf.implicit() {
		return nc, conf, nil
	}
	tc := tls.Client(nc, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, nil, s.failed("TLS", err)
	}
	return tc, nil, nil
}

func (s *submission) greet(ctx context.Context, conf *tls.Config) error {
	if _, err := s.conn.Greeting(ctx); err != nil {
		return s.failed("greeting", err)
	}
	if err := s.conn.Hello(ctx); err != nil {
		return s.failed("EHLO", err)
	}
	if conf == nil {
		return nil
	}
	if err := s.conn.StartTLS(ctx, conf); err != nil {
		return s.failed("STARTTLS, without which nothing is sent", err)
	}
	if err := s.conn.Hello(ctx); err != nil {
		return s.failed("EHLO", err)
	}
	return nil
}

func (s *submission) helo() string {
	if s.conf.EHLO != "" {
		return s.conf.EHLO
	}
	if h, err := os.Hostname(); err == nil && strings.Contains(h, ".") {
		return h
	}
	return "[127.0.0.1]" // RFC 5321 §4.1.4: a literal where there is no name
}

// failed gives an error of the session its exit code. The message was not sent.
func (s *submission) failed(what string, err error) error {
	var reply *smtpclient.ReplyError
	code := exTempFail
	switch {
	case errors.As(err, &reply) && s.conf.Socket != "": // who it is stands before the greeting
		return refused(s.server()+" refused the message", reply.Reply)
	case errors.As(err, &reply):
		code = replyCode(reply.Reply)
	case errors.Is(err, smtpclient.ErrNotOffered):
		code = exUnavailable
	case untrusted(err):
		code = exNoPerm
	}
	return failf(code, "%s: %s: %w: the message was not sent", s.server(), what, err)
}

// untrusted reports a server that is not who it should be: trying again helps nothing.
func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

// login uses the best mechanism that the server and the configuration have in common.
func (s *submission) login(ctx context.Context) error {
	if s.conf.User == "" {
		return nil
	}
	password, err := s.conf.password()
	if err != nil {
		return &Error{Code: exConfig, Err: err}
	}
	var cs *tls.ConnectionState
	if state, ok := s.conn.TLSState(); ok {
		cs = &state
	}
	client, err := sasl.Choose(s.conn.Extensions().Auth, cs, sasl.Account{User: s.conf.User, Password: password, Allowed: s.conf.Mechanisms})
	if err != nil {
		return failf(exNoPerm, "%s: logging in as %s: %w: the message was not sent", s.server(), s.conf.User, err)
	}
	if err := s.conn.Auth(ctx, client); err != nil {
		failed := s.failed("logging in as "+s.conf.User, err)
		var lost *smtpclient.ConnError
		var reply *smtpclient.ReplyError
		if !errors.As(err, &lost) && !errors.As(err, &reply) { // the server did not prove itself
			return &Error{Code: exNoPerm, Err: failed}
		}
		return failed
	}
	return nil
}

// send makes the one transaction.
func (s *submission) send(ctx context.Context) (*smtp.Reply, error) {
	t, err := s.transaction()
	if err != nil {
		return nil, err
	}
	res, err := s.conn.Transaction(ctx, t)
	if s.conf.Socket != "" {
		if r := wholeRefusal(res, s.o.recipients); r != nil {
			return nil, refused(s.server()+" refused the message", r)
		}
	}
	if err != nil {
		if res != nil && res.DotSent {
			return nil, failf(exTempFail, "%s: %w: whether the message was sent is not known", s.server(), err)
		}
		return nil, s.failed("sending", err)
	}
	if err := s.failure(res); err != nil {
		return nil, err
	}
	// All is done; how the server says goodbye changes nothing.
	_ = s.conn.Quit(ctx)
	return res.Data, nil
}

// wholeRefusal is the first refusal by the local server, which takes a message for all
// recipients or for none; nil: there is none.
func wholeRefusal(res *smtpclient.TransactionResult, recipients []string) *smtp.Reply {
	if res.Mail != nil && !res.Mail.Positive() {
		return res.Mail
	}
	for i, r := range res.Rcpts {
		if r != nil && !r.Positive() {
			return smtp.NewReply(r.Code, r.Enhanced, "nothing was sent: %s: %s", recipients[i], r.Text())
		}
	}
	return nil
}

// failure makes of the replies what the caller is told. A message that some of the recipients
// have is not a success: who has it and who not is told.
func (s *submission) failure(res *smtpclient.TransactionResult) error {
	if res.Mail != nil && !res.Mail.Positive() {
		return refused(s.server()+" refused the sender <"+s.o.from+">", res.Mail)
	}
	var bad []string
	var worst *smtp.Reply
	for i, r := range res.Rcpts {
		if r != nil && !r.Positive() {
			bad = append(bad, fmt.Sprintf("<%s>: %s", s.o.recipients[i], r))
			if worst == nil || worst.Temporary() {
				worst = r
			}
		}
	}
	switch {
	case len(bad) == len(res.Rcpts):
		return &Error{Code: replyCode(worst), Reply: worst, Err: fmt.Errorf("%s refused every recipient, and nothing was sent: %s", s.server(), strings.Join(bad, "; "))}
	case res.Data == nil:
		return failf(exProtocol, "%s did not answer to the message", s.server())
	case !res.Data.Positive():
		return refused(s.server()+" refused the message", res.Data)
	case len(bad) > 0:
		return &Error{Code: replyCode(worst), Reply: worst, Err: fmt.Errorf("sent to %d of %d recipients; %s refused %s", len(res.Rcpts)-len(bad), len(res.Rcpts), s.server(), strings.Join(bad, "; "))}
	}
	return nil
}

// transaction fits the message to what the server offers.
func (s *submission) transaction() (smtpclient.Transaction, error) {
	ext, o := s.conn.Extensions(), s.o
	var t smtpclient.Transaction
	unable := func(what string) (smtpclient.Transaction, error) {
		return t, failf(exUnavailable, "%s does not offer %s: the message was not sent", s.server(), what)
	}
	if o.smtputf8() && !ext.SMTPUTF8 && !o.toASCII() {
		return unable("SMTPUTF8, which the addresses need")
	}
	t.Mail = smtpclient.MailOptions{From: o.from, SMTPUTF8: o.smtputf8()}
	if o.need == delivery.RequireTLS {
		if !ext.RequireTLS {
			return unable("REQUIRETLS, which was asked for")
		}
		t.Mail.RequireTLS = true
	}
	msg, err := s.fit(o.bytes())
	if err != nil {
		return t, err
	}
	if message.EightBit(msg) && ext.EightBitMIME {
		t.Mail.Body = "8BITMIME"
	}
	if ext.Size {
		t.Mail.Size = int64(len(msg))
	}
	notify := strings.Join(s.call.notify, ",")
	if ext.DSN {
		t.Mail.EnvID, t.Mail.Ret = s.call.envid, s.call.ret
	} else if notify != "" {
		return unable("DSN, which -N asks for")
	}
	for _, to := range o.recipients {
		t.Rcpts = append(t.Rcpts, smtpclient.RcptOptions{To: to, Notify: notify})
	}
	t.Body, t.Size = bytes.NewReader(msg), int64(len(msg))
	return t, nil
}

// fit converts a message that the server cannot take as it is (SES-8, INB-13).
func (s *submission) fit(msg []byte) ([]byte, error) {
	ext := s.conn.Extensions()
	need := message.Need{SevenBit: !ext.EightBitMIME, ShortLines: true}
	if !need.Met(msg) {
		var b bytes.Buffer
		if err := message.Convert(&b, msg, need); err != nil {
			what := "lines of at most 998 octets"
			if need.SevenBit {
				what += " without 8-bit text"
			}
			return nil, failf(exDataErr, "%s takes %s, and the message cannot be converted: %w: it was not sent", s.server(), what, err)
		}
		msg = b.Bytes()
	}
	if ext.MaxSize > 0 && int64(len(msg)) > ext.MaxSize {
		return nil, failf(exDataErr, "the message has %d octets, and %s takes at most %d: it was not sent", len(msg), s.server(), ext.MaxSize)
	}
	return msg, nil
}
