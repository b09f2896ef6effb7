package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"waxwing/internal/certs"
	"waxwing/internal/foreign"
	"waxwing/internal/hostkeys"
	"waxwing/internal/renewal"
)

// CA is an authority with our account there. Its fields are set before its first use.
type CA struct {
	Directory  string         // URL
	Roots      *x509.CertPool // to trust it by; nil: those of the system
	Email      string
	AgreeTerms bool
	Profile    string // of certificates; "": its default
	EABKeyID   string // external account; "": none
	EABKey     string
	UserAgent  string
	Solvers    map[string]acmez.Solver // by kind of challenge
	Store      *certs.Store
	Now        func() time.Time

	mu     sync.Mutex
	client *acmez.Client
}

const (
	// maxAnswer bounds what is read of an authority's answer.
	maxAnswer = 1 << 20
	webTime   = 30 * time.Second
	pollTime  = 5 * time.Minute
)

// web speaks HTTPS with the authority, bounds its answers, and notes with the attempt that
// a request is of when the authority said to come back.
type web struct {
	http.RoundTripper
	now func() time.Time
}

// wait is when an attempt was told to come back: each its own, since several run side by
// side.
type wait struct {
	mu sync.Mutex
	at time.Time
}

type waitKey struct{}

// waiting returns a context whose requests note it.
func waiting(ctx context.Context) (context.Context, *wait) {
	w := &wait{}
	return context.WithValue(ctx, waitKey{}, w), w
}

func (w *wait) set(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = at
}

// until is when the authority may be asked again; zero: it did not say.
func (w *wait) until() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if a.StatusCode == http.StatusTooManyRequests || a.StatusCode == http.StatusServiceUnavailable {
		if of, ok := r.Context().Value(waitKey{}).(*wait); ok {
			of.set(w.retryAfter(a.Header.Get("Retry-After")))
		}
	}
	a.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(a.Body, maxAnswer), a.Body}
	return a, nil
}

// retryAfter reads the field (RFC 9110 §10.2.3).
func (w *web) retryAfter(v string) time.Time {
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return w.now().Add(time.Duration(n) * time.Second)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return time.Time{}
	}
	return at
}

// connect makes the client once.
func (c *CA) connect() *acmez.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12}
		c.client = &acmez.Client{ChallengeSolvers: c.Solvers, Client: &acme.Client{
			Directory: c.Directory, UserAgent: c.UserAgent, PollTimeout: pollTime,
			HTTPClient: &http.Client{Transport: &web{RoundTripper: t, now: c.Now}, Timeout: webTime},
		}}
	}
	return c.client
}

// Obtain gets a certificate for one name and one key, PEM with its chain. old is the
// one that it replaces, or nil.
func (c *CA) Obtain(ctx context.Context, name string, k hostkeys.Key, old *x509.Certificate) ([]byte, error) {
	client := c.connect()
	account, err := c.account(ctx, client)
	if err != nil {
		return nil, err
	}
	csr, err := acmez.NewCSR(k.Signer, []string{name})
	if err != nil {
		return nil, fmt.Errorf("the request for a certificate: %w", err)
	}
	order, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, fmt.Errorf("the request for a certificate: %w", err)
	}
	order.Profile, order.Replaces = c.Profile, old
	chains, err := client.ObtainCertificate(ctx, order)
	if err != nil && old != nil && isProblem(err, acme.ProblemTypeMalformed, acme.ProblemTypeAlreadyReplaced) {
		order.Replaces = nil // an authority that we come to with another one's certificate does not know it
		chains, err = client.ObtainCertificate(ctx, order)
	}
	if err != nil {
		if isProblem(err, acme.ProblemTypeAccountDoesNotExist) { // the next attempt registers anew
			err = errors.Join(err, c.Store.Registered(ctx, certs.Account{Directory: c.Directory}))
		}
		return nil, err
	}
	if len(chains) == 0 {
		return nil, errors.New("the authority issued no certificate")
	}
	chain := bytes.Clone(chains[0].ChainPEM)
	if err := Fits(chain, name, k, c.Now()); err != nil {
		return nil, err
	}
	return chain, nil
}

// Fits is nil if a chain is for a name and a key, and valid now, or within renewal.Skew. An authority's
// certificate with another key is refused: senders would not find that one in DNS
// (CRT-6).
func Fits(text []byte, name string, k hostkeys.Key, now time.Time) error {
	chain, err := certs.ParseChain(text)
	if err != nil {
		return fmt.Errorf("the certificate that was issued: %w", err)
	}
	leaf := chain[0]
	digest, err := hostkeys.Digest(leaf.PublicKey)
	switch {
	case err != nil:
		return fmt.Errorf("the certificate that was issued: %w", err)
	case !bytes.Equal(digest, k.SPKI):
		return fmt.Errorf("the certificate that was issued is refused: it is for another key (%s) than the host's key %s", hex.EncodeToString(digest), k.ID)
	case leaf.VerifyHostname(name) != nil:
		return fmt.Errorf("the certificate that was issued is refused: it is not for %s", name)
	case leaf.NotBefore.After(now.Add(renewal.Skew)):
		return fmt.Errorf("the certificate that was issued is refused: it is not valid before %s; is the clock right?", leaf.NotBefore.UTC().Format(time.RFC3339))
	case !now.Before(leaf.NotAfter):
		return errors.New("the certificate that was issued is refused: it has ended already; is the clock right?")
	}
	return nil
}

