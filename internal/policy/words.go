package policy

import (
	"slices"
	"strings"

	"waxwing/internal/delivery"
)

// The reason words of decisions. They form a closed set with those of package
// dane (dane-…), mtasts (STS-4), dns (dns-…) and session (connections, TLS,
// certificates), which the table below explains too.
const (
	// Why a host is skipped, or nothing is dialled.
	DNSError                delivery.Reason = "dns-error"
	TLSAUnusable            delivery.Reason = "tlsa-unusable"
	DANERequired            delivery.Reason = "dane-required"
	STSMXMismatch           delivery.Reason = "sts-mx-mismatch"
	STSLookupFailed         delivery.Reason = "dns-temporary" // STS-4
	RequireTLSUntrustedName delivery.Reason = "requiretls-untrusted-name"
	NoName                  delivery.Reason = "no-name-to-verify"
	NoHosts                 delivery.Reason = "no-hosts"
	SeveralCauses           delivery.Reason = "several-causes"

	// How a RequireTLS message fails (POL-4).
	RequireTLSNotOffered delivery.Reason = "requiretls-not-offered"
	RequireTLSUnverified delivery.Reason = "requiretls-unverified"
	TransportUnverified  delivery.Reason = "transport-unverified" // TRA-3

	// Facts that were weighed.
	RequireTLS      delivery.Reason = "requiretls"
	RequireTLSNull  delivery.Reason = "requiretls-null-sender"
	TLSOptional     delivery.Reason = "tls-optional"
	Minimum         delivery.Reason = "minimum"
	NoPlaintext     delivery.Reason = "no-plaintext"
	Literal         delivery.Reason = "address-literal"
	OperatorHost    delivery.Reason = "operator-host"
	MXSecure        delivery.Reason = "mx-secure"
	MXInsecure      delivery.Reason = "mx-insecure"
	DANENone        delivery.Reason = "dane-none"
	DANEUsable      delivery.Reason = "dane-usable"
	STSNone         delivery.Reason = "sts-none"
	STSModeNone     delivery.Reason = "sts-mode-none"
	STSTesting      delivery.Reason = "sts-testing"
	STSEnforce      delivery.Reason = "sts-enforce"
	STSMXMatch      delivery.Reason = "sts-mx-match"
	ExceptSTS       delivery.Reason = "exception-mta-sts"
	ExceptSTSLookup delivery.Reason = "exception-mta-sts-lookup"
	ExceptDANE      delivery.Reason = "exception-dane"

	// What follows.
	Skipped           delivery.Reason = "skipped"
	TLSRequired       delivery.Reason = "tls-required"
	Opportunistic     delivery.Reason = "opportunistic"
	PlaintextFallback delivery.Reason = "plaintext-fallback"

	// Words of sessions that GiveUp reads.
	StartTLSNotOffered delivery.Reason = "starttls-not-offered"
	StartTLSLost       delivery.Reason = "starttls-connection-lost"
	StartTLSTimeout    delivery.Reason = "starttls-timeout"
	TLSTimeout         delivery.Reason = "tls-timeout"
	TLSClosed          delivery.Reason = "tls-closed"
	RootsUnavailable   delivery.Reason = "roots-unavailable"
)

// Families of words that end in what the peer said.
const (
	startTLSReply = "starttls-reply-"
	tlsAlert      = "tls-alert-"
)

// entry explains one word: what it means, and what its reader can do.
type entry struct {
	word            delivery.Reason
	meaning, advice string
}

// Words are all words that Explain knows, in the order of the table, without the
// family starttls-reply-… and those of tls-alert-… that have no entry of their own.
func Words() []delivery.Reason {
	var list []delivery.Reason
	for _, e := range table() {
		list = append(list, e.word)
	}
	return list
}

// Explain gives the meaning of a reason word and what its reader can do about
// it; empty strings for a word that is not of the closed set.
func Explain(w delivery.Reason) (meaning, advice string) {
	all := table()
	if i := slices.IndexFunc(all, func(e entry) bool { return e.word == w }); i >= 0 {
		return all[i].meaning, all[i].advice
	}
	if code, ok := strings.CutPrefix(string(w), startTLSReply); ok {
		return "the host answered STARTTLS with " + code + " instead of 220",
			"a 4xx answer is often a passing shortage; a 5xx one means that TLS is switched off or broken on that host"
	}
	if alert, ok := strings.CutPrefix(string(w), tlsAlert); ok {
		return "the host ended the TLS handshake with the alert " + strings.ReplaceAll(alert, "-", " "),
			"look at the host's log and its TLS configuration"
	}
	return "", ""
}

