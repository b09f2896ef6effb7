package lab

import (
	"fmt"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// Stories are the deliveries that the lab tells. Each cites the rule it is about.
func Stories() []Story {
	var all []Story
	for _, part := range [][]Story{daneStories(), stsStories(), bothStories(), opportunisticStories(), senderStories(), dnsStories()} {
		all = append(all, part...)
	}
	return all
}

func enforce(listed ...int) *STS { return &STS{Mode: mtasts.ModeEnforce, MX: listed} }

// daneStories: RFC 7672, DANE-1 to DANE-6.
func daneStories() []Story {
	return []Story{
		{Name: "dane-ee", Title: "DANE-EE record matches the host's key",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: EEMatch}}},
			Want:    Want{Outcome: delivered, TLS: "dane", Report: []Counts{ok(tlsrpt.PolicyTLSA)}}},
		{Name: "dane-ta", Title: "DANE-TA record matches the intermediate that signed",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{Cert: GoodCert, TLSA: TAMatch}}},
			Want:    Want{Outcome: delivered, TLS: "dane", Report: []Counts{ok(tlsrpt.PolicyTLSA)}}},
		{Name: "dane-mismatch", Title: "DANE record does not match: waits, never plaintext",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: EEMismatch}}},
			Want:    Want{Outcome: waiting, Report: []Counts{bad(tlsrpt.PolicyTLSA, tlsrpt.ValidationFailure)}}},
		{Name: "dane-second-host", Title: "DANE fails at the first host, holds at the second",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: EEMismatch}, {TLSA: EEMatch}}},
			Want: Want{Outcome: delivered, TLS: "dane", Report: []Counts{
				bad(tlsrpt.PolicyTLSA, tlsrpt.ValidationFailure), ok(tlsrpt.PolicyTLSA)}}},
		{Name: "dane-unusable", Title: "no TLSA record is usable: TLS required, nobody authenticated",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: UnusableTLSA}}},
			Want:    Want{Outcome: delivered, TLS: "unverified", Report: []Counts{bad(tlsrpt.PolicyTLSA, tlsrpt.TLSAInvalid)}}},
		{Name: "dane-bogus", Title: "TLSA lookup fails validation: host not used",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: BogusTLSA}}},
			Want:    Want{Outcome: waiting, Report: []Counts{bad(tlsrpt.PolicyTLSA, tlsrpt.DNSSECInvalid)}}},
		{Name: "dane-unsigned", Title: "TLSA in an unsigned zone: ignored",
			Publish: Publish{Zone: dns.Insecure, Hosts: []Host{{TLSA: EEMismatch}}},
			Want:    Want{Outcome: delivered, TLS: "unverified", Report: []Counts{ok(tlsrpt.PolicyNone)}}},
		{Name: "dane-no-starttls", Title: "DANE host without STARTTLS: waits",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: EEMatch, StartTLS: NotOffered}}},
			Want:    Want{Outcome: waiting, Report: []Counts{bad(tlsrpt.PolicyTLSA, tlsrpt.StartTLSNotSupported)}}},
		{Name: "mx-cname", Title: "MX that is a CNAME in signed zones: DANE at its target",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: EEMatch, Alias: true}}},
			Want:    Want{Outcome: delivered, TLS: "dane", Report: []Counts{ok(tlsrpt.PolicyTLSA)}}},
	}
}

