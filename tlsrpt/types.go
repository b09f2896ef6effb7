package tlsrpt

// PolicyType is the kind of policy a session was held to (RFC 8460 §4.4).
type PolicyType string

// The policy types of RFC 8460 §4.4.
const (
	PolicyTLSA PolicyType = "tlsa"
	PolicySTS  PolicyType = "sts"
	PolicyNone PolicyType = "no-policy-found"
)

// ResultType is a kind of failure (RFC 8460 §4.3).
type ResultType string

// The result types of RFC 8460 §4.3, with those for negotiation, DANE and MTA-STS.
const (
	StartTLSNotSupported    ResultType = "starttls-not-supported"
	CertificateHostMismatch ResultType = "certificate-host-mismatch"
	CertificateExpired      ResultType = "certificate-expired"
	CertificateNotTrusted   ResultType = "certificate-not-trusted"
	ValidationFailure       ResultType = "validation-failure"
	TLSAInvalid             ResultType = "tlsa-invalid"
	DNSSECInvalid           ResultType = "dnssec-invalid"
	DANERequired            ResultType = "dane-required"
	STSPolicyFetchError     ResultType = "sts-policy-fetch-error"
	STSPolicyInvalid        ResultType = "sts-policy-invalid"
	STSWebPKIInvalid        ResultType = "sts-webpki-invalid"
)