// account registers at the authority, once for all machines.
func (c *CA) account(ctx context.Context, client *acmez.Client) (acme.Account, error) {
	kept, err := c.Store.Account(ctx, certs.Account{Directory: c.Directory})
	if err == nil && kept.Key == "" {
		var text string
		if text, err = newAccountKey(); err == nil {
			kept, err = c.Store.Account(ctx, certs.Account{Directory: c.Directory, Key: text})
		}
	}
	if err != nil {
		return acme.Account{}, fmt.Errorf("the account at the authority: %w", err)
	}
	signer, err := accountKey(kept.Key)
	if err != nil {
		return acme.Account{}, err
	}
	a := acme.Account{PrivateKey: signer, Location: kept.Location, Status: acme.StatusValid}
	if a.Location != "" {
		return a, nil
	}
	if a, err = c.register(ctx, client, signer); err != nil {
		return a, err
	}
	kept.Location = a.Location
	if err := c.Store.Registered(ctx, kept); err != nil {
		return a, fmt.Errorf("the account at the authority: %w", err)
	}
	return a, nil
}

func (c *CA) register(ctx context.Context, client *acmez.Client, signer crypto.Signer) (acme.Account, error) {
	a := acme.Account{PrivateKey: signer, TermsOfServiceAgreed: c.AgreeTerms}
	if c.Email != "" {
		a.Contact = []string{"mailto:" + c.Email}
	}
	if c.EABKeyID != "" {
		if err := a.SetExternalAccountBinding(ctx, client.Client, acme.EAB{KeyID: c.EABKeyID, MACKey: c.EABKey}); err != nil {
			return a, fmt.Errorf("the external account binding: %w; see acme.external_account_id and external_account_key", err)
		}
	}
	a, err := client.NewAccount(ctx, a)
	if err != nil {
		return a, fmt.Errorf("register at the authority: %w", err)
	}
	if a.Location == "" {
		return a, errors.New("register at the authority: it says no address of the account")
	}
	a.Status = acme.StatusValid
	return a, nil
}

// AccountURL is the address of our account at the authority; "" before the first
// certificate.
func (c *CA) AccountURL(ctx context.Context) (string, error) {
	a, err := c.Store.Account(ctx, certs.Account{Directory: c.Directory})
	return a.Location, err
}

func newAccountKey() (string, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

func accountKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the key of the account at the authority is damaged in the store")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the key of the account at the authority is damaged in the store")
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key of the account at the authority cannot sign")
	}
	return s, nil
}

// Window is when the authority suggests to renew a certificate, and when to ask again.
func (c *CA) Window(ctx context.Context, leaf *x509.Certificate) (renewal.Window, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, webTime)
	defer cancel()
	i, err := c.connect().GetRenewalInfo(ctx, leaf)
	if err != nil {
		return renewal.Window{}, time.Time{}, errors.New(quote(err.Error()))
	}
	next := c.Now().Add(6 * time.Hour)
	if i.RetryAfter != nil {
		next = *i.RetryAfter
	}
	return renewal.Window{Start: i.SuggestedWindow.Start, End: i.SuggestedWindow.End}, next, nil
}

func isProblem(err error, kinds ...string) bool {
	var p acme.Problem
	if !errors.As(err, &p) {
		return false
	}
	for _, k := range kinds {
		if p.Type == k {
			return true
		}
	}
	return false
}

// maxQuoted is how many octets of an authority's words are logged and stored: its answers
// may have a mebibyte (maxAnswer).
const maxQuoted = 700

// quote makes what may hold an authority's words fit for the log.
func quote(s string) string { return foreign.Clip(foreign.Line(s), maxQuoted) }

// explain says why no certificate was issued and what to do, on one line whose length is
// bounded whatever the authority answered.
func explain(err error) string {
	text := err.Error()
	var p acme.Problem
	if !errors.As(err, &p) {
		return quote(text)
	}
	if p.Detail != "" && !strings.Contains(text, p.Detail) {
		text += ": " + p.Detail
	}
	for _, sub := range p.Subproblems {
		if len(text) > maxQuoted {
			break
		}
		text += "; " + sub.Identifier.Value + ": " + sub.Detail
	}
	text = quote(text)
	if hint := cures[p.Type]; hint != "" {
		text += "; " + hint
	}
	return text
}

// cures say what to do about a problem that an authority reports (RFC 8555 §6.7).
var cures = map[string]string{
	acme.ProblemTypeCAA:                     "the name's CAA record in DNS does not let this authority issue: change or remove it",
	acme.ProblemTypeConnection:              "the authority could not reach this machine: see that the name's addresses in DNS are this machine's, and that port 443 (tls-alpn-01) or 80 (http-01) is open from everywhere",
	acme.ProblemTypeDNS:                     "the authority could not look the name up: see that its A and AAAA records are published",
	acme.ProblemTypeExternalAccountRequired: "the authority wants an external account: set acme.external_account_id and acme.external_account_key",
	acme.ProblemTypeRateLimited:             "the authority's limit is used up: it is tried again when it allows it",
	acme.ProblemTypeTLS:                     "port 443 of the name is answered by another program: have it pass acme-tls/1 on, or use http-01 or dns-01",
	acme.ProblemTypeUnauthorized:            "another machine or program answers for the name: see that its A and AAAA records lead here",
	acme.ProblemTypeUserActionRequired:      "the authority's terms are to be agreed to: read them, and set acme.agree_terms = true",
	acme.ProblemTypeAccountDoesNotExist:     "the authority does not know the account any more",
	acme.ProblemTypeRejectedIdentifier:      "the authority does not issue for this name",
}
