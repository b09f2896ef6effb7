package reason

// Word is one machine word for one reason. The set is closed: the constants below, and
// the families that StartTLSReply and Alert make. A word is the same in logs, metrics,
// listings, notifications, TLS reports and explain.
type Word string

// Facts that policy weighs, and what follows from them (POL-1 to POL-10, TRA-3).
const (
	RequireTLS              Word = "requiretls"
	RequireTLSNull          Word = "requiretls-null-sender"
	TLSOptional             Word = "tls-optional"
	Minimum                 Word = "minimum"
	NoPlaintext             Word = "no-plaintext"
	AddressLiteral          Word = "address-literal"
	MXSecure                Word = "mx-secure"
	MXInsecure              Word = "mx-insecure"
	DANENone                Word = "dane-none"
	DANEUsable              Word = "dane-usable"
	DANERequired            Word = "dane-required"
	TLSAUnusable            Word = "tlsa-unusable"
	STSNone                 Word = "sts-none"
	STSModeNone             Word = "sts-mode-none"
	STSTesting              Word = "sts-testing"
	STSEnforce              Word = "sts-enforce"
	STSMXMatch              Word = "sts-mx-match"
	STSMXMismatch           Word = "sts-mx-mismatch"
	STSLookupFailed         Word = "dns-temporary"
	RequireTLSUntrustedName Word = "requiretls-untrusted-name"
	RequireTLSNotOffered    Word = "requiretls-not-offered"
	RequireTLSUnverified    Word = "requiretls-unverified"
	NoName                  Word = "no-name-to-verify"
	SeveralCauses           Word = "several-causes"
	NoHosts                 Word = "no-hosts"
	Skipped                 Word = "skipped"
	ExceptSTS               Word = "exception-mta-sts"
	ExceptSTSLookup         Word = "exception-mta-sts-lookup"
	ExceptDANE              Word = "exception-dane"
	TLSRequired             Word = "tls-required"
	Opportunistic           Word = "opportunistic"
	PlaintextFallback       Word = "plaintext-fallback"
)

// What is found of a domain and its hosts: DNS (DST-1, DST-4), MTA-STS (STS-4), DANE (DANE-2).
const (
	NoSuchDomain       Word = "no-such-domain"
	NullMX             Word = "null-mx"
	MXUnusable         Word = "mx-unusable"
	MXSelf             Word = "mx-self"
	NoSuchHost         Word = "no-such-host"
	NoAddress          Word = "no-address"
	AddressRefused     Word = "address-refused"
	DNSError           Word = "dns-error"
	DNSBogus           Word = "dns-bogus"
	DNSTimeout         Word = "dns-timeout"
	DNSServfail        Word = "dns-servfail"
	DNSRefused         Word = "dns-refused"
	DNSIndeterminate   Word = "dns-indeterminate"
	STSNoRecord        Word = "no-record"
	STSMultipleRecords Word = "multiple-records"
	STSRecordSyntax    Word = "record-syntax"
	STSNoPolicy        Word = "no-policy"
	STSFetch           Word = "fetch"
	STSWebPKI          Word = "webpki"
	STSPolicySyntax    Word = "policy-syntax"
	DANENoMatch        Word = "dane-no-match"
	DANETAExpired      Word = "dane-ta-expired"
	DANETANameMismatch Word = "dane-ta-name-mismatch"
	DANETAChain        Word = "dane-ta-chain"
)

// What became of a connection and of its TLS (SES-2 to SES-4, POL-10).
const (
	ConnectRefused     Word = "connect-refused"
	ConnectTimeout     Word = "connect-timeout"
	ConnectUnreachable Word = "connect-unreachable"
	ConnectFailed      Word = "connect-failed"
	AddressCrowded     Word = "address-crowded"
	ProgramBusy        Word = "program-busy"
	ProxyFailed        Word = "proxy-failed"
	GreetingReply      Word = "greeting-reply"
	HelloReply         Word = "ehlo-reply"
	ConnectionLost     Word = "connection-lost"
	Timeout            Word = "timeout"
	ProtocolError      Word = "protocol-error"
	StartTLSNotOffered Word = "starttls-not-offered"
	StartTLSLost       Word = "starttls-connection-lost"
	StartTLSTimeout    Word = "starttls-timeout"
	StartTLSProtocol   Word = "starttls-protocol-error"
	StartTLSInjection  Word = "starttls-injection"
	TLSTimeout         Word = "tls-timeout"
	TLSClosed          Word = "tls-closed"
	TLSNotTLS          Word = "tls-not-tls"
	TLSVersion         Word = "tls-version"
	TLSWeakCipher      Word = "tls-weak-cipher"
	TLSWeakSignature   Word = "tls-weak-signature"
	TLSHandshake       Word = "tls-handshake"
)

// TLS alerts that mail servers are seen to send, by the names of the IANA registry. Alert 70, protocol_version, is TLSVersion; Alert makes the words of all others.
const (
	AlertHandshakeFailure     Word = "tls-alert-handshake-failure"
	AlertInsufficientSecurity Word = "tls-alert-insufficient-security"
	AlertInternalError        Word = "tls-alert-internal-error"
	AlertUnrecognizedName     Word = "tls-alert-unrecognized-name"
	AlertCertificateRequired  Word = "tls-alert-certificate-required"
	AlertBadCertificate       Word = "tls-alert-bad-certificate"
	AlertAccessDenied         Word = "tls-alert-access-denied"
)