func table() []entry {
	return slices.Concat(decisionWords(), findingWords(), connectionWords(), alertWords(), certificateWords(), messageWords(), routeWords())
}

func decisionWords() []entry {
	const none = "nothing to do"
	return []entry{
		{RequireTLS, "the sender asked for REQUIRETLS (RFC 8689): only a trustworthy host name, a verified certificate and a host that offers REQUIRETLS will do", none},
		{RequireTLSNull, "a bounce of a REQUIRETLS message: REQUIRETLS is used where offered, and does not stop the bounce", none},
		{TLSOptional, "the message goes out whatever the state of TLS (TLS-Required: No, or a TLS report)", none},
		{Minimum, "the operator set a least security for this recipient domain", "change or remove the minimum if it asks for more than the domain can do"},
		{NoPlaintext, "the server's configuration forbids plaintext to anybody", none},
		{Literal, "the recipient's domain is an address literal, which can publish nothing", none},
		{MXSecure, "DNSSEC secures the answer that names the hosts", none},
		{MXInsecure, "DNSSEC does not secure the answer that names the hosts, so DANE cannot apply", "sign the domain's zone; on the sending side, use a validating resolver that is trusted"},
		{DANENone, "no TLSA records apply to the host", none},
		{DANEUsable, "TLSA records apply to the host, and its certificate must match one", none},
		{DANERequired, "the operator's minimum is DANE, and the host has no TLSA records secured by DNSSEC", "have the domain publish TLSA records, or lower the minimum"},
		{TLSAUnusable, "the host has TLSA records, none of which can be used for SMTP", "publish a record with usage 3 (or 2), such as 3 1 1, with a digest of the right length"},
		{STSNone, "the domain has no MTA-STS", none},
		{STSModeNone, "the domain's MTA-STS policy is in mode none: it asks for nothing", none},
		{STSTesting, "the domain's MTA-STS policy is in mode testing: failures are reported and stop nothing", none},
		{STSEnforce, "the domain's MTA-STS policy is in mode enforce: its hosts must present valid certificates", none},
		{STSMXMatch, "the MTA-STS policy names the host", none},
		{STSMXMismatch, "the MTA-STS policy does not name the host", "add the host to the policy and give the record a new id, or remove the host from the MX records"},
		{STSLookupFailed, "the MTA-STS record could not be looked up, so nobody can say whether a policy applies", "repair the domain's DNS; the message waits"},
		{RequireTLSUntrustedName, "REQUIRETLS was asked for, and neither DNSSEC nor an enforced MTA-STS policy vouches for the host's name", "sign the domain with DNSSEC or publish an enforced MTA-STS policy; or send without REQUIRETLS"},
		{RequireTLSNotOffered, "REQUIRETLS was asked for, and the host does not offer it", "send without REQUIRETLS, or have the receiving side switch it on"},
		{RequireTLSUnverified, "REQUIRETLS was asked for, and no host can be reached over verified TLS", "see what came of each host; or send without REQUIRETLS"},
		{NoName, "a verified certificate is asked for, and an address literal has no name to verify", "write to a domain instead of an address"},
		{SeveralCauses, "no host can be used, and not all for the same reason: each stands with its host", "see what is said of each host"},
		{NoHosts, "no host is known for the domain", "check its MX and address records"},
		{Skipped, "the host is not used", "the reason stands beside it"},
		{ExceptSTS, "the operator has set the domain's MTA-STS aside", "take the exception out of [[delivery.exceptions]] when its cause is mended"},
		{ExceptSTSLookup, "the MTA-STS record could not be looked up, and the operator lets that count as none", "take the exception out of [[delivery.exceptions]] when its cause is mended"},
		{ExceptDANE, "the operator has set the domain's DANE aside", "take the exception out of [[delivery.exceptions]] when its cause is mended"},
		{TLSRequired, "nothing is sent without sound TLS (1.2 or later, no broken cipher), and what stands beside it is verified", none},
		{Opportunistic, "TLS is used where the host offers it, whatever its version, without verification", "publish TLSA records or an MTA-STS policy to have it verified"},
		{PlaintextFallback, "if TLS fails, the same host is tried once more without", "publish TLSA records or an MTA-STS policy, which forbid this"},
	}
}

