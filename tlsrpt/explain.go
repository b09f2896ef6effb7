package tlsrpt

import (
	"cmp"

	"waxwing/internal/reason"
)

// Advice says in plain words what a result type means for the receiving side and what most
// likely cures it, for a policy domain ("" where it is not known). A type that is not of
// RFC 8460 gets a general answer.
func (t ResultType) Advice(domain string) (meaning, cure string) {
	names := reason.Names{"domain": domain}
	if domain == "" {
		names = nil
	}
	a := reason.Advise(reason.Cause{Result: cmp.Or(string(t), "none")}, names)
	return a.Meaning, a.Cure
}

// ResultTypes are the types of RFC 8460 §4.3 in its order.
func ResultTypes() []ResultType {
	return []ResultType{StartTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted,
		ValidationFailure, TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid, STSWebPKIInvalid}
}
