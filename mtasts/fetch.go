package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/guard"
	"waxwing/internal/reason"
)

// Fetcher gets policies over HTTPS (STS-2). It is safe for concurrent use. It
// follows no redirect, asks no proxy, and looks names up only through Resolver.
type Fetcher struct {
	Resolver dns.Resolver
	// Dial connects to "ip:443"; nil: a net.Dialer. Where it really leads to
	// changes nothing in the URL, the SNI or the name that is verified.
	Dial         func(ctx context.Context, network, addr string) (net.Conn, error)
	Roots        *x509.CertPool   // nil: the system's
	AllowPrivate bool             // dial private and loopback addresses too (DST-4)
	Timeout      time.Duration    // of the whole fetch; 0: one minute
	Now          func() time.Time // for certificates; nil: time.Now
	Guard        *guard.Guard     // contains panics
}

const (
	fetchTimeout = time.Minute
	dialTimeout  = 15 * time.Second // for each address
	maxAddrs     = 8                // addresses tried
)

// Fetch gets and parses the policy of domain. The second value is its raw
// text, also where it does not parse. The words of its errors are NoPolicy,
// Fetch, WebPKI and PolicySyntax.
func (f *Fetcher) Fetch(ctx context.Context, domain dns.Name) (*Policy, []byte, *Error) {
	host, err := domain.Prefix("mta-sts")
	if err != nil {
		return nil, nil, &Error{Word: reason.STSNoPolicy, Detail: "the domain's name is too long to have a policy host: " + err.Error(), Err: err}
	}
	timeout := f.Timeout
	if timeout == 0 {
		timeout = fetchTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no complete answer within %v", timeout))
	defer cancel()
	addrs, ferr := f.addrs(ctx, host)
	if ferr != nil {
		return nil, nil, ferr
	}
	text, ferr := f.get(ctx, host, addrs)
	if ferr != nil {
		return nil, nil, ferr
	}
	policy, ferr := ParsePolicy(text)
	return policy, text, ferr
}

// addrs finds where the policy host is. Any failure here is one of the fetch:
// the record said that there is a policy (STS-6).
func (f *Fetcher) addrs(ctx context.Context, host dns.Name) ([]netip.Addr, *Error) {
	a, err4 := f.Resolver.LookupA(ctx, host)
	aaaa, err6 := f.Resolver.LookupAAAA(ctx, host)
	found := append(append([]netip.Addr{}, a.Records...), aaaa.Records...)
	if len(found) == 0 {
		if err := errors.Join(err4, err6); err != nil {
			return nil, &Error{Word: reason.STSFetch, Detail: clip(err.Error()), Err: err}
		}
		return nil, &Error{Word: reason.STSNoPolicy, Detail: fmt.Sprintf("the policy host %s has no address", host)}
	}
	addrs := found[:0]
	for _, addr := range found {
		if f.AllowPrivate || !dns.PrivateAddr(addr) {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, &Error{Word: reason.STSFetch, Detail: fmt.Sprintf("the policy host %s has private addresses only", host)}
	}
	return addrs[:min(len(addrs), maxAddrs)], nil
}

// get makes the request, on a connection of its own.
func (f *Fetcher) get(ctx context.Context, host dns.Name, addrs []netip.Addr) ([]byte, *Error) {
	transport := &http.Transport{
		Proxy: nil, // RFC 8461 §3.3: the environment must not choose who answers
		DialContext: func(ctx context.Context, network, _ string) (c net.Conn, err error) {
			// net/http calls it on a goroutine of its own.
			err = f.Guard.Try(guard.Fetch, func() (err error) {
				c, err = f.dial(ctx, network, addrs)
				return err
			}, "host", host.ASCII())
			return c, err
		},
		TLSClientConfig: &tls.Config{
			ServerName: host.ASCII(), RootCAs: f.Roots, MinVersion: tls.VersionTLS12, Time: f.Now,
		},
		DisableKeepAlives:      true,
		DisableCompression:     true, // what is not asked for cannot be a gzip bomb
		MaxResponseHeaderBytes: MaxPolicy,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport: transport,
		// RFC 8461 §3.3: redirects MUST NOT be followed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host.ASCII()+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return nil, &Error{Word: reason.STSFetch, Detail: clip(err.Error()), Err: err}
	}
	req.Header.Set("User-Agent", "Waxwing (RFC 8461)")
	resp, err := client.Do(req)
	if err != nil {
		return nil, transportError(ctx, err)
	}
	defer resp.Body.Close()
	if err := checkHeader(resp); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxPolicy+1))
	if err == nil {
		// A request that is given up ends for the server too, which may then end its
		// answer in due form: what came by then is cut short and no policy.
		err = ctx.Err()
	}
	switch {
	case err != nil:
		return nil, transportError(ctx, err)
	case len(text) > MaxPolicy:
		return nil, &Error{Word: reason.STSFetch, HTTPStatus: resp.StatusCode, Detail: fmt.Sprintf("the policy is larger than %d octets", MaxPolicy)}
	}
	return text, nil
}