func findingWords() []entry {
	return []entry{
		{"no-such-domain", "the domain does not exist", "check the address for typing errors"},
		{"null-mx", "the domain says that it takes no mail (null MX)", "there is no address to write to at this domain"},
		{"mx-unusable", "none of the domain's MX records names a host", "correct the MX records"},
		{"mx-self", "the domain's best host is this server, which does not know the domain", "add the domain here, or correct its MX records"},
		{"no-such-host", "the host does not exist", "correct the MX record that names it"},
		{"no-address", "the host has no address", "publish an A or AAAA record for it"},
		{"address-refused", "all addresses of the host are private or reserved", "publish public addresses; in a closed network allow private ones in the configuration"},
		{DNSError, "a DNS lookup failed", "try the lookup by hand; the message waits"},
		{"dns-bogus", "DNSSEC validation failed", "repair the zone's signatures; check it with a DNSSEC debugger"},
		{"dns-timeout", "the DNS did not answer in time", "check the name servers of the domain and the resolver"},
		{"dns-servfail", "the resolver could not get an answer (SERVFAIL)", "check the name servers of the domain; for TLSA lookups also that they answer unknown types properly"},
		{"dns-refused", "the resolver refused the question", "check the resolver's access rules"},
		{"dns-indeterminate", "the resolver cannot say whether DNSSEC secures the answer", "use a validating resolver"},
		{"no-record", "the domain has no MTA-STS record", "nothing to do"},
		{"multiple-records", "the domain has more than one MTA-STS record, so none counts", "remove all TXT records at _mta-sts but one"},
		{"record-syntax", "the MTA-STS record is malformed, so it does not count", `write it as "v=STSv1; id=20260101"`},
		{"no-policy", "there is an MTA-STS record, and no policy where it should be", "serve https://mta-sts.DOMAIN/.well-known/mta-sts.txt, or remove the record"},
		{"fetch", "the MTA-STS policy could not be fetched", "open the policy's URL with a browser; it must answer 200 with text/plain and no redirect"},
		{"webpki", "the certificate of the MTA-STS policy host is not valid", "renew it, for the name mta-sts.DOMAIN"},
		{"policy-syntax", "the MTA-STS policy is malformed", "correct the line named"},
		{"dane-no-match", "the host's certificate matches none of its TLSA records", "publish the new certificate's record before the certificate is changed, and remove the old one after"},
		{"dane-ta-expired", "a certificate between the host and its DANE trust anchor is out of its dates", "renew it"},
		{"dane-ta-name-mismatch", "the chain leads to the DANE trust anchor, and the certificate is for another name", "issue a certificate for the MX host's name"},
		{"dane-ta-chain", "no valid chain leads from the host to its DANE trust anchor", "send all intermediate certificates and the anchor"},
	}
}