// stsStories: RFC 8461, POL-2, STS-6 to STS-8.
func stsStories() []Story {
	one := func(name, title string, cert CertKind, w Want) Story {
		return Story{Name: name, Title: title, Publish: Publish{Hosts: []Host{{Cert: cert}}, STS: enforce()}, Want: w}
	}
	return []Story{
		one("sts-enforce", "MTA-STS enforce, good certificate", GoodCert,
			Want{Outcome: delivered, TLS: "pkix", Report: []Counts{ok(tlsrpt.PolicySTS)}}),
		one("sts-untrusted", "enforce, certificate of an unknown authority: waits", UntrustedCert,
			Want{Outcome: waiting, Report: []Counts{bad(tlsrpt.PolicySTS, tlsrpt.CertificateNotTrusted)}}),
		one("sts-expired", "enforce, expired certificate: waits", ExpiredCert,
			Want{Outcome: waiting, Report: []Counts{bad(tlsrpt.PolicySTS, tlsrpt.CertificateExpired)}}),
		one("sts-wrong-name", "enforce, certificate for another name: waits", WrongNameCert,
			Want{Outcome: waiting, Report: []Counts{bad(tlsrpt.PolicySTS, tlsrpt.CertificateHostMismatch)}}),
		{Name: "sts-unlisted-mx", Title: "enforce, first MX not in the policy, second one in it",
			Publish: Publish{Hosts: []Host{{Cert: GoodCert}, {Cert: GoodCert}}, STS: enforce(1)},
			Want: Want{Outcome: delivered, TLS: "pkix", Report: []Counts{
				{PolicyType: tlsrpt.PolicySTS, Successful: 1, Failed: 1, Failures: map[tlsrpt.ResultType]int{tlsrpt.ValidationFailure: 1}}}}},
		{Name: "sts-testing", Title: "testing, bad certificate: delivered and reported",
			Publish: Publish{Hosts: []Host{{Cert: UntrustedCert}}, STS: &STS{Mode: mtasts.ModeTesting}},
			Want:    Want{Outcome: delivered, TLS: "unverified", Report: []Counts{bad(tlsrpt.PolicySTS, tlsrpt.CertificateNotTrusted)}}},
		{Name: "sts-554", Title: "enforce, 554 to STARTTLS: waits, no bounce",
			Publish: Publish{Hosts: []Host{{Cert: GoodCert, StartTLS: Refused}}, STS: enforce()},
			Want:    Want{Outcome: waiting, Report: []Counts{bad(tlsrpt.PolicySTS, tlsrpt.StartTLSNotSupported)}}},
		{Name: "sts-host-down", Title: "policy host down, nothing cached: as if no policy, reported",
			Publish: Publish{Hosts: []Host{{Cert: SelfSignedCert}}, STS: &STS{Mode: mtasts.ModeEnforce, Down: true}},
			Want:    Want{Outcome: delivered, TLS: "unverified", Report: []Counts{bad(tlsrpt.PolicySTS, tlsrpt.STSPolicyFetchError)}}},
		{Name: "sts-host-down-cached", Title: "new policy id, policy host down: the cached policy holds, reported",
			Publish: Publish{Hosts: []Host{{Cert: GoodCert}}, STS: enforce()}, Twice: true,
			Between: func(d *Domain) error {
				d.PolicyHost.Close()
				return d.SetSTSRecord("v=STSv1; id=second")
			},
			Want: Want{Outcome: delivered, TLS: "pkix", Report: []Counts{
				{PolicyType: tlsrpt.PolicySTS, Successful: 1, Failed: 1, Failures: map[tlsrpt.ResultType]int{tlsrpt.STSPolicyFetchError: 1}}}}},
	}
}

// bothStories: POL-1.
func bothStories() []Story {
	return []Story{
		{Name: "dane-and-sts", Title: "DANE good and MTA-STS good",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{Cert: GoodCert, TLSA: EEMatch}}, STS: enforce()},
			Want:    Want{Outcome: delivered, TLS: "dane+pkix", Report: []Counts{ok(tlsrpt.PolicyTLSA), ok(tlsrpt.PolicySTS)}}},
		{Name: "dane-and-bad-sts", Title: "DANE good, MTA-STS enforce with a bad certificate: waits",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{Cert: UntrustedCert, TLSA: EEMatch}}, STS: enforce()},
			Want: Want{Outcome: waiting, Report: []Counts{
				ok(tlsrpt.PolicyTLSA), bad(tlsrpt.PolicySTS, tlsrpt.CertificateNotTrusted)}}},
		{Name: "sts-and-bad-dane", Title: "MTA-STS good, DANE mismatch: waits",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{Cert: GoodCert, TLSA: EEMismatch}}, STS: enforce()},
			Want: Want{Outcome: waiting, Report: []Counts{
				bad(tlsrpt.PolicyTLSA, tlsrpt.ValidationFailure), ok(tlsrpt.PolicySTS)}}},
	}
}

