package reason

// Tip is a piece of advice that depends on more than a word: on what else a domain
// publishes, on how a transport is set up, or on what reports say over days. Those of a
// look at a domain are also the words that explain shows with them.
type Tip string

// What a look at a domain and its hosts comes to.
const (
	AskResolver      Tip = "resolver"
	TLSAOnSomeHosts  Tip = "tlsa-on-some-hosts"
	TLSAMissing      Tip = "no-tlsa"
	TLSAOfKey        Tip = "tlsa-of-key"
	Unprotected      Tip = "unprotected"
	STSStale         Tip = "sts-id-unchanged"
	STSLiveBroken    Tip = "sts-live-broken"
	STSTestingOnly   Tip = "sts-testing-only"
	STSShort         Tip = "sts-max-age-short"
	STSListsNone     Tip = "sts-lists-none"
	STSListsSome     Tip = "sts-lists-some"
	STSListsUnused   Tip = "sts-mx-unused"
	TLSAUseless      Tip = "tlsa-useless"
	TLSABogus        Tip = "tlsa-bogus"
	TLSAUnanswered   Tip = "tlsa-unanswered"
	TLSAOld          Tip = "tlsa-old"
	NoStartTLS       Tip = "no-starttls"
	NoRequireTLS     Tip = "no-requiretls"
	HostSilent       Tip = "host-silent"
	HostShut         Tip = "host-shut"
	HostTurnsAway    Tip = "host-turns-away"
	HostNoSMTP       Tip = "host-no-smtp"
	OurWayIPv4       Tip = "our-way-ipv4"
	OurWayIPv6       Tip = "our-way-ipv6"
	WeakTaken        Tip = "weak-taken"
	SmallHello       Tip = "small-hello"
	ExpiresSoon      Tip = "certificate-expires-soon"
	TLSRPTNone       Tip = "no-tlsrpt"
	TLSRPTBroken     Tip = "tlsrpt-record"
	TLSRPTUnanswered Tip = "tlsrpt-unanswered"
	SeenUnreadable   Tip = "last-seen-unreadable"
)

// What a rehearsal with the operator's host comes to (TRA-2).
const (
	LoginOffered      Tip = "login-offered"
	LoginImpostor     Tip = "login-impostor"
	LoginTransition   Tip = "login-transition" // 432
	LoginLater        Tip = "login-later"      // 4xx
	LoginMechanism    Tip = "login-mechanism"  // 534
	LoginWantsTLS     Tip = "login-wants-tls"  // 538
	LoginWrong        Tip = "login-wrong"
	LoginNotInPlain   Tip = "login-not-in-plain"
	LoginNotHere      Tip = "login-not-here"
	LoginNotAllowed   Tip = "login-not-allowed"
	LoginNeedsProof   Tip = "login-needs-proof"
	LoginUnknown      Tip = "login-unknown"
	PortNoStartTLS    Tip = "port-no-starttls"
	RelayNoTLS        Tip = "relay-no-tls"
	PortNoImplicitTLS Tip = "port-no-implicit-tls"
	PortMaybeImplicit Tip = "port-maybe-implicit"
	PortUnreachable   Tip = "port-unreachable"
	RelayChain        Tip = "relay-chain"
	RelayName         Tip = "relay-name"
)

// What the reports of others come to over days (RPT-19).
const (
	ReportedCertificate Tip = "reported-certificate"
	ReportedTLSA        Tip = "reported-tlsa"
	ReportedRecords     Tip = "reported-records"
	ReportedDNSSEC      Tip = "reported-dnssec"
	ReportedStartTLS    Tip = "reported-starttls"
	ReportedTLS         Tip = "reported-tls"
	ReportedUnlisted    Tip = "reported-unlisted"
	ReportedPolicy      Tip = "reported-policy"
	ReportedHeld        Tip = "reported-held"
	ReportedClean       Tip = "reported-clean"
	ReportedUnguarded   Tip = "reported-unguarded"
)