// What is wrong with a certificate (SES-4).
const (
	CertMissing           Word = "cert-missing"
	CertMalformed         Word = "cert-malformed"
	CertExpired           Word = "cert-expired"
	CertNotYetValid       Word = "cert-not-yet-valid"
	CertSelfSigned        Word = "cert-self-signed"
	CertUnknownAuthority  Word = "cert-unknown-authority"
	CertHostMismatch      Word = "cert-host-mismatch"
	CertNoName            Word = "cert-no-name"
	CertNotCA             Word = "cert-not-a-ca"
	CertNameConstraints   Word = "cert-name-constraints"
	CertUsage             Word = "cert-usage"
	CertChainTooLong      Word = "cert-chain-too-long"
	CertCriticalExtension Word = "cert-critical-extension"
	CertWeakAlgorithm     Word = "cert-weak-algorithm"
	CertWeakKey           Word = "cert-weak-key"
	CertUnknownKey        Word = "cert-unknown-key"
	CertInvalid           Word = "cert-invalid"
	RootsUnavailable      Word = "roots-unavailable"
)

// What became of a message, or stands in its way here (SES-5, SES-11 to SES-14, QUE-1 to QUE-12).
const (
	Accepted           Word = "accepted"
	RemoteReply        Word = "remote-reply"
	Unanswered         Word = "unanswered"
	OtherFamily        Word = "other-address-family"
	SMTPUTF8NotOffered Word = "smtputf8-not-offered"
	EightBitNotOffered Word = "8bitmime-not-offered"
	SizeExceeded       Word = "size-exceeded"
	LineTooLong        Word = "line-too-long"
	BareNewline        Word = "bare-newline"
	BadEnvelope        Word = "bad-envelope"
	ContentUnreadable  Word = "content-unreadable"
	LeaseLost          Word = "lease-lost"
	Canceled           Word = "canceled"
	Interrupted        Word = "interrupted"
	NotVerified        Word = "not-verified"
	Mailbox            Word = "mailbox"
	InternalError      Word = "internal-error"
	StoreError         Word = "store-error"
	NoResult           Word = "no-result"
	BadDomain          Word = "bad-domain"
	BadAddress         Word = "bad-address"
	NoSuchUser         Word = "no-such-user"
	NotHosted          Word = "not-hosted"
	MailboxDisabled    Word = "mailbox-disabled"
	PassedOn           Word = "passed-on"
	AliasBroken        Word = "alias-broken"
	MailLoop           Word = "mail-loop"
	Expired            Word = "expired"
	Held               Word = "held"
	Released           Word = "released"
	FailedByOperator   Word = "failed-by-operator"
	Dropped            Word = "dropped"
	MailboxError       Word = "mailbox-error"
	AccountLookup      Word = "account-lookup"
	Suppressed         Word = "suppressed"
	HoldRule           Word = "hold-rule"
	ScriptRefused      Word = "script-refused"
	ScriptDiscarded    Word = "script-discarded"
)

// Routes, and the hosts that an operator names (TRA-1 to TRA-5).
const (
	OperatorHost        Word = "operator-host"
	TransportUnverified Word = "transport-unverified"
	NoTransport         Word = "no-transport"
	RoutesUnreadable    Word = "routes-unreadable"
	RefusedByRoute      Word = "refused-by-route"
	AuthUnusable        Word = "auth-no-mechanism"
	AuthRefused         Word = "auth-refused"
	AuthServer          Word = "auth-server-unproven"
)

// What becomes of events that are posted to programs (OPS-8).
const (
	WebhookNoAnswer Word = "webhook-no-answer"
	WebhookPrivate  Word = "webhook-private-address"
	WebhookRefused  Word = "webhook-refused"
	WebhookGone     Word = "webhook-gone"
	WebhookDisabled Word = "webhook-disabled"
)

// What an account may not do (ACC-3).
const (
	AppPasswordNeeded   Word = "app-password-needed"
	AppPasswordExpired  Word = "app-password-expired"
	AppPasswordProtocol Word = "app-password-protocol"
	LoginNetwork        Word = "login-network"
	AccountSendsNothing Word = "account-sends-nothing"
	AccountSendsHosted  Word = "account-sends-hosted"
)

// What becomes of mail that comes from outside (AUT-1, AUT-3, AUT-5).
const (
	AuthorUnreadable Word = "author-unreadable"
	DMARCPass        Word = "dmarc-pass"
	DMARCNone        Word = "no-dmarc-policy"
	DMARCFail        Word = "dmarc-fail"
	DMARCQuarantine  Word = "dmarc-quarantine"
	DMARCReject      Word = "dmarc-reject"
	DMARCTempError   Word = "dmarc-temperror"
	OwnSPFFail       Word = "own-spf-fail"
	TrustedForwarder Word = "trusted-forwarder"
)

// The evidence by which an account's mail is put into its inbox or into Junk (JNK-1).
const (
	RepliedTo        Word = "replied-to"
	WrittenTo        Word = "written-to"
	WrittenToDomain  Word = "written-to-domain"
	MarkedGood       Word = "marked-good"
	MarkedJunk       Word = "marked-junk"
	DomainMarkedGood Word = "domain-marked-good"
	DomainMarkedJunk Word = "domain-marked-junk"
	KnownSender      Word = "known-sender"
	FirstContact     Word = "first-contact"
	NotAuthenticated Word = "not-authenticated"
	BlockList        Word = "dns-blocklist"
	HELOName         Word = "helo-name"
	NoReverseName    Word = "no-reverse-name"
	JunkWords        Word = "words"
	RspamdScore      Word = "rspamd-score"
	MilterQuarantine Word = "milter-quarantine"
	MilterReject     Word = "milter-reject"
	MilterDiscard    Word = "milter-discard"
	MilterPassed     Word = "milter-passed"
	FilterSilent     Word = "filter-silent"
)