// opportunisticStories: POL-3.
func opportunisticStories() []Story {
	one := func(name, title, tls string, how StartTLS, c Counts) Story {
		return Story{Name: name, Title: title, Publish: Publish{Hosts: []Host{{StartTLS: how}}},
			Want: Want{Outcome: delivered, TLS: tls, Report: []Counts{c}}}
	}
	return []Story{
		one("self-signed", "no policy, self-signed certificate: delivered unverified", "unverified", Offered, ok(tlsrpt.PolicyNone)),
		one("no-starttls", "no policy, no STARTTLS: plaintext, reported", "none", NotOffered,
			bad(tlsrpt.PolicyNone, tlsrpt.StartTLSNotSupported)),
		one("broken-tls", "no policy, TLS broken: plaintext on a second connection", "none", Broken,
			bad(tlsrpt.PolicyNone, tlsrpt.ValidationFailure)),
	}
}

// senderStories: RFC 8689, POL-4 and POL-5.
func senderStories() []Story {
	return []Story{
		{Name: "requiretls", Title: "REQUIRETLS to a capable DANE host", Need: delivery.RequireTLS,
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: EEMatch, RequireTLS: true}}},
			Want:    Want{Outcome: delivered, TLS: "dane", Report: []Counts{ok(tlsrpt.PolicyTLSA)}}},
		{Name: "requiretls-sts", Title: "REQUIRETLS to a capable host with MTA-STS", Need: delivery.RequireTLS,
			Publish: Publish{Hosts: []Host{{Cert: GoodCert, RequireTLS: true}}, STS: enforce()},
			Want:    Want{Outcome: delivered, TLS: "pkix", Report: []Counts{ok(tlsrpt.PolicySTS)}}},
		{Name: "requiretls-incapable", Title: "REQUIRETLS to a host that lacks it: returned at once", Need: delivery.RequireTLS,
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: EEMatch}}},
			Want:    Want{Outcome: bounced, Status: "5.7.30", Report: []Counts{ok(tlsrpt.PolicyTLSA)}}},
		{Name: "requiretls-unverified", Title: "REQUIRETLS to a domain with neither DANE nor MTA-STS: returned at once", Need: delivery.RequireTLS,
			Publish: Publish{Hosts: []Host{{Cert: GoodCert, RequireTLS: true}}},
			Want:    Want{Outcome: bounced, Status: "5.7.10"}},
		{Name: "tls-optional", Title: "TLS-Required: No to a host with broken DANE: delivered", Need: delivery.TLSOptional,
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: EEMismatch}}},
			Want:    Want{Outcome: delivered, TLS: "unverified", Report: []Counts{bad(tlsrpt.PolicyTLSA, tlsrpt.ValidationFailure)}}},
	}
}

// dnsStories: DST-1, INB-4.
func dnsStories() []Story {
	return []Story{
		{Name: "null-mx", Title: "null MX: returned at once", Publish: Publish{NullMX: true},
			Want: Want{Outcome: bounced, Status: "5.1.10"}},
		{Name: "bogus", Title: "the whole zone fails validation: waits", Publish: Publish{Zone: dns.Bogus, Hosts: []Host{{}}},
			Want: Want{Outcome: waiting}},
		{Name: "no-such-user", Title: "the host knows no such user: returned at once", To: "nobody",
			Publish: Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: EEMatch}}},
			Want:    Want{Outcome: bounced, Status: "5.1.1", Report: []Counts{ok(tlsrpt.PolicyTLSA)}}},
	}
}

// String is for test failures.
func (c Counts) String() string {
	return fmt.Sprintf("%s %s: %d ok, %d failed %v", c.PolicyType, c.PolicyDomain, c.Successful, c.Failed, c.Failures)
}