func connectionWords() []entry {
	const waits = "the message waits, and the next host is tried"
	return []entry{
		{"connect-refused", "the host refused the connection", waits},
		{"connect-timeout", "the host did not take the connection in time", "check that port 25 is open on both sides; " + waits},
		{"connect-unreachable", "there is no way to the host's network", waits},
		{"connect-failed", "the connection failed", waits},
		{"address-crowded", "the host's address holds up as many deliveries of this server as one address may", "nothing to do: the message has its turn later, and it does not count as an attempt"},
		{"proxy-failed", "the operator's proxy cannot be reached or refuses to work for this server", "see that the proxy runs, and what the transport says of its address, user and password; all mail that goes through it waits"},
		{"greeting-reply", "the host greeted with something other than 220", waits},
		{"ehlo-reply", "the host refused EHLO", waits},
		{"connection-lost", "the host closed the connection", waits},
		{"timeout", "the host did not answer in time", waits},
		{"protocol-error", "the host's answer is no SMTP", waits},
		{StartTLSNotOffered, "the host does not offer STARTTLS", "switch TLS on at the host; something on the way may also have stripped the offer"},
		{StartTLSLost, "the connection was lost at STARTTLS", waits},
		{StartTLSTimeout, "the host did not answer STARTTLS in time", waits},
		{"starttls-protocol-error", "the host's answer to STARTTLS is no SMTP", "check for something on the way that changes SMTP"},
		{"starttls-injection", "the host sent more than its answer to STARTTLS before TLS began", "correct the host's software: somebody on the way could inject commands"},
		{TLSTimeout, "the TLS handshake took too long", waits},
		{TLSClosed, "the host closed the connection within the TLS handshake", "check the host's log and its TLS configuration"},
		{"tls-not-tls", "the host answered the TLS handshake with something else", "check for something on the way that changes SMTP"},
		{"tls-version", "the host speaks no TLS version that will do: TLS 1.2 or 1.3 where TLS is required, 1.0 at least elsewhere", "update the host's TLS"},
		{"tls-weak-cipher", "the host chose a cipher suite that is broken: RC4 or 3DES", "have the host offer AES or ChaCha20 and prefer them"},
		{"tls-weak-signature", "the host signed the TLS handshake with SHA-1", "update the host's TLS"},
		{"tls-handshake", "the TLS handshake failed", "check the host's TLS configuration"},
	}
}

// alertWords are the TLS alerts that mail servers are seen to send, by the names
// of the IANA registry. Alert 70, protocol_version, is tls-version.
func alertWords() []entry {
	const ours = "have the host ask for no client certificate: servers that send mail to strangers have none it could know"
	return []entry{
		{"tls-alert-handshake-failure", "the host found no cipher, key exchange or signature in common (TLS alert 40)", "compare the ciphers that the host is configured for, and whether its certificate's key fits them"},
		{"tls-alert-insufficient-security", "the host asks for stronger ciphers than were offered (TLS alert 71)", "compare the ciphers that the host is configured for"},
		{"tls-alert-internal-error", "the host's TLS failed for a reason of its own (TLS alert 80)", "see the host's log: often its certificate or key cannot be read"},
		{"tls-alert-unrecognized-name", "the host has no certificate for the name that it was asked for (TLS alert 112)", "configure a certificate for the MX host's name, or one for all names"},
		{"tls-alert-certificate-required", "the host wants a certificate of the client (TLS alert 116)", ours},
		{"tls-alert-bad-certificate", "the host refused the client's certificate, or the lack of one (TLS alert 42)", ours},
		{"tls-alert-access-denied", "the host's TLS lets this client not in (TLS alert 49)", ours},
	}
}

func certificateWords() []entry {
	const chain = "send the whole chain from a public authority"
	return []entry{
		{"cert-missing", "the host presented no certificate", "configure one"},
		{"cert-malformed", "the host's certificate cannot be read", "issue it anew"},
		{"cert-expired", "the host's certificate, or one of its chain, has expired", "renew it"},
		{"cert-not-yet-valid", "the host's certificate, or one of its chain, is not valid yet", "check the clocks, and the certificate's dates"},
		{"cert-self-signed", "the host's certificate is self-signed", chain},
		{"cert-unknown-authority", "no chain leads from the host's certificate to a known authority", chain},
		{"cert-host-mismatch", "the host's certificate is for another name", "issue it for the name in the MX record"},
		{"cert-no-name", "the host's certificate carries no DNS name", "issue it with a subject alternative name; a common name does not count"},
		{"cert-not-a-ca", "a certificate of the chain may not sign others", chain},
		{"cert-name-constraints", "an authority of the chain may not sign for this name", chain},
		{"cert-usage", "the host's certificate is not meant for servers", "issue it with the extended key usage serverAuth"},
		{"cert-chain-too-long", "the chain is longer than one of its authorities allows", chain},
		{"cert-critical-extension", "the certificate has a critical extension that is not known", "issue it without"},
		{"cert-weak-algorithm", "the certificate is signed by an algorithm that is broken", "issue it anew"},
		{"cert-weak-key", "an RSA key of the host's certificate, or of its chain, has fewer than 1024 bits", "issue it anew with an RSA key of 2048 bits or an ECDSA key"},
		{"cert-unknown-key", "the host's certificate holds a key that this server's TLS does not know: DSA, Ed448, or a curve other than P-256, P-384 and P-521", "issue it with an RSA or ECDSA P-256 key"},
		{"cert-invalid", "the host's certificate is not valid", "issue it anew"},
		{RootsUnavailable, "this server has no list of public authorities", "install the system's CA certificates"},
	}
}

