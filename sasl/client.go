package sasl

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

type scramClient struct {
	mech string
	conv *scram.ClientConversation
	step int
}

// ScramClient says how a SCRAM client is to behave.
type ScramClient struct {
	Mechanism      string
	User, Password string
	Binding        *Binding // for the -PLUS mechanisms
	// CouldBind: we know a binding, the server did not offer -PLUS. The server
	// is told, so that it notices if the offer was taken out on the way
	// (RFC 5802 §6, flag "y").
	CouldBind bool
}

// NewScramClient is the client of one SCRAM exchange.
func NewScramClient(o ScramClient) (Client, error) {
	if err := checkText(o.Mechanism, o.User, o.Password); err != nil {
		return nil, err
	}
	c, err := newScramClient(o.Mechanism, o.User, o.Password)
	if err != nil {
		return nil, err
	}
	switch {
	case IsPlus(o.Mechanism) && o.Binding == nil:
		return nil, errors.New(o.Mechanism + " needs a channel binding")
	case IsPlus(o.Mechanism):
		return &scramClient{mech: o.Mechanism, conv: c.NewConversationWithChannelBinding(o.Binding.data)}, nil
	case o.CouldBind:
		return &scramClient{mech: o.Mechanism, conv: c.NewConversationAdvertisingChannelBinding()}, nil
	}
	return &scramClient{mech: o.Mechanism, conv: c.NewConversation()}, nil
}

func (c *scramClient) Start() (string, []byte, error) {
	first, err := c.conv.Step("")
	if err != nil {
		return c.mech, nil, &SyntaxError{c.mech, "the first message cannot be made"}
	}
	c.step = 1
	return c.mech, []byte(first), nil
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	if len(challenge) > maxScramMessage {
		return nil, &SyntaxError{c.mech, "a challenge is longer than 4096 octets"}
	}
	c.step++
	switch c.step {
	case 2:
		if !iterationsInBounds(string(challenge)) {
			return nil, &SyntaxError{c.mech, "the server asks for no iterations, or for less than 4096 or more than 1000000"}
		}
	case 3:
	default:
		return nil, &SyntaxError{c.mech, "the exchange is over"}
	}
	answer, err := c.conv.Step(string(challenge))
	if err != nil {
		if c.step == 3 {
			return nil, ErrFailed // the server does not know the password it claims to check
		}
		return nil, &SyntaxError{c.mech, "the server's message cannot be used"}
	}
	return []byte(answer), nil
}

// Done reports an error unless the server proved that it holds the keys.
func (c *scramClient) Done() error {
	if !c.conv.Valid() {
		return errors.New(c.mech + ": the server reported success without proving that it knows the password")
	}
	return nil
}

func iterationsInBounds(challenge string) bool {
	for f := range strings.SplitSeq(challenge, ",") {
		if v, ok := strings.CutPrefix(f, "i="); ok {
			n, err := strconv.Atoi(v)
			return err == nil && n >= minIterations && n <= maxIterations
		}
	}
	return false
}

// Account is what Choose logs in with.
type Account struct {
	User, Password string
	// AllowPlaintext permits PLAIN and LOGIN without TLS. Only tests should.
	AllowPlaintext bool
	// Unverified: nobody knows whose the other end of the TLS connection is. So
	// PLAIN and LOGIN, which hand the password over, are out (TRA-2).
	Unverified bool
	// Allowed are the mechanisms that may be used; empty: all.
	Allowed []string
}

// Choose picks the strongest mechanism that the server offers and the
// connection allows: SCRAM with channel binding, SCRAM, CRAM-MD5, then PLAIN
// and LOGIN over TLS only. cs is nil without TLS.
func Choose(offered []string, cs *tls.ConnectionState, a Account) (Client, error) {
	has := func(m string) bool { return contains(offered, m) }
	may := func(m string) bool { return has(m) && (len(a.Allowed) == 0 || contains(a.Allowed, m)) }
	bindings := clientBindings(cs)
	for _, m := range []string{ScramSHA256Plus, ScramSHA1Plus, ScramSHA256, ScramSHA1} {
		if !may(m) || IsPlus(m) && len(bindings) == 0 {
			continue
		}
		o := ScramClient{Mechanism: m, User: a.User, Password: a.Password}
		if IsPlus(m) {
			o.Binding = &bindings[0]
		}
		o.CouldBind = len(bindings) > 0 && !has(ScramSHA256Plus) && !has(ScramSHA1Plus)
		return NewScramClient(o)
	}
	clear := cs != nil && !a.Unverified || a.AllowPlaintext
	switch {
	case may(CramMD5):
		return NewCramMD5Client(a.User, a.Password), nil
	case may(Plain) && clear:
		return NewPlainClient("", a.User, a.Password), nil
	case may(Login) && clear:
		return NewLoginClient(a.User, a.Password), nil
	case len(offered) == 0:
		return nil, errors.New("the server offers no authentication")
	case !clear && (may(Plain) || may(Login)):
		return nil, errors.New("the server offers only mechanisms that hand over the password, and its identity is not verified by TLS")
	}
	return nil, errors.New("no usable authentication mechanism: the server offers " + strings.Join(offered, " "))
}

func contains(list []string, mech string) bool {
	return slices.ContainsFunc(list, func(o string) bool { return strings.EqualFold(o, mech) })
}

// clientBindings are the channel bindings of our side of a connection.
func clientBindings(cs *tls.ConnectionState) []Binding {
	if cs == nil || !cs.HandshakeComplete {
		return nil
	}
	var leaf *x509.Certificate
	if len(cs.PeerCertificates) > 0 {
		leaf = cs.PeerCertificates[0]
	}
	return TLSBindings(*cs, leaf)
}
