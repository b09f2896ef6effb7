package sasl

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// Credentials are what a server keeps of a password for SCRAM (RFC 5802 §3).
// StoredKey and ServerKey are secrets.
type Credentials struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
	// Others are the keys of further passwords of the user, derived with the same salt and count:
	// each of them is as good.
	Others []Keys
}

// Keys are those of one password.
type Keys struct{ StoredKey, ServerKey []byte }

// Binding is a channel binding (RFC 5056): its type and the data both sides share.
type Binding struct {
	Type string // "tls-exporter", "tls-server-end-point"
	data scram.ChannelBinding
}

// Bounds on a SCRAM exchange. The library sets none but the lower one.
const (
	maxScramMessage  = 4096
	minIterations    = 4096      // RFC 5802 §5.1, RFC 7677 §4
	maxIterations    = 1_000_000 // a hostile server must not buy our CPU
	clientBindOption = "p="
)

// NewCredentials derives the keys for mech's hash from a password with a salt
// and an iteration count. mech is one of the four SCRAM names.
func NewCredentials(mech, password string, salt []byte, iterations int) (Credentials, error) {
	if iterations < minIterations || iterations > maxIterations {
		return Credentials{}, errors.New("SCRAM: iterations must be between 4096 and 1000000")
	}
	c, err := newScramClient(mech, "user", password)
	if err != nil {
		return Credentials{}, err
	}
	sc, err := c.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
	if err != nil {
		return Credentials{}, errors.New("SCRAM: keys cannot be derived")
	}
	return Credentials{Salt: bytes.Clone(salt), Iterations: iterations, StoredKey: sc.StoredKey, ServerKey: sc.ServerKey}, nil
}

// hashOf returns a mechanism's hash, nil for one that is not SCRAM.
func hashOf(mech string) scram.HashGeneratorFcn {
	switch mech {
	case ScramSHA1, ScramSHA1Plus:
		return scram.SHA1
	case ScramSHA256, ScramSHA256Plus:
		return scram.SHA256
	}
	return nil
}

// IsScram reports one of the four SCRAM mechanisms, IsPlus one with channel binding.
func IsScram(mech string) bool { return hashOf(mech) != nil }

// IsPlus reports a mechanism with channel binding.
func IsPlus(mech string) bool { return strings.HasSuffix(mech, "-PLUS") }

// newScramClient prepares user and password by SASLprep, and takes them as they
// are where SASLprep refuses them (RFC 5802 §2.2 knows no emoji; people do).
func newScramClient(mech, user, password string) (*scram.Client, error) {
	h := hashOf(mech)
	if h == nil {
		return nil, errors.New("SCRAM: unknown mechanism " + strconv.Quote(mech))
	}
	if c, err := h.NewClient(user, password, ""); err == nil {
		return c, nil
	}
	return h.NewClientUnprepped(user, password, "")
}

// TLSBindings are the channel bindings that a TLS connection offers, best
// first: tls-exporter (RFC 9266; TLS 1.3, or 1.2 with extended master secret),
// then tls-server-end-point (RFC 5929) of the server's certificate. leaf is the
// certificate that the server presented; nil leaves that binding out.
func TLSBindings(cs tls.ConnectionState, leaf *x509.Certificate) []Binding {
	var all []Binding
	if b, err := scram.NewTLSExporterBinding(&cs); err == nil {
		all = append(all, Binding{string(b.Type), b})
	}
	if leaf != nil {
		of := tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		if b, err := scram.NewTLSServerEndpointBinding(&of); err == nil {
			all = append(all, Binding{string(b.Type), b})
		}
	}
	return all
}

// Lookup finds a user's SCRAM credentials and the account they belong to. For
// unknown users it returns made-up credentials that stay the same from call to
// call, and known = false: the exchange then runs to its end and fails there.
type Lookup func(user string) (c Credentials, account string, known bool, err error)

// ScramServer says how a SCRAM server is to behave.
type ScramServer struct {
	Mechanism string
	Lookup    Lookup
	// Bindings are those of this connection (TLSBindings). If PlusOffered, a
	// client that says it could bind but saw no -PLUS is refused: somebody took
	// it out of the list (RFC 5802 §6).
	Bindings    []Binding
	PlusOffered bool
	// Proven is told which password the client has proven: 0 is that of Credentials itself, 1 the first of
	// Others. Its error ends the exchange. Nil: it does not matter.
	Proven func(which int) error
}

type scramServer struct {
	ScramServer
	conv      *scram.ServerConversation
	opening   string // the client's first message
	nonce     string // our part
	found     Credentials
	step      int
	account   string
	known     bool
	lookupErr error
	identity  string
}

// NewScramServer is the server of one SCRAM exchange. The mechanism is one of
// the four SCRAM names.
func NewScramServer(s ScramServer) (Server, error) {
	if !IsScram(s.Mechanism) {
		return nil, errors.New("SCRAM: unknown mechanism " + strconv.Quote(s.Mechanism))
	}
	return &scramServer{ScramServer: s}, nil
}

