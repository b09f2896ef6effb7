package session

import (
	"waxwing/internal/delivery"
	"waxwing/internal/sound"
)

// The reason words of this package; with those of dane.Error and the ones that
// classify.go makes of TLS alerts and STARTTLS replies, the set is closed.
const (
	ConnectRefused     delivery.Reason = "connect-refused"
	ConnectTimeout     delivery.Reason = "connect-timeout"
	ConnectUnreachable delivery.Reason = "connect-unreachable"
	ConnectFailed      delivery.Reason = "connect-failed"
	ProxyFailed        delivery.Reason = "proxy-failed"    // the operator\'s proxy, not the host
	AddressCrowded     delivery.Reason = "address-crowded" // as much is under way at the address as may be
	GreetingReply      delivery.Reason = "greeting-reply"  // other than 220
	HelloReply         delivery.Reason = "ehlo-reply"      // other than 250
	ConnectionLost     delivery.Reason = "connection-lost"
	Timeout            delivery.Reason = "timeout"
	ProtocolError      delivery.Reason = "protocol-error"
	RemoteReply        delivery.Reason = "remote-reply" // the remote's answer settled it
	Unanswered         delivery.Reason = "unanswered"   // sent in full, and no answer came
	OtherFamily        delivery.Reason = "other-address-family"
	Accepted           delivery.Reason = "accepted"

	RequireTLSMissing delivery.Reason = "requiretls-not-offered"
	SMTPUTF8Missing   delivery.Reason = "smtputf8-not-offered"
	EightBitMissing   delivery.Reason = "8bitmime-not-offered"
	SizeExceeded      delivery.Reason = "size-exceeded"
	LineTooLong       delivery.Reason = "line-too-long"

	LeaseLost         delivery.Reason = "lease-lost"
	ContentUnreadable delivery.Reason = "content-unreadable"
	BareNewline       delivery.Reason = "bare-newline"
	BadEnvelope       delivery.Reason = "bad-envelope"
	Canceled          delivery.Reason = "canceled"
	NoAddress         delivery.Reason = "no-address"

	AuthUnusable delivery.Reason = "auth-no-mechanism"    // none that both sides allow
	AuthRefused  delivery.Reason = "auth-refused"         // the host refused the login
	AuthServer   delivery.Reason = "auth-server-unproven" // the exchange went wrong on the host's side

	StartTLSNotOffered delivery.Reason = "starttls-not-offered"
	StartTLSLost       delivery.Reason = "starttls-connection-lost"
	StartTLSTimeout    delivery.Reason = "starttls-timeout"
	StartTLSProtocol   delivery.Reason = "starttls-protocol-error"
	StartTLSInjection  delivery.Reason = "starttls-injection"
	TLSTimeout         delivery.Reason = "tls-timeout"
	TLSClosed          delivery.Reason = "tls-closed"
	TLSNotTLS          delivery.Reason = "tls-not-tls"
	TLSVersion                         = sound.Version
	TLSHandshake       delivery.Reason = "tls-handshake" // and "tls-alert-…"
	TLSWeakCipher                      = sound.Cipher
	TLSWeakSignature                   = sound.Signature

	CertMissing           delivery.Reason = "cert-missing"
	CertMalformed         delivery.Reason = "cert-malformed"
	CertExpired           delivery.Reason = "cert-expired"
	CertNotYetValid       delivery.Reason = "cert-not-yet-valid"
	CertSelfSigned        delivery.Reason = "cert-self-signed"
	CertUnknownAuthority  delivery.Reason = "cert-unknown-authority"
	CertHostMismatch      delivery.Reason = "cert-host-mismatch"
	CertNoName            delivery.Reason = "cert-no-name"
	CertNotCA             delivery.Reason = "cert-not-a-ca"
	CertNameConstraints   delivery.Reason = "cert-name-constraints"
	CertUsage             delivery.Reason = "cert-usage"
	CertChainTooLong      delivery.Reason = "cert-chain-too-long"
	CertCriticalExtension delivery.Reason = "cert-critical-extension"
	CertWeakAlgorithm     delivery.Reason = "cert-weak-algorithm"
	CertWeakKey                           = sound.Key
	CertUnknownKey        delivery.Reason = "cert-unknown-key"
	CertInvalid           delivery.Reason = "cert-invalid"
	RootsUnavailable      delivery.Reason = "roots-unavailable" // ours, not the peer's fault
)
