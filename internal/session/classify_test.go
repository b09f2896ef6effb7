package session

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"waxwing/dane"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtpclient"
	"waxwing/tlsrpt"
)

// SES-4: each cause has its type and its word.
func TestClassifyPKIX(t *testing.T) {
	t.Parallel()
	now := time.Now()
	named := &x509.Certificate{DNSNames: []string{"a.test"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	future := &x509.Certificate{NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour)}
	invalid := func(r x509.InvalidReason) error { return x509.CertificateInvalidError{Cert: named, Reason: r} }
	for _, tt := range []struct {
		err  error
		leaf *x509.Certificate
		typ  tlsrpt.ResultType
		why  reason.Word
	}{
		{x509.HostnameError{Certificate: named, Host: "b.test"}, named, tlsrpt.CertificateHostMismatch, reason.CertHostMismatch},
		{x509.HostnameError{Certificate: future, Host: "b.test"}, future, tlsrpt.CertificateHostMismatch, reason.CertNoName},
		{invalid(x509.Expired), named, tlsrpt.CertificateExpired, reason.CertExpired},
		{x509.CertificateInvalidError{Cert: future, Reason: x509.Expired}, future, tlsrpt.CertificateNotTrusted, reason.CertNotYetValid},
		{invalid(x509.NotAuthorizedToSign), named, tlsrpt.CertificateNotTrusted, reason.CertNotCA},
		{invalid(x509.CANotAuthorizedForThisName), named, tlsrpt.CertificateNotTrusted, reason.CertNameConstraints},
		{invalid(x509.TooManyIntermediates), named, tlsrpt.CertificateNotTrusted, reason.CertChainTooLong},
		{invalid(x509.IncompatibleUsage), named, tlsrpt.CertificateNotTrusted, reason.CertUsage},
		{invalid(x509.NoValidChains), named, tlsrpt.CertificateNotTrusted, reason.CertInvalid},
		{x509.UnknownAuthorityError{Cert: named}, &x509.Certificate{RawIssuer: []byte{1}, RawSubject: []byte{2}}, tlsrpt.CertificateNotTrusted, reason.CertUnknownAuthority},
		{x509.UnhandledCriticalExtension{}, named, tlsrpt.CertificateNotTrusted, reason.CertCriticalExtension},
		{x509.InsecureAlgorithmError(x509.MD5WithRSA), named, tlsrpt.CertificateNotTrusted, reason.CertWeakAlgorithm},
		{x509.ConstraintViolationError{}, named, tlsrpt.CertificateNotTrusted, reason.CertNotCA},
		{x509.SystemRootsError{Err: errors.New("x")}, named, tlsrpt.CertificateNotTrusted, reason.RootsUnavailable},
		{errors.New("something new"), named, tlsrpt.CertificateNotTrusted, reason.CertInvalid},
	} {
		got := classifyPKIX(fmt.Errorf("wrapped: %w", tt.err), tt.leaf, now)
		if got.Type != tt.typ || got.Word != tt.why || got.Text == "" {
			t.Errorf("%T %v: %s %s %q, want %s %s", tt.err, tt.err, got.Type, got.Word, got.Text, tt.typ, tt.why)
		}
	}
}

func TestClassifyDANE(t *testing.T) {
	t.Parallel()
	for why, want := range map[reason.Word]tlsrpt.ResultType{
		reason.DANENoMatch: tlsrpt.ValidationFailure, reason.DANETAExpired: tlsrpt.CertificateExpired,
		reason.DANETANameMismatch: tlsrpt.CertificateHostMismatch, reason.DANETAChain: tlsrpt.CertificateNotTrusted,
	} {
		if got := classifyDANE(&dane.Error{Word: why, Text: "x"}); got.Type != want || got.Word != why {
			t.Errorf("%s: %s %s, want %s", why, got.Type, got.Word, want)
		}
	}
}

// SES-4: an alert's word comes from its registered name, whatever crypto/tls
// calls it, and what our side has a word for has the same one.
func TestAlertWords(t *testing.T) {
	t.Parallel()
	want := map[int]reason.Word{
		10: "tls-alert-unexpected-message", 40: "tls-alert-handshake-failure", 42: "tls-alert-bad-certificate", 44: "tls-alert-certificate-revoked",
		45: "tls-alert-certificate-expired", 46: "tls-alert-certificate-unknown", 48: "tls-alert-unknown-ca", 50: "tls-alert-decode-error",
		51: "tls-alert-decrypt-error", 70: reason.TLSVersion, 71: "tls-alert-insufficient-security", 80: "tls-alert-internal-error",
		112: "tls-alert-unrecognized-name", 115: "tls-alert-unknown-psk-identity", 116: "tls-alert-certificate-required",
		121: "tls-alert-ech-required", 200: "tls-alert-200",
	}
	seen := map[reason.Word]int{}
	for n := range 256 {
		err := &smtpclient.HandshakeError{Err: &net.OpError{Op: "remote error", Err: tls.AlertError(n)}}
		got := classifyStartTLS(err)
		if got == nil || got.Type != tlsrpt.ValidationFailure || !strings.Contains(got.Text, strconv.Itoa(n)) {
			t.Fatalf("alert %d: %+v", n, got)
		}
		if w, ok := want[n]; ok && got.Word != w {
			t.Errorf("alert %d: %s, want %s", n, got.Word, w)
		}
		if e, ok := reason.Of(got.Word); !ok || e.Meaning == "" || e.Cure == "" {
			t.Errorf("alert %d: %s is not explained", n, got.Word)
		}
		if other, ok := seen[got.Word]; ok {
			t.Errorf("alerts %d and %d are both %s", other, n, got.Word)
		}
		seen[got.Word] = n
		// A name that crypto/tls knows is one of ours too.
		if known, bare := !strings.Contains(tls.AlertError(n).Error(), "alert("), got.Word == reason.Word("tls-alert-"+strconv.Itoa(n)); known && bare {
			t.Errorf("alert %d (%v) has no name", n, tls.AlertError(n))
		}
	}
}

// Texts that hold the peer's words are bounded, and plain.
func TestBoundedTexts(t *testing.T) {
	t.Parallel()
	if got := bounded(strings.Repeat("ä", 1000)); len(got) > maxText+3 || !strings.HasSuffix(got, "ä…") {
		t.Errorf("bounded to %d octets", len(got))
	}
	// A certificate's names are the peer's words: PostgreSQL took no NUL, so that
	// the outcome could not be stored and the message was tried again for ever.
	cert := &x509.Certificate{DNSNames: []string{"a\x00\r\nb\xff.test"}}
	if got := classifyPKIX(x509.HostnameError{Certificate: cert, Host: "b.test"}, cert, time.Now()).Text; strings.ContainsAny(got, "\x00\r\n") || !utf8.ValidString(got) {
		t.Errorf("got %q", got)
	}
}

// SES-3: sessions are resumed, and verified when they are.
func TestResumption(t *testing.T) {
	t.Parallel()
	p, err := makePKI()
	if err != nil {
		t.Fatal(err)
	}
	mx := &peer{cert: &p.good, config: func(c *tls.Config) { c.SetSessionTicketKeys([][32]byte{{1}}) }}
	r := newRig(t, network{addr1: mx})
	r.client.Resume = tls.NewLRUClientSessionCache(10)
	r.enforcePKIX()
	for i := range 3 {
		s := last(r.carry())
		if s.TLS == nil || s.TLS.Resumed != (i > 0) || s.PKIX == nil || s.PKIX.Failure != nil || s.TLS.Fingerprint == "" {
			t.Fatalf("session %d: %+v, PKIX %+v", i, s.TLS, s.PKIX)
		}
	}
	// The trust in the root is withdrawn: the same session is of no worth now.
	r.client.Roots = x509.NewCertPool()
	rep := r.carry()
	if res := rep.Recipients[0]; res.Outcome != delivery.Pending || res.Word != reason.CertUnknownAuthority {
		t.Errorf("%v %s", res.Outcome, res.Word)
	}
	// And it is forgotten, for by now the host may have a better certificate.
	r.client.Roots = p.pool()
	if s := last(r.carry()); s.TLS == nil || s.TLS.Resumed {
		t.Errorf("a session that failed verification was offered again: %+v", s.TLS)
	}
	// Another verification does not see the session.
	r.enforceDANE(p.good.Leaf)
	if s := last(r.carry()); s.TLS == nil || s.TLS.Resumed || s.DANE == nil || s.DANE.Failure != nil {
		t.Errorf("%+v, DANE %+v", s.TLS, s.DANE)
	}
	keys := []string{sessionKey(25, &r.req.Plan)}
	r.req.Plan.TLSA[0].MatchingType = 2
	keys = append(keys, sessionKey(25, &r.req.Plan))
	r.req.Plan.PKIX = delivery.CheckReport
	keys = append(keys, sessionKey(25, &r.req.Plan))
	keys = append(keys, sessionKey(26, &r.req.Plan))
	slices.Sort(keys)
	if len(slices.Compact(keys)) != 4 {
		t.Error("plans that verify differently share a key")
	}
}
