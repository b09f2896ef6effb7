package login

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"strings"
	"sync/atomic"

	"waxwing/internal/account"
	"waxwing/internal/sound"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// External is a Checker that takes client certificates as well (INB-5, SASL
// EXTERNAL, RFC 4422 Appendix A). The listener's TLS asks for a certificate and
// leaves the decision to it: a client with one that nobody knows can still log
// in with its password. Make it with NewExternal.
type External struct {
	*Checker
	trust atomic.Pointer[Trust]
}

// Trust is whose certificates log in.
type Trust struct {
	// Roots are the authorities whose certificates name accounts, by addresses in
	// their subjectAltName (rfc822Name). Nil: none.
	Roots *x509.CertPool
	// Pinned are certificates by their SHA-256, each with the address that it stands
	// for, whatever it says itself and whoever signed it.
	Pinned map[[sha256.Size]byte]string
}

// NewExternal takes the certificates that t trusts.
func NewExternal(c *Checker, t Trust) *External {
	e := &External{Checker: c}
	e.SetTrust(t)
	return e
}

// SetTrust takes other certificates from now on, at any time.
func (e *External) SetTrust(t Trust) { e.trust.Store(&t) }

var (
	_ smtpserver.Authenticator     = (*External)(nil)
	_ smtpserver.ConnAuthenticator = (*External)(nil)
	_ smtpserver.Watcher           = (*External)(nil)
)

// MechanismsOn offers EXTERNAL where the client has shown a certificate that
// stands for somebody.
func (e *External) MechanismsOn(conn smtpserver.Conn) []string {
	all := e.Mechanisms(conn.TLS() != nil)
	if len(e.addresses(conn)) > 0 {
		all = append([]string{sasl.External}, all...)
	}
	return all
}

// Start begins an exchange.
func (e *External) Start(ctx context.Context, mech string, conn smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	if mech != sasl.External {
		return e.Checker.Start(ctx, mech, conn)
	}
	a := e.newAttempt(mech, conn.Remote().Addr())
	a.protocol = protocolOf(conn)
	if r := a.barred(); r != nil {
		return nil, r
	}
	addresses := e.addresses(conn)
	a.Server = sasl.NewExternalServer(func(authzid string) (string, error) {
		// Without a name of its own, the exchange goes by what the certificate says first.
		if err := a.begin(ctx, cmp.Or(authzid, strings.Join(addresses[:min(len(addresses), 1)], ""))); err != nil {
			return "", err
		}
		var err error
		if a.stands, err = e.decide(ctx, addresses, authzid); err != nil {
			return "", err
		}
		return a.stands, a.mayLogIn(ctx, account.ByCertificate)
	})
	return a, nil
}

const (
	// maxAddresses bounds the addresses of one certificate that are looked up.
	maxAddresses = 50
	// maxChain bounds the certificates that a client shows. They are whatever it
	// likes: to find a way through a hundred large ones takes a fifth of a second.
	maxChain = 8
)

// addresses are those that the client's certificate stands for; none without a
// certificate that is verified. That the client has its key, TLS has seen to.
func (e *External) addresses(conn smtpserver.Conn) []string {
	cs := conn.TLS()
	if cs == nil || len(cs.PeerCertificates) == 0 {
		return nil
	}
	leaf, now := cs.PeerCertificates[0], e.now()
	if weak := sound.Weakness(cs); weak != nil { // then TLS has not seen to it
		e.log().Info("client certificate not taken", "remote", conn.Remote().Addr().String(), "word", weak.Word)
		return nil
	}
	trust := e.trust.Load()
	if address, ok := trust.Pinned[sha256.Sum256(leaf.Raw)]; ok {
		if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			return nil
		}
		return []string{address}
	}
	if trust.Roots == nil || len(cs.PeerCertificates) > maxChain {
		return nil
	}
	rest := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		rest.AddCert(c)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{Roots: trust.Roots, Intermediates: rest, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil {
		err = sound.WeakPath(paths)
	}
	if err != nil {
		e.log().Info("client certificate not verified", "remote", conn.Remote().Addr().String(), "error", err)
		return nil
	}
	return leaf.EmailAddresses[:min(len(leaf.EmailAddresses), maxAddresses)]
}

// decide finds the account. Without authzid there must be one alone to which the
// addresses lead; with it, that account, by its name or any address of it, must
// be among them: acting for somebody else is not offered.
func (e *External) decide(ctx context.Context, addresses []string, authzid string) (string, error) {
	var names []string
	for _, a := range addresses {
		if !account.ParseLogin(a).IsAddress() {
			continue // what an authority put there may look like an account's name
		}
		name, err := e.Accounts.Login(ctx, a)
		if err != nil {
			return "", err
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if authzid != "" {
		wanted, err := e.Accounts.Login(ctx, authzid)
		if err != nil {
			return "", err
		}
		names = slices.DeleteFunc(names, func(n string) bool { return n != wanted })
	}
	if len(names) != 1 {
		return "", sasl.ErrFailed
	}
	return names[0], nil
}