func (s *scramServer) Identity() string { return s.identity }

func (s *scramServer) Next(response []byte) ([]byte, bool, error) {
	if len(response) > maxScramMessage {
		return nil, false, &SyntaxError{s.Mechanism, "a message is longer than 4096 octets"}
	}
	if response == nil && s.step == 0 {
		return []byte{}, false, nil // no initial response: an empty challenge asks for it
	}
	s.step++
	switch s.step {
	case 1:
		return s.first(response)
	case 2:
		return s.final(response)
	case 3: // RFC 4954 §4: the client answers the verifier with an empty line
		if len(response) != 0 {
			return nil, false, &SyntaxError{s.Mechanism, "the last response must be empty"}
		}
		s.identity = s.account
		return nil, true, nil
	}
	return nil, false, &SyntaxError{s.Mechanism, "the exchange is over"}
}

func (s *scramServer) first(response []byte) ([]byte, bool, error) {
	s.opening, s.nonce = string(response), rand.Text()
	conv, err := s.conversation(s.find)
	if err != nil {
		return nil, false, err
	}
	s.conv = conv
	challenge, err := conv.Step(string(response))
	if s.lookupErr != nil {
		return nil, false, s.lookupErr
	}
	if err != nil {
		// The library's text may hold what the client sent.
		return nil, false, &SyntaxError{s.Mechanism, "client-first-message refused (syntax, channel binding or downgrade)"}
	}
	if !mayActAs(conv.AuthzID(), conv.Username(), s.account) {
		s.known = false // fails at the end, like a wrong password
	}
	return []byte(challenge), false, nil
}

func (s *scramServer) final(response []byte) ([]byte, bool, error) {
	challenge, which := s.prove(string(response))
	if which < 0 || !s.known {
		return nil, false, ErrFailed // nothing of the library's: a binding mismatch spells out the exporter's bytes
	}
	if s.Proven != nil {
		if err := s.Proven(which); err != nil {
			return nil, false, err
		}
	}
	return []byte(challenge), false, nil
}

// prove finds the password that the client has, -1 for none. The library knows one: for each further one
// the same exchange is held again, with the same nonce. All are tried, whichever it is.
func (s *scramServer) prove(final string) (verifier string, which int) {
	which = -1
	if answer, err := s.conv.Step(final); err == nil && s.conv.Valid() {
		verifier, which = answer, 0
	}
	for i, k := range s.found.Others {
		conv, err := s.conversation(func(string) (scram.StoredCredentials, error) { return stored(s.found, k), nil })
		if err != nil {
			continue
		}
		if _, err := conv.Step(s.opening); err != nil {
			continue
		}
		if answer, err := conv.Step(final); err == nil && conv.Valid() {
			verifier, which = answer, i+1
		}
	}
	return verifier, which
}

// conversation sets the library up for the binding that the client-first message asks for.
func (s *scramServer) conversation(find scram.CredentialLookup) (*scram.ServerConversation, error) {
	srv, err := hashOf(s.Mechanism).NewServer(find)
	if err != nil {
		return nil, err
	}
	srv.WithNonceGenerator(func() string { return s.nonce })
	flag, _, _ := strings.Cut(s.opening, ",")
	if IsPlus(s.Mechanism) {
		for _, b := range s.Bindings {
			if flag == clientBindOption+b.Type {
				return srv.NewConversationWithChannelBindingRequired(b.data), nil
			}
		}
		return nil, &SyntaxError{s.Mechanism, "the channel binding is missing, or of a type this connection does not have"}
	}
	if strings.HasPrefix(flag, clientBindOption) {
		// RFC 5802 §6: "p" belongs to the -PLUS mechanisms.
		return nil, &SyntaxError{s.Mechanism, "channel binding used with a mechanism without -PLUS"}
	}
	if s.PlusOffered && len(s.Bindings) > 0 {
		return srv.NewConversationWithChannelBinding(s.Bindings[0].data), nil
	}
	return srv.NewConversation(), nil
}

func (s *scramServer) find(user string) (scram.StoredCredentials, error) {
	if err := checkText(s.Mechanism, user); err != nil {
		s.lookupErr = err
		return scram.StoredCredentials{}, err
	}
	c, account, known, err := s.Lookup(user)
	if err != nil {
		s.lookupErr = err
		return scram.StoredCredentials{}, err
	}
	s.found, s.account, s.known = c, account, known
	return stored(c, Keys{c.StoredKey, c.ServerKey}), nil
}

func stored(c Credentials, k Keys) scram.StoredCredentials {
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(c.Salt), Iters: c.Iterations},
		StoredKey:  k.StoredKey, ServerKey: k.ServerKey,
	}
}
