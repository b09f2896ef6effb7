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
	"waxwing/internal/reason"
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

func tlsFailure(t tlsrpt.ResultType, why reason.Word, format string, args ...any) *delivery.TLSFailure {
	return &delivery.TLSFailure{Type: t, Word: why, Text: bounded(fmt.Sprintf(format, args...))}
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
	fail := func(t tlsrpt.ResultType, why reason.Word) *delivery.TLSFailure {
		return tlsFailure(t, why, "%v", err)
	}
	switch {
	case errors.As(err, &host):
		if len(leaf.DNSNames) == 0 {
			return tlsFailure(tlsrpt.CertificateHostMismatch, reason.CertNoName, "the certificate carries no DNS name; it must carry %s", host.Host)
		}
		return fail(tlsrpt.CertificateHostMismatch, reason.CertHostMismatch)
	case errors.As(err, &invalid):
		return classifyInvalid(invalid, now)
	case errors.As(err, &unknown):
		if selfSigned(leaf) {
			return fail(tlsrpt.CertificateNotTrusted, reason.CertSelfSigned)
		}
		return fail(tlsrpt.CertificateNotTrusted, reason.CertUnknownAuthority)
	case errors.As(err, &critical):
		return fail(tlsrpt.CertificateNotTrusted, reason.CertCriticalExtension)
	case errors.As(err, &weak):
		return fail(tlsrpt.CertificateNotTrusted, reason.CertWeakAlgorithm)
	case errors.As(err, &weakChain):
		return fail(tlsrpt.CertificateNotTrusted, reason.CertWeakKey)
	case errors.As(err, &violation):
		return fail(tlsrpt.CertificateNotTrusted, reason.CertNotCA)
	case errors.As(err, &roots):
		return fail(tlsrpt.CertificateNotTrusted, reason.RootsUnavailable)
	}
	return fail(tlsrpt.CertificateNotTrusted, reason.CertInvalid)
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func classifyInvalid(err x509.CertificateInvalidError, now time.Time) *delivery.TLSFailure {
	why := reason.CertInvalid
	switch err.Reason {
	case x509.Expired:
		// x509 has one word for both ends of the validity; RFC 8460 only for one.
		if err.Cert == nil || !now.Before(err.Cert.NotBefore) {
			return tlsFailure(tlsrpt.CertificateExpired, reason.CertExpired, "%v", err)
		}
		why = reason.CertNotYetValid
	case x509.NotAuthorizedToSign:
		why = reason.CertNotCA
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName,
		x509.TooManyConstraints, x509.CANotAuthorizedForExtKeyUsage:
		why = reason.CertNameConstraints
	case x509.TooManyIntermediates:
		why = reason.CertChainTooLong
	case x509.IncompatibleUsage:
		why = reason.CertUsage
	case x509.NameMismatch:
		why = reason.CertUnknownAuthority
	}
	return tlsFailure(tlsrpt.CertificateNotTrusted, why, "%v", err)
}

// classifyDANE turns the error of dane.Verify into RFC 8460's terms.
func classifyDANE(err error) *delivery.TLSFailure {
	var de *dane.Error
	if !errors.As(err, &de) {
		return tlsFailure(tlsrpt.ValidationFailure, reason.DANENoMatch, "%v", err)
	}
	t := tlsrpt.ValidationFailure
	switch de.Word {
	case reason.DANETAExpired:
		t = tlsrpt.CertificateExpired
	case reason.DANETANameMismatch:
		t = tlsrpt.CertificateHostMismatch
	case reason.DANETAChain:
		t = tlsrpt.CertificateNotTrusted
	}
	return tlsFailure(t, de.Word, "%v", err)
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
		return tlsFailure(tlsrpt.StartTLSNotSupported, reason.StartTLSReply(reply.Reply.Code),
			"the answer to STARTTLS was %s", reply.Reply)
	case errors.Is(err, smtpclient.ErrNotOffered):
		return notOffered()
	case errors.As(err, &hs):
		return classifyHandshake(hs)
	case errors.As(err, &conn) && conn.Step == smtpclient.StepStartTLS:
		why := reason.StartTLSLost
		switch {
		case conn.Timeout():
			why = reason.StartTLSTimeout
		case reasonOf(conn) == reason.ProtocolError:
			why = reason.StartTLSProtocol
		}
		return tlsFailure(tlsrpt.ValidationFailure, why, "%v", err)
	}
	return nil
}

func notOffered() *delivery.TLSFailure {
	return tlsFailure(tlsrpt.StartTLSNotSupported, reason.StartTLSNotOffered, "STARTTLS was not offered")
}

func classifyHandshake(hs *smtpclient.HandshakeError) *delivery.TLSFailure {
	why, t := reason.TLSHandshake, tlsrpt.ValidationFailure
	var record tls.RecordHeaderError
	var ne net.Error
	text := hs.Err.Error()
	number, alert, alerted := hs.Alert()
	switch {
	case errors.Is(hs.Err, smtpclient.ErrInjection):
		why = reason.StartTLSInjection
	case alerted:
		// All alerts are validation-failure (RFC 8460 §4.3.1): those about certificates,
		// too, for what a server says is about the certificate of ours.
		why = reason.Alert(alert)
		text = fmt.Sprintf("the server refused with the TLS alert %d (%s)", number, alert)
	case errors.As(hs.Err, &record) && strings.Contains(text, "SSLv2"):
		why = reason.TLSVersion
	case errors.As(hs.Err, &record):
		why = reason.TLSNotTLS
	case errors.Is(hs.Err, os.ErrDeadlineExceeded), errors.Is(hs.Err, context.DeadlineExceeded), errors.As(hs.Err, &ne) && ne.Timeout():
		why = reason.TLSTimeout
	case errors.Is(hs.Err, io.EOF), errors.Is(hs.Err, io.ErrUnexpectedEOF), errors.Is(hs.Err, syscall.ECONNRESET), errors.Is(hs.Err, syscall.EPIPE):
		why = reason.TLSClosed
	case strings.Contains(text, "unsupported protocol version"):
		why = reason.TLSVersion
	case strings.Contains(text, "failed to parse certificate"):
		// crypto/tls has no type for it, nor for the next one.
		why, t = reason.CertMalformed, tlsrpt.CertificateNotTrusted
		if strings.Contains(text, "unsupported elliptic curve") {
			why = reason.CertUnknownKey
		}
	case strings.Contains(text, "unsupported type of public key"), strings.Contains(text, "RSA key larger than"):
		why, t = reason.CertUnknownKey, tlsrpt.CertificateNotTrusted
	}
	return tlsFailure(t, why, "TLS handshake: %s", text)
}

// classifyDial is why no connection came about.
func classifyDial(err error) *delivery.Failure {
	why := reason.ConnectFailed
	var ne net.Error
	var proxy *SOCKSError
	switch {
	case errors.As(err, &proxy) && proxy.Own:
		why = reason.ProxyFailed
	case errors.Is(err, context.Canceled):
		why = reason.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout(), errors.Is(err, syscall.ETIMEDOUT):
		why = reason.ConnectTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		why = reason.ConnectRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		why = reason.ConnectUnreachable
	}
	return &delivery.Failure{Word: why, Enhanced: enhNoAnswer, Text: bounded(err.Error())}
}

// reasonOf is the word for an error of the dialogue.
func reasonOf(err error) reason.Word {
	var conn *smtpclient.ConnError
	switch {
	case errors.As(err, &conn) && conn.Timeout():
		return reason.Timeout
	case isSyntax(err):
		return reason.ProtocolError
	}
	return reason.ConnectionLost
}
