package reason

// result is the advice about a result type of RFC 8460 §4.3, for whom a TLS report is
// about. A type that the RFC does not define gets a general one.
func result(t string) Advice {
	if a, ok := results[t]; ok {
		return a
	}
	return Advice{Meaning: "The reporter uses a result type that RFC 8460 does not define.",
		Cure: "Look at the reason code and the additional information of the report."}
}

var results = map[string]Advice{
	"starttls-not-supported": {Host, "The mail host did not offer STARTTLS, or refused it.",
		"Switch STARTTLS on at the named host, and make sure that no firewall or proxy in front of it strips the offer."},
	"certificate-host-mismatch": {Host, "The certificate does not carry the name under which the host was reached.",
		"Give the host a certificate whose subject alternative names hold its MX name."},
	"certificate-expired": {Host, "The certificate of the host is past its validity.",
		"Renew the certificate, reload the mail server, and look at why the renewal did not run by itself."},
	"certificate-not-trusted": {Host, "The certificate does not lead to a certification authority that the sender trusts.",
		"Use a certificate of a public authority and serve the whole chain with its intermediate certificates."},
	"validation-failure": {Host, "TLS could not be established or verified for another reason; the reason code tells which.",
		"Read the reason code. Usual causes: the MX host is not listed in the MTA-STS policy, the TLSA records do not match the certificate, or no common TLS version."},
	"tlsa-invalid": {Host, "None of the TLSA records of the host can be used.",
		"Publish a TLSA record that matches the certificate in use, such as 3 1 1 with the SHA-256 of its public key, before the certificate changes."},
	"dnssec-invalid": {Domain, "The DNSSEC signatures of the zone could not be validated.",
		"Check the DS record at the parent, the expiry of the signatures and the last key change."},
	"dane-required": {Domain, "The sender insists on DANE for this domain, and the host has no TLSA records under valid DNSSEC.",
		"Publish TLSA records for every MX host in signed zones, or agree with the sender that DANE is no longer required."},
	"sts-policy-fetch-error": {Domain, "The MTA-STS policy could not be fetched although the DNS record announces one.",
		"Make https://mta-sts.{domain}/.well-known/mta-sts.txt answer 200 without a redirect, or remove the _mta-sts record."},
	"sts-policy-invalid": {Domain, "The MTA-STS policy was fetched but is not valid.",
		"Correct the policy file: version, mode, max_age and at least one mx line, each on its own line."},
	"sts-webpki-invalid": {Domain, "The web host of the MTA-STS policy has a certificate that cannot be verified.",
		"Give mta-sts.{domain} a valid certificate of a public authority for exactly that name."},
}