// dial tries the addresses in turn.
func (f *Fetcher) dial(ctx context.Context, network string, addrs []netip.Addr) (net.Conn, error) {
	dial := f.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	var errs []error
	for _, addr := range addrs {
		each, cancel := context.WithTimeout(ctx, dialTimeout)
		conn, err := dial(each, network, netip.AddrPortFrom(addr, 443).String())
		cancel()
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// checkHeader wants status 200 and text/plain (RFC 8461 §3.2, §3.3).
func checkHeader(resp *http.Response) *Error {
	status := resp.StatusCode
	fail := func(word reason.Word, format string, args ...any) *Error {
		return &Error{Word: word, HTTPStatus: status, Detail: fmt.Sprintf(format, args...)}
	}
	switch {
	case status == http.StatusNotFound:
		return fail(reason.STSNoPolicy, "HTTP status 404")
	case status >= 300 && status < 400:
		return fail(reason.STSFetch, "HTTP status %d: a redirect to %q, which RFC 8461 §3.3 forbids", status, clip(resp.Header.Get("Location")))
	case status != http.StatusOK:
		return fail(reason.STSFetch, "HTTP status %d, not 200", status)
	}
	given := resp.Header.Get("Content-Type")
	// The error leaves no type, or is that of a parameter, which may be anything.
	if kind, _, _ := mime.ParseMediaType(given); kind != "text/plain" {
		return fail(reason.STSFetch, "media type %q, not text/plain", clip(given))
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return fail(reason.STSFetch, "content encoding %q, though none was asked for", clip(coding))
	}
	return nil
}

// transportError tells faults of the certificate from those of the way.
func transportError(ctx context.Context, err error) *Error {
	if word := certificateWord(err); word != "" {
		return &Error{Word: reason.STSWebPKI, Detail: string(word) + ": " + clip(err.Error()), Err: err}
	}
	detail := clip(err.Error())
	if cause := context.Cause(ctx); cause != nil {
		detail = cause.Error()
	}
	return &Error{Word: reason.STSFetch, Detail: detail, Err: err}
}

// certificateWord is the reason why a certificate was refused; "" if err is not about
// a certificate.
func certificateWord(err error) reason.Word {
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &invalid):
		return invalidWord(invalid)
	case errors.As(err, &host):
		return reason.CertHostMismatch
	case errors.As(err, &authority):
		return reason.CertUnknownAuthority
	case errors.As(err, &verification):
		return reason.CertInvalid
	}
	return ""
}

func invalidWord(err x509.CertificateInvalidError) reason.Word {
	switch err.Reason {
	case x509.Expired:
		if strings.Contains(err.Detail, "is before") { // the time it was checked at
			return reason.CertNotYetValid
		}
		return reason.CertExpired
	case x509.NotAuthorizedToSign:
		return reason.CertNotCA
	case x509.TooManyIntermediates:
		return reason.CertChainTooLong
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName, x509.TooManyConstraints, x509.CANotAuthorizedForExtKeyUsage:
		return reason.CertNameConstraints
	case x509.IncompatibleUsage:
		return reason.CertUsage
	}
	return reason.CertInvalid
}