func messageWords() []entry {
	return []entry{
		{"accepted", "the host took the message", "nothing to do"},
		{"remote-reply", "the host's answer settled it", "read the answer, which is given in full"},
		{"unanswered", "the message was sent in full and no answer came", "it is sent again, and may arrive twice"},
		{"other-address-family", "the host refused one of our addresses, and is tried from the other address family next time", "check our addresses against block lists, and their reverse names"},
		{"smtputf8-not-offered", "the message needs SMTPUTF8, which the host does not offer", "write to an address without special characters"},
		{"8bitmime-not-offered", "the message holds 8-bit text, which the host does not take, and it is signed and cannot be changed", "send it in 7-bit form"},
		{"size-exceeded", "the message is larger than the host takes", "send less"},
		{"line-too-long", "a line of the message is longer than SMTP can carry on, and the message is signed or cannot be encoded anew", "have it sent again in quoted-printable or base64"},
		{"bare-newline", "the message holds a bare CR or LF, which no SMTP session can carry safely", "send it with CRLF line ends"},
		{"bad-envelope", "an address cannot be written in SMTP", "correct the address"},
		{"content-unreadable", "the stored message could not be read", "look at this server's log"},
		{"lease-lost", "another machine took the message over", "nothing to do"},
		{"canceled", "the attempt was broken off", "nothing to do; it is repeated"},
		{"interrupted", "the attempt was broken off before a host was asked", "nothing to do; it is repeated"},
		{"not-verified", "nobody verified the certificate", "nothing to do"},
		{"mailbox", "the message lies in a mailbox of this server", "nothing to do"},
		{"internal-error", "this server met a fault of its own over the message", "look for \"panic contained\" in its log, and report what stands there; after three times the message is returned to its sender, or held"},
		{"store-error", "this server could not read its own database", "look at its log; the message is tried again"},
		{"no-result", "the attempt told nothing of this recipient", "look at this server's log; the message is tried again"},
		{"bad-domain", "the recipient's domain cannot be read", "correct the address"},
		{"held", "an operator holds the message back", "ask the operator of this server"},
		{"released", "an operator released the message; it goes on as if it had waited", "nothing to do"},
		{"failed-by-operator", "an operator gave the message up, and its sender was told", "ask the operator of this server"},
		{"dropped", "an operator took the message out of the queue without a word to its sender", "ask the operator of this server"},
		{"mailbox-error", "the mailbox could not be written", "look at this server's log; the message is tried again"},
		{"account-lookup", "the users of this server could not be looked up", "look at this server's log; the message is tried again"},
		{"suppressed", "an earlier message to this recipient came back for good", "correct the address, or lift the entry of the suppression list"},
		{"hold-rule", "a rule of the operator holds such messages back", "release the message, or change the rule"},
	}
}

// routeWords are those of routes and of the hosts that an operator names.
func routeWords() []entry {
	return []entry{
		{OperatorHost, "the operator named this host, so that nothing that the recipient's domain publishes applies", "nothing to do"},
		{TransportUnverified, "the sender asked for REQUIRETLS, and the operator's transport does not verify its host", "give the transport a verification, or route such mail otherwise"},
		{"no-transport", "the route or the message names a transport that is not there", "add the transport, or change the route"},
		{"routes-unreadable", "the routes of this server could not be read", "look at this server's log; the message is tried again"},
		{"refused-by-route", "the operator's routes refuse mail like this", "ask the operator of this server"},
		{"auth-no-mechanism", "the operator's host offers no login that this server may use", "see which mechanisms the host offers, and that it does so over verified TLS"},
		{"auth-refused", "the operator's host refused the login", "correct the transport's user and password"},
		{"auth-server-unproven", "the host could not prove that it knows the password", "somebody else may be answering in its place: check the transport's host name and verification"},
	}
}
