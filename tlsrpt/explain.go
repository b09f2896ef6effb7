package tlsrpt

import "strings"

// Explain says in plain words what a result type means for the receiving side
// and what most likely cures it, for a policy domain ("" where it is not known). A
// type it does not know gets a general answer.
func Explain(t ResultType, domain string) (meaning, cure string) {
	meaning, cure = explain(t)
	if domain != "" {
		cure = strings.ReplaceAll(cure, "DOMAIN", domain)
	}
	return meaning, cure
}

func explain(t ResultType) (meaning, cure string) {
	switch t {
	case StartTLSNotSupported:
		return "The mail host did not offer STARTTLS, or refused it.",
			"Switch STARTTLS on at the named host, and make sure that no firewall or proxy in front of it strips the offer."
	case CertificateHostMismatch:
		return "The certificate does not carry the name under which the host was reached.",
			"Give the host a certificate whose subject alternative names hold its MX name."
	case CertificateExpired:
		return "The certificate of the host is past its validity.",
			"Renew the certificate, reload the mail server, and look at why the renewal did not run by itself."
	case CertificateNotTrusted:
		return "The certificate does not lead to a certification authority that the sender trusts.",
			"Use a certificate of a public authority and serve the whole chain with its intermediate certificates."
	case ValidationFailure:
		return "TLS could not be established or verified for another reason; the reason code tells which.",
			"Read the reason code. Usual causes: the MX host is not listed in the MTA-STS policy, the TLSA records do not match the certificate, or no common TLS version."
	case TLSAInvalid:
		return "None of the TLSA records of the host can be used.",
			"Publish a TLSA record that matches the certificate in use, such as 3 1 1 with the SHA-256 of its public key, before the certificate changes."
	case DNSSECInvalid:
		return "The DNSSEC signatures of the zone could not be validated.",
			"Check the DS record at the parent, the expiry of the signatures and the last key change."
	case DANERequired:
		return "The sender insists on DANE for this domain, and the host has no TLSA records under valid DNSSEC.",
			"Publish TLSA records for every MX host in signed zones, or agree with the sender that DANE is no longer required."
	case STSPolicyFetchError:
		return "The MTA-STS policy could not be fetched although the DNS record announces one.",
			"Make https://mta-sts.DOMAIN/.well-known/mta-sts.txt answer 200 without a redirect, or remove the _mta-sts record."
	case STSPolicyInvalid:
		return "The MTA-STS policy was fetched but is not valid.",
			"Correct the policy file: version, mode, max_age and at least one mx line, each on its own line."
	case STSWebPKIInvalid:
		return "The web host of the MTA-STS policy has a certificate that cannot be verified.",
			"Give mta-sts.DOMAIN a valid certificate of a public authority for exactly that name."
	}
	return "The reporter uses a result type that RFC 8460 does not define.",
		"Look at the reason code and the additional information of the report."
}

// ResultTypes are the types of RFC 8460 §4.3 in its order.
func ResultTypes() []ResultType {
	return []ResultType{StartTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted,
		ValidationFailure, TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid, STSWebPKIInvalid}
}
