package session

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"waxwing/dane"
	"waxwing/internal/delivery"
	"waxwing/internal/sound"
	"waxwing/smtpclient"
	"waxwing/tlsrpt"
)

// maxText bounds texts that hold something of the peer's.
const maxText = 500

// bounded is a text that holds something of the peer's, such as the names in a
// certificate, as one line that a log, a store and a notification can take.
func bounded(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func tlsFailure(t tlsrpt.ResultType, why delivery.Reason, format string, args ...any) *delivery.TLSFailure {
	return &delivery.TLSFailure{Type: t, Reason: why, Text: bounded(fmt.Sprintf(format, args...))}
}

// classifyPKIX turns an error of x509 into RFC 8460's terms (SES-4).
func classifyPKIX(err error, leaf *x509.Certificate, now time.Time) *delivery.TLSFailure {
	var (
		invalid   x509.CertificateInvalidError
		host      x509.HostnameError
		unknown   x509.UnknownAuthorityError
		critical  x509.UnhandledCriticalExtension
		weak      x509.InsecureAlgorithmError
		violation x509.ConstraintViolationError
		roots     x509.SystemRootsError
		weakChain *sound.KeyError
	)
	fail := func(t tlsrpt.ResultType, why delivery.Reason) *delivery.TLSFailure {
		return tlsFailure(t, why, "%v", err)
	}
	switch {
	case errors.As(err, &host):
		if len(leaf.DNSNames) == 0 {
			return tlsFailure(tlsrpt.CertificateHostMismatch, CertNoName, "the certificate carries no DNS name; it must carry %s", host.Host)
		}
		return fail(tlsrpt.CertificateHostMismatch, CertHostMismatch)
	case errors.As(err, &invalid):
		return classifyInvalid(invalid, now)
	case errors.As(err, &unknown):
		if selfSigned(leaf) {
			return fail(tlsrpt.CertificateNotTrusted, CertSelfSigned)
		}
		return fail(tlsrpt.CertificateNotTrusted, CertUnknownAuthority)
	case errors.As(err, &critical):
		return fail(tlsrpt.CertificateNotTrusted, CertCriticalExtension)
	case errors.As(err, &weak):
		return fail(tlsrpt.CertificateNotTrusted, CertWeakAlgorithm)
	case errors.As(err, &weakChain):
		return fail(tlsrpt.CertificateNotTrusted, CertWeakKey)
	case errors.As(err, &violation):
		return fail(tlsrpt.CertificateNotTrusted, CertNotCA)
	case errors.As(err, &roots):
		return fail(tlsrpt.CertificateNotTrusted, RootsUnavailable)
	}
	return fail(tlsrpt.CertificateNotTrusted, CertInvalid)
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func classifyInvalid(err x509.CertificateInvalidError, now time.Time) *delivery.TLSFailure {
	why := CertInvalid
	switch err.Reason {
	case x509.Expired:
		// x509 has one word for both ends of the validity; RFC 8460 only for one.
		if err.Cert == nil || !now.Before(err.Cert.NotBefore) {
			return tlsFailure(tlsrpt.CertificateExpired, CertExpired, "%v", err)
		}
		why = CertNotYetValid
	case x509.NotAuthorizedToSign:
		why = CertNotCA
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName,
		x509.TooManyConstraints, x509.CANotAuthorizedForExtKeyUsage:
		why = CertNameConstraints
	case x509.TooManyIntermediates:
		why = CertChainTooLong
	case x509.IncompatibleUsage:
		why = CertUsage
	case x509.NameMismatch:
		why = CertUnknownAuthority
	}
	return tlsFailure(tlsrpt.CertificateNotTrusted, why, "%v", err)
}

// classifyDANE turns the error of dane.Verify into RFC 8460's terms.
func classifyDANE(err error) *delivery.TLSFailure {
	var de *dane.Error
	if !errors.As(err, &de) {
		return tlsFailure(tlsrpt.ValidationFailure, dane.NoMatch, "%v", err)
	}
	t := tlsrpt.ValidationFailure
	switch de.Reason {
	case dane.TAExpired:
		t = tlsrpt.CertificateExpired
	case dane.TANameMismatch:
		t = tlsrpt.CertificateHostMismatch
	case dane.TAChain:
		t = tlsrpt.CertificateNotTrusted
	}
	return tlsFailure(t, delivery.Reason(de.Reason), "%v", err)
}

// classifyStartTLS turns an error of smtpclient's StartTLS, or of the first
// read after it, into RFC 8460's terms; nil if it is none of TLS.
func classifyStartTLS(err error) *delivery.TLSFailure {
	var (
		reply *smtpclient.StartTLSReplyError
		hs    *smtpclient.HandshakeError
		conn  *smtpclient.ConnError
		own   *delivery.TLSFailure
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &reply):
		// RFC 8460 §4.3.1 has one type for "not offered" and for a refusal.
		return tlsFailure(tlsrpt.StartTLSNotSupported, delivery.Reason(fmt.Sprintf("starttls-reply-%d", reply.Reply.Code)),
			"the answer to STARTTLS was %s", reply.Reply)
	case errors.Is(err, smtpclient.ErrNotOffered):
		return notOffered()
	case errors.As(err, &hs):
		return classifyHandshake(hs)
	case errors.As(err, &conn) && conn.Step == smtpclient.StepStartTLS:
		why := StartTLSLost
		switch {
		case conn.Timeout():
			why = StartTLSTimeout
		case reasonOf(conn) == ProtocolError:
			why = StartTLSProtocol
		}
		return tlsFailure(tlsrpt.ValidationFailure, why, "%v", err)
	}
	return nil
}

func notOffered() *delivery.TLSFailure {
	return tlsFailure(tlsrpt.StartTLSNotSupported, StartTLSNotOffered, "STARTTLS was not offered")
}

func classifyHandshake(hs *smtpclient.HandshakeError) *delivery.TLSFailure {
	why, t := TLSHandshake, tlsrpt.ValidationFailure
	var record tls.RecordHeaderError
	var ne net.Error
	text := hs.Err.Error()
	number, alert, alerted := hs.Alert()
	switch {
	case errors.Is(hs.Err, smtpclient.ErrInjection):
		why = StartTLSInjection
	case alerted:
		why = alertWord(alert)
		text = fmt.Sprintf("the server refused with the TLS alert %d (%s)", number, alert)
	case errors.As(hs.Err, &record) && strings.Contains(text, "SSLv2"):
		why = TLSVersion
	case errors.As(hs.Err, &record):
		why = TLSNotTLS
	case errors.Is(hs.Err, os.ErrDeadlineExceeded), errors.Is(hs.Err, context.DeadlineExceeded), errors.As(hs.Err, &ne) && ne.Timeout():
		why = TLSTimeout
	case errors.Is(hs.Err, io.EOF), errors.Is(hs.Err, io.ErrUnexpectedEOF), errors.Is(hs.Err, syscall.ECONNRESET), errors.Is(hs.Err, syscall.EPIPE):
		why = TLSClosed
	case strings.Contains(text, "unsupported protocol version"):
		why = TLSVersion
	case strings.Contains(text, "failed to parse certificate"):
		// crypto/tls has no type for it, nor for the next one.
		why, t = CertMalformed, tlsrpt.CertificateNotTrusted
		if strings.Contains(text, "unsupported elliptic curve") {
			why = CertUnknownKey
		}
	case strings.Contains(text, "unsupported type of public key"), strings.Contains(text, "RSA key larger than"):
		why, t = CertUnknownKey, tlsrpt.CertificateNotTrusted
	}
	return tlsFailure(t, why, "TLS handshake: %s", text)
}

// alertWord makes a word of an alert's name. There are 256 alerts, so the set
// stays closed. Whichever side noticed that no TLS version is shared, the word is
// the same. All alerts are validation-failure (RFC 8460 §4.3.1): those about
// certificates, too, for what a server says is about the certificate of ours.
func alertWord(name string) delivery.Reason {
	if name == "protocol_version" {
		return TLSVersion
	}
	return delivery.Reason("tls-alert-" + strings.ReplaceAll(strings.TrimPrefix(name, "alert_"), "_", "-"))
}

// classifyDial is why no connection came about.
func classifyDial(err error) *delivery.Failure {
	why := ConnectFailed
	var ne net.Error
	var proxy *SOCKSError
	switch {
	case errors.As(err, &proxy) && proxy.Own:
		why = ProxyFailed
	case errors.Is(err, context.Canceled):
		why = Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout(), errors.Is(err, syscall.ETIMEDOUT):
		why = ConnectTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		why = ConnectRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		why = ConnectUnreachable
	}
	return &delivery.Failure{Word: why, Enhanced: enhNoAnswer, Text: bounded(err.Error())}
}

// reasonOf is the word for an error of the dialogue.
func reasonOf(err error) delivery.Reason {
	var conn *smtpclient.ConnError
	switch {
	case errors.As(err, &conn) && conn.Timeout():
		return Timeout
	case isSyntax(err):
		return ProtocolError
	}
	return ConnectionLost
}