var tips = map[Tip]string{
	AskResolver:      `"waxwing dns selftest" tells whether the resolver answers at all`,
	TLSAOnSomeHosts:  "other hosts of {domain} have TLSA records and this one has none, so whoever can keep mail from the others can have it unprotected: publish {record}",
	TLSAMissing:      "{domain} is signed, so a TLSA record is all that DANE still needs: publish {record}",
	TLSAOfKey:        `{name}. IN TLSA 3 1 1 with the SHA-256 of the host's public key ("waxwing dane record {host}" prints it)`,
	Unprotected:      "nothing protects mail to this domain from whoever sits on the way: sign the zones of the domain and of its hosts with DNSSEC and publish TLSA records, or publish an MTA-STS policy",
	STSStale:         `the policy has changed and the id {id} in _mta-sts.{domain} has not, so that senders keep to the old one: give the record a new id whenever the policy changes`,
	STSLiveBroken:    "{cure} ({detail}); senders that know the policy keep it until it expires, others do not get it",
	STSTestingOnly:   "the MTA-STS policy is in mode testing, which protects nobody: once the TLS reports show no failures, set mode: enforce and a new id",
	STSShort:         "the MTA-STS policy is kept for {time} only: set max_age to some weeks, such as 1209600, so that it cannot be got rid of by blocking one fetch",
	STSListsNone:     "the MTA-STS policy lists none of the domain's hosts: it has {listed}, and the MX records name {hosts}. Add {lines} to the policy and give the record a new id",
	STSListsSome:     "the MTA-STS policy does not list {hosts}: add {lines} and give the record a new id, or remove the MX record",
	STSListsUnused:   "the MTA-STS policy lists {listed}, which matches no host of the domain: remove it unless the host is about to come",
	TLSAUseless:      "none of its TLSA records ({records}) can be used for SMTP: publish {record} instead",
	TLSABogus:        "DNSSEC validation fails for {name}, so that nobody who honours DANE delivers to it: repair the zone's signatures",
	TLSAUnanswered:   `{name} cannot be looked up, so that nobody who honours DANE delivers to it: the name servers must answer, if only with "no such name"`,
	TLSAOld:          "its certificate matches none of its TLSA records ({records}), so that nobody who honours DANE delivers to it: publish {record} now; next time publish the new record before the certificate changes, and wait for the old TTL",
	NoStartTLS:       "it does not offer STARTTLS, so mail to it can be read on the way: configure a certificate and switch TLS on",
	NoRequireTLS:     "it does not offer REQUIRETLS (RFC 8689): switch it on, or let the sender do without",
	HostSilent:       "{meaning} at {address} ({detail}): see that it answers on port 25, or take it out of the MX and address records",
	HostShut:         "{meaning} at {address} ({detail}): see that its mail server runs and listens there, or take it out of the MX and address records",
	HostTurnsAway:    "{meaning} at {address} ({detail}): it answers, and turns this server away: the answer says why, often for the address that we come from",
	HostNoSMTP:       "{meaning} at {address} ({detail}): something listens there that does not speak SMTP with us: see its log, and what stands before it",
	OurWayIPv4:       "no IPv4 address of any host could be reached, which points to our own way out: see whether this machine's network lets connections to port 25 out: many do not",
	OurWayIPv6:       "no IPv6 address of any host could be reached, which points to our own way out: see whether this machine has IPv6 at all and lets connections to port 25 out by it; hosts are tried over IPv4 too",
	WeakTaken:        "{cure} ({detail}); mail goes there only because nothing better is asked for",
	SmallHello:       "it, or something on the way, cannot take a TLS hello that offers post-quantum key exchange: update its TLS, or the firewall before it; each mail costs two connections",
	ExpiresSoon:      "its certificate expires in {time}, on {day}: renew it, and see why that did not happen by itself",
	TLSRPTNone:       `nobody can report failures of TLS, so that its operator is the last to learn of them: publish {name}. IN TXT "v=TLSRPTv1; rua=mailto:tls-reports@{domain}"`,
	TLSRPTBroken:     `the TLS reporting record at {name} cannot be used ({detail}), so that no reports are sent: write it as "v=TLSRPTv1; rua=mailto:tls-reports@{domain}", once`,
	TLSRPTUnanswered: "the TLS reporting record at {name} cannot be looked up ({detail})",
	SeenUnreadable:   "what deliveries have seen of the domain could not be read: {detail}",

	LoginOffered:      "the host offers a login and the transport has none: if mail is refused as relaying, give it one (--user)",
	LoginImpostor:     "the host takes the login without knowing the password: somebody else may be answering in its place. Check --host and --security before you try another mechanism",
	LoginTransition:   "the host wants the password to be changed before this mechanism works: log in once with PLAIN (--mechanisms PLAIN), or set the password anew at the host",
	LoginLater:        "the host cannot check logins just now, which says nothing about the password: try again later",
	LoginMechanism:    "the host wants another mechanism than {mechanism} for this user: see --mechanisms",
	LoginWantsTLS:     "the host wants TLS before this mechanism",
	LoginWrong:        `the user {user} or the password is wrong, or the host wants a password made for applications: set both anew with "waxwing transport set {transport}", the password on standard input`,
	LoginNotInPlain:   "the host offers no login without TLS: use --kind submission or a --security that asks for TLS",
	LoginNotHere:      "the host offers no login at this port: use --kind submission (587 or 465), or leave --user out if it takes mail from this machine's address",
	LoginNotAllowed:   "the host offers {offered}, and --mechanisms allows only {allowed}",
	LoginNeedsProof:   "the host offers {offered}, and nobody verified who it is, so the password is not handed over: use --security verified",
	LoginUnknown:      "the host offers {offered}, none of which this program knows: ask its operator for SCRAM-SHA-256 or PLAIN",
	PortNoStartTLS:    "this port speaks no STARTTLS: try port 465 (TLS from the start), or ask the host's operator",
	RelayNoTLS:        "ask the host's operator for TLS, or use a port that has it (--kind submission: 587 or 465); only in a network that you trust, --security any",
	PortNoImplicitTLS: "this port speaks no TLS from the start: leave --implicit-tls out, or use port 465",
	PortMaybeImplicit: "the host says nothing by itself: it may be waiting for TLS, as on port 465 (--kind submission --implicit-tls), or refuse this machine's address",
	PortUnreachable:   "see that {host} listens on port {port}, and that no firewall stands between: many networks block port 25",
	RelayChain:        "have the host send a whole chain from a public authority; for an authority of your own, add it to the system's certificates of this machine, or publish TLSA records",
	RelayName:         "name the host as its certificate does (--host), or have a certificate issued for {host}",

	ReportedCertificate: "The certificate of {host} is failing {since} ({what}), {reporters} say. {cure}",
	ReportedTLSA:        "The TLSA records published for {host} do not match what it serves, {since} ({what}), {reporters} say. Publish the record of the certificate in use: waxwing dane record.",
	ReportedRecords:     "{meaning} That is so for {host} {since} ({what}), {reporters} say. {cure}",
	ReportedDNSSEC:      "DNSSEC fails for {host} {since} ({what}), {reporters} say. Check the DS record, the expiry of the signatures and the last key change.",
	ReportedStartTLS:    "{begin} did not offer STARTTLS {since}, {reporters} say. Switch it on there, and look for a firewall that strips it.",
	ReportedTLS:         "TLS with {host} does not come about {since} ({what}), {reporters} say: {meaning}. {cure}",
	ReportedUnlisted:    "The MTA-STS policy does not name {host}, {since} ({what}), {reporters} say. Add the host to the policy and give the record a new id, or remove the host from the MX records.",
	ReportedPolicy:      "The MTA-STS policy cannot be used {since} ({what}), {reporters} say. {cure}",
	ReportedHeld:        "Sessions fail under the MTA-STS policy in mode enforce {since}, {reporters} say: their mail is held up or returned, unless another host takes it. Cure the cause; until then mode testing lets mail through.",
	ReportedClean:       "MTA-STS in mode testing for {days} days without a failure, {reporters} say: mode enforce is safe.",
	ReportedUnguarded:   "TLS to this domain worked for {days} days without a failure, {reporters} say, but no policy demands it: publish MTA-STS in mode testing, or TLSA records.",
}
