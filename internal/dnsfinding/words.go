package dnsfinding

import (
	"errors"
	"waxwing/internal/reason"

	"waxwing/dns"
)

// Word is one kind of finding, the same in lists, alerts and pages. The set is closed.
type Word string

// entry is what a word means, and what mends it.
type entry struct {
	level       Level
	cause, cure string
}

// The words of what was not seen, and of what is well.
const (
	Well         Word = "ok"
	NotLooked    Word = "not-looked"
	LookupFailed Word = "lookup-failed"
	Bogus        Word = "bogus"
	NoDNSSEC     Word = "dnssec-unseen"
)

// Of the domain and its hosts.
const (
	NoDomain       Word = "domain-missing"
	NSFew          Word = "ns-few"
	NSNoIPv6       Word = "ns-no-ipv6"
	ZoneInsecure   Word = "zone-insecure"
	MXMissing      Word = "mx-missing"
	MXOther        Word = "mx-other"
	MXForeign      Word = "mx-foreign"
	MXUnusable     Word = Word(reason.MXUnusable)
	NullMX         Word = Word(reason.NullMX)
	NullMXMixed    Word = "null-mx-mixed"
	MXAlias        Word = "mx-alias"
	NoAddress      Word = "host-no-address"
	AddressOther   Word = "address-other"
	AddressMissing Word = "address-missing"
	AddressExtra   Word = "address-extra"
	AddressPrivate Word = "address-private"
	NoIPv6         Word = "no-ipv6"
	HostInsecure   Word = "host-insecure"
	PTRMissing     Word = "ptr-missing"
	PTROther       Word = "ptr-other"
	PTRName        Word = "ptr-name"
)

// Of what answers at port 25.
const (
	Unreachable    Word = "smtp-unreachable"
	SMTPRefused    Word = "smtp-refused"
	SMTPName       Word = "smtp-name"
	NoStartTLS     Word = "starttls-missing"
	TLSFailed      Word = "tls-failed"
	CertExpired    Word = Word(reason.CertExpired)
	CertNotYet     Word = Word(reason.CertNotYetValid)
	CertName       Word = "cert-name"
	CertUntrusted  Word = "cert-untrusted"
	CertPrivate    Word = "cert-private"
	CertExpires    Word = "cert-expires"
	TLSAMissing    Word = "tlsa-missing"
	TLSAMismatch   Word = "tlsa-mismatch"
	TLSAKeyMissing Word = "tlsa-key-missing"
	TLSANext       Word = "tlsa-next-missing"
	TLSAStale      Word = "tlsa-stale"
	TLSAUnusable   Word = Word(reason.TLSAUnusable)
	TLSASome       Word = "tlsa-some-unusable"
	TLSAInsecure   Word = "tlsa-insecure"
	TLSALookup     Word = "tlsa-lookup"
)

// Of who may send.
const (
	SPFMissing   Word = "spf-missing"
	SPFMultiple  Word = "spf-multiple"
	SPFSyntax    Word = "spf-syntax"
	SPFLookups   Word = "spf-lookups"
	SPFAddress   Word = "spf-address"
	SPFTemporary Word = "spf-temporary"
	SPFOpen      Word = "spf-open"
	SPFNoAll     Word = "spf-no-all"
	SPFPTR       Word = "spf-ptr"
	SPFSmarthost Word = "spf-smarthost"
	SPFNoSource  Word = "spf-no-source"
	HostSPF      Word = "spf-host-missing"
	NoDKIM       Word = "dkim-no-key"
	DKIMMissing  Word = "dkim-missing"
	DKIMWaiting  Word = "dkim-waiting"
	DKIMOther    Word = "dkim-other"
	DKIMSplit    Word = "dkim-split"
	DKIMMultiple Word = "dkim-multiple"
	DKIMRevoked  Word = "dkim-revoked"
	DKIMTesting  Word = "dkim-testing"
	DKIMFaulty   Word = "dkim-faulty"
	DMARCMissing Word = "dmarc-missing"
	DMARCMult    Word = "dmarc-multiple"
	DMARCSyntax  Word = "dmarc-syntax"
	DMARCFaults  Word = "dmarc-faults"
	DMARCNone    Word = "dmarc-none"
	DMARCTesting Word = "dmarc-testing"
	DMARCSilent  Word = "dmarc-no-reports"
	DMARCConsent Word = "dmarc-consent"
	Mailbox      Word = "report-mailbox"
)

// Of reports, MTA-STS, certificates and mail programs.
const (
	TLSRPTMissing   Word = "tlsrpt-missing"
	TLSRPTMultiple  Word = "tlsrpt-multiple"
	TLSRPTSyntax    Word = "tlsrpt-syntax"
	TLSRPTFaulty    Word = "tlsrpt-faulty"
	TLSRPTOther     Word = "tlsrpt-other"
	HostTLSRPT      Word = "tlsrpt-host-missing"
	STSMissing      Word = "sts-missing"
	STSUnpublished  Word = "sts-unpublished"
	STSMultiple     Word = "sts-multiple"
	STSSyntax       Word = "sts-syntax"
	STSID           Word = "sts-id"
	STSHost         Word = "sts-host-missing"
	STSNoPolicy     Word = "sts-no-policy"
	STSUnreachable  Word = "sts-unreachable"
	STSCertificate  Word = "sts-certificate"
	STSPolicySyntax Word = "sts-policy-syntax"
	STSPolicyOther  Word = "sts-policy-other"
	STSMX           Word = "sts-mx"
	STSTesting      Word = Word(reason.STSTesting)
	STSNone         Word = Word(reason.STSNone)
	STSShort        Word = "sts-short"
	STSOrphan       Word = "sts-orphan"
	CAAForbids      Word = "caa-forbids"
	CAAAccount      Word = "caa-account"
	CAAMethod       Word = "caa-method"
	CAACritical     Word = "caa-critical"
	CAAMissing      Word = "caa-missing"
	SRVMissing      Word = "srv-missing"
	SRVOther        Word = "srv-other"
	SRVUnserved     Word = "srv-unserved"
	SetupMissing    Word = "autoconfig-missing"
	SetupOther      Word = "autoconfig-other"
)

// Words are all words with what they mean: the level of their findings, cause and cure.
func Words() map[Word][3]string {
	out := map[Word][3]string{}
	for w, e := range words() {
		out[w] = [3]string{string(e.level), e.cause, e.cure}
	}
	return out
}

const asShown = "publish the record as it stands beside it; \"waxwing dns records\" prints all of them"

func words() map[Word]entry {
	out := map[Word]entry{
		Well:         {OK, "", ""},
		NotLooked:    {Unknown, "the check did not come so far within its time", "repeat it; if it stays, look at the resolver"},
		LookupFailed: {Unknown, "the lookup got no answer, so that nobody can say what stands there; senders meet the same", "repeat it; if it stays, check the zone's name servers, all of them, and the resolver"},
		Bogus:        {Fault, "DNSSEC validation fails: to everybody who validates, the name is not there, and mail waits", "repair the zone's signatures: have the zone signed anew, and compare the DS record at the parent with the zone's keys"},
		NoDNSSEC:     {Unknown, "the resolver is not trusted, so that it cannot be seen whether DNSSEC secures anything", "use a validating resolver on this machine, or set resolver.trusted; \"waxwing dns selftest\" tests it"},
	}
	for _, group := range []map[Word]entry{hostWords(), serviceWords(), tlsaWords(), senderWords(), keyWords(), dmarcWords(), reportWords(), policyWords(), otherWords()} {
		for w, e := range group {
			out[w] = e
		}
	}
	return out
}

func hostWords() map[Word]entry {
	return map[Word]entry{
		NoDomain:       {Fault, "the domain does not exist in DNS: nobody can write to it, and mail from it is refused", "register it, or have its name servers serve the zone"},
		NSFew:          {Advice, "the domain's zone has one name server: when it is away, nobody can find the domain", "have a second name server serve the zone, in another network"},
		NSNoIPv6:       {Advice, "fewer than two of the zone's name servers have an IPv6 address: resolvers with IPv6 only have no second one", "have two name servers given AAAA records"},
		ZoneInsecure:   {Advice, "DNSSEC does not secure the domain's zone: whoever can forge answers can name other mail hosts, and DANE does not apply", "have the zone signed, and its DS record put into the parent zone by the registrar"},
		MXMissing:      {Fault, "the domain has no MX record: senders fall back to the address of the domain itself, and many do not write at all", asShown},
		MXOther:        {Fault, "the MX records lead to other hosts and not to this one: its mail goes there", asShown},
		MXForeign:      {Advice, "a further MX record names a host that is not this one: mail goes there as well, and it must be as secure", "take the record out of the zone unless that host is meant to take mail"},
		MXUnusable:     {Fault, "an MX record names no host that could be looked up: an address, or no name at all", "write a host name into it: an MX record holds no IP address (RFC 5321 §5.1)"},
		NullMX:         {Fault, "the domain says that it takes no mail (null MX, RFC 7505), yet it is hosted here", asShown},
		NullMXMixed:    {Fault, "a null MX stands beside other MX records, which is contradictory (RFC 7505 §3): some senders write, others do not", "remove the MX record whose host is a single dot"},
		MXAlias:        {Fault, "the MX record names an alias (CNAME), which RFC 2181 §10.3 forbids: some senders refuse it, and DANE and MTA-STS look at other names", "name the host itself, or give the name addresses in place of the CNAME"},
		NoAddress:      {Fault, "the mail host has no address: nobody can connect to it", "publish A and AAAA records of it"},
		AddressOther:   {Fault, "none of the host's addresses in DNS is one of this machine's: mail goes to another machine", "publish the addresses of this machine; where it stands behind a translated address, this is not found where all its own addresses are private"},
		AddressMissing: {Advice, "an address of this machine does not stand in DNS: mail that leaves from it does not match its name", asShown},
		AddressExtra:   {Advice, "the host's name leads also to an address that this machine does not have", "take it out of the zone unless another machine takes mail under the same name"},
		AddressPrivate: {Fault, "a private or reserved address stands in public DNS: nobody outside can reach it", "publish the address under which the world reaches the machine"},
		NoIPv6:         {Advice, "the host has no IPv6 address: senders with IPv6 only cannot write", "have the machine given an IPv6 address, and publish it as AAAA with a PTR record"},
		HostInsecure:   {Advice, "DNSSEC does not secure the mail host's zone: TLSA records there count for nothing", "have the host's zone signed, and its DS record put into the parent zone; then publish TLSA records"},
		PTRMissing:     {Fault, "an address that mail leaves from has no name (PTR record): many receivers refuse its mail", "have the PTR record set by whoever gave you the address"},
		PTROther:       {Fault, "the address has a name that does not lead back to it: many receivers refuse its mail", "have the PTR record name the host, and publish the host's address"},
		PTRName:        {Advice, "the address has another name than the one that this server greets with: some receivers count that against the mail", "have the PTR record name the host"},
	}
}

func serviceWords() map[Word]entry {
	return map[Word]entry{
		Unreachable:   {Fault, "nothing answers at port 25 of an address that DNS gives: senders that choose it wait and try another", "have the server listen there, and open port 25 in firewalls; or take the address out of DNS. From inside a network with translated addresses this may be seen here alone"},
		SMTPRefused:   {Fault, "the host answers, and not as a mail server that takes mail", "see what it says, and the log of that host"},
		SMTPName:      {Advice, "what answers at the address calls itself by another name", "see that it is the right machine, and that no other server or firewall stands before it"},
		NoStartTLS:    {Fault, "the host offers no STARTTLS: mail comes in plaintext, and with DANE or MTA-STS not at all", "give the server a certificate ([tls]); if it has one, look for a firewall that takes STARTTLS out of the answer"},
		TLSFailed:     {Fault, "TLS does not come about: careful senders do not deliver, others send in plaintext", "look at the server's log for that connection"},
		CertExpired:   {Fault, "the certificate has expired: senders that check it (MTA-STS) do not deliver", "have it renewed; if it was, see that this address serves the new one"},
		CertNotYet:    {Fault, "the certificate is not valid yet", "see that the clocks of this machine and of the authority agree"},
		CertName:      {Fault, "the certificate is not for the name of the host: senders that check it (MTA-STS) do not deliver", "have one issued for the host's name, and see that this address serves it"},
		CertUntrusted: {Fault, "no authority that is trusted everywhere vouches for the certificate: senders that check it (MTA-STS) do not deliver", "have it issued by a public authority (ACME), and serve the intermediate certificates with it"},
		CertPrivate:   {Advice, "no public authority vouches for the certificate. DANE does without one; senders that know only MTA-STS cannot check it", "have it issued by a public authority (ACME) before an MTA-STS policy is published"},
		CertExpires:   {Advice, "the certificate ends soon, and should have been renewed by now", "see why its renewal fails"},
	}
}

func tlsaWords() map[Word]entry {
	return map[Word]entry{
		TLSAMissing:    {Advice, "the host's zone is signed, and has no TLSA records: DANE could protect its mail and does not", asShown},
		TLSAMismatch:   {Fault, "what the host presents matches none of its TLSA records: senders that know DANE do not deliver", "publish the record of the key in use at once. Next time publish the next key's record first, and change the key when caches have it"},
		TLSAKeyMissing: {Fault, "a key that this server uses has no TLSA record: senders to whom it is shown do not deliver", asShown},
		TLSANext:       {Advice, "the next key has no TLSA record yet: it cannot take over before DNS has shown it for a while", asShown},
		TLSAStale:      {Advice, "a TLSA record is of a key that is none of this server's: whoever has that key can pass for the host", "remove the record, unless another machine serves under the same name"},
		TLSAUnusable:   {Fault, "no TLSA record can be used for SMTP (RFC 7672 §3.1): senders require TLS and can verify nothing", asShown},
		TLSASome:       {Advice, "a TLSA record cannot be used for SMTP (RFC 7672 §3.1)", "remove it: records are of usage 3 (or 2), such as 3 1 1, with a digest of the right length"},
		TLSAInsecure:   {Advice, "there are TLSA records, and DNSSEC does not secure them: they count for nothing", "have the host's zone signed, and its DS record put into the parent zone"},
		TLSALookup:     {Fault, "the host's addresses are secured by DNSSEC, and the lookup of its TLSA records fails: senders that know DANE do not deliver (RFC 7672 §2.1.2)", "see that all name servers of the zone answer questions for TLSA, and that no firewall drops them"},
	}
}

func senderWords() map[Word]entry {
	return map[Word]entry{
		SPFMissing:   {Fault, "there is no SPF record: anybody may send in the domain's name, and many receivers refuse its mail", asShown},
		SPFMultiple:  {Fault, "there are several SPF records: receivers take that for an error (RFC 7208 §4.5), and SPF passes for nobody", "merge them into one record"},
		SPFSyntax:    {Fault, "the SPF record is malformed: receivers take that for an error, and SPF passes for nobody", "correct it, or publish the record as it stands beside it"},
		SPFLookups:   {Fault, "the SPF record asks for more lookups than receivers make (ten, and two without an answer, RFC 7208 §4.6.4): SPF passes for nobody", "replace include: and a by the addresses that they stand for, and remove those that nobody uses"},
		SPFAddress:   {Fault, "SPF does not allow an address that the domain's mail leaves from: receivers refuse it or put it aside", "add the address to the SPF record: ip4: or ip6: and the address"},
		SPFTemporary: {Unknown, "SPF could not be evaluated, since a lookup failed; receivers meet the same", "repeat it; if it stays, check the name servers of the names in the record"},
		SPFOpen:      {Fault, "the SPF record lets everybody send in the domain's name (+all)", "end it in -all"},
		SPFNoAll:     {Advice, "the SPF record does not say what of all others: whoever forges the domain's mail is not refused", "end it in -all, or in ~all while you look for senders that it lacks"},
		SPFPTR:       {Advice, "the SPF record uses ptr, which RFC 7208 §5.5 asks not to be used: it is slow, and many receivers do not evaluate it", "name addresses or hosts instead"},
		SPFSmarthost: {Unknown, "mail may leave by a relay, and from which addresses it sends is not known here: whether SPF allows them cannot be checked", "see that the SPF record includes what the relay's operator asks for"},
		SPFNoSource:  {Unknown, "no address that mail leaves from is known, so that SPF cannot be checked", "publish the host's addresses"},
		HostSPF:      {Advice, "the host's own name has no SPF record: bounces and reports, which come from it, pass no check of SPF", asShown},
	}
}

func keyWords() map[Word]entry {
	return map[Word]entry{
		NoDKIM:       {Fault, "the domain has no DKIM key here: its mail goes out unsigned, and many receivers refuse it", "\"waxwing dkim add\" makes a key and prints its record"},
		DKIMMissing:  {Fault, "a key signs, and DNS does not have its record: receivers cannot check the signatures", asShown},
		DKIMWaiting:  {Advice, "a key waits for its record, and does not sign until DNS shows it", asShown},
		DKIMOther:    {Fault, "the record is of another key: every signature fails", asShown},
		DKIMSplit:    {Fault, "the record's text was split wrongly: it lacks a part, or has blanks or quotes where none belong", "publish it as one TXT record, of several strings of up to 255 octets; \"waxwing dns records --zone\" prints it so"},
		DKIMMultiple: {Fault, "several TXT records stand at the key's name, and receivers take any of them (RFC 6376 §3.6.2.2)", "remove all but one"},
		DKIMRevoked:  {Fault, "the record says that the key is revoked (an empty p=)", asShown},
		DKIMTesting:  {Advice, "the record says that the domain only tests DKIM (t=y): receivers may treat its mail as unsigned", "take t=y out of the record"},
		DKIMFaulty:   {Fault, "the record cannot be used for what the key signs", asShown},
	}
}

func dmarcWords() map[Word]entry {
	return map[Word]entry{
		DMARCMissing: {Fault, "there is no DMARC record: receivers do not know what to do with forged mail, and the large ones demand a record of everybody", asShown},
		DMARCMult:    {Fault, "there are several DMARC records, so that none counts (RFC 9989 §4.10)", "remove all but one"},
		DMARCSyntax:  {Fault, "the DMARC record cannot be used, so that none applies", asShown},
		DMARCFaults:  {Advice, "parts of the DMARC record are faulty, and receivers pass them over", "correct or remove them"},
		DMARCNone:    {Advice, "DMARC asks for nothing to be done with forged mail (p=none)", "once its reports show that your own mail passes, publish p=quarantine, then p=reject"},
		DMARCTesting: {Advice, "DMARC is in test mode (t=y): receivers do less than the policy says", "take t=y out of the record once its reports show that your own mail passes"},
		DMARCSilent:  {Advice, "the DMARC record names nobody who gets reports: you will not hear of mail that fails", "add rua=mailto: and an address"},
		DMARCConsent: {Fault, "reports go to an address in another domain that has not agreed to take them: nobody sends them (RFC 9990 §4)", "publish the record in that domain's zone, or name an address of your own"},
		Mailbox:      {Fault, "reports go to an address of this server that nobody has: they bounce", "\"waxwing address add\" makes it, or name another address in the record"},
	}
}

func reportWords() map[Word]entry {
	return map[Word]entry{
		TLSRPTMissing:  {Advice, "there is no TLSRPT record: nobody tells you when TLS to your hosts fails", asShown},
		TLSRPTMultiple: {Fault, "there are several TLSRPT records, so that none counts (RFC 8460 §3)", "remove all but one"},
		TLSRPTSyntax:   {Fault, "the TLSRPT record is malformed, so that it does not count", asShown},
		TLSRPTFaulty:   {Fault, "a report address of the TLSRPT record cannot be used", "write it as mailto: and an address, or as an https address, with commas between several"},
		TLSRPTOther:    {Advice, "TLS reports do not come to this server, which would read them and tell you of failures", "add the address that stands beside it, with a comma between the two"},
		HostTLSRPT:     {Advice, "there is no TLSRPT record of the mail host: reports about DANE, which are made for the host's name, come to nobody", asShown},
	}
}

func policyWords() map[Word]entry {
	return map[Word]entry{
		STSMissing:      {Advice, "the domain has no MTA-STS: senders that do not know DANE cannot protect its mail", "\"waxwing mtasts publish\" makes a policy and prints its records"},
		STSUnpublished:  {Fault, "this server serves an MTA-STS policy, and no record tells of it: nobody asks for it", asShown},
		STSMultiple:     {Fault, "there are several MTA-STS records, so that none counts (RFC 8461 §3.1)", "remove all but one"},
		STSSyntax:       {Fault, "the MTA-STS record is malformed, so that it does not count", asShown},
		STSID:           {Fault, "the id of the MTA-STS record is not that of the policy which is served: senders keep the old policy until it runs out, and may not deliver to new hosts", asShown},
		STSHost:         {Fault, "there is an MTA-STS record, and the policy host has no address: senders cannot fetch the policy", asShown},
		STSNoPolicy:     {Fault, "there is an MTA-STS record, and no policy where it should be", "\"waxwing mtasts publish\" has this server serve one, on a listener of kind \"https\" at port 443"},
		STSUnreachable:  {Fault, "the MTA-STS policy cannot be fetched: senders that do not have it yet do without, others do not see its changes", "open its address in a browser: it must answer 200 with text/plain, without a redirect, to everybody"},
		STSCertificate:  {Fault, "the certificate of the policy host is not valid: senders do not take the policy", "have a certificate issued for the name of the policy host"},
		STSPolicySyntax: {Fault, "the MTA-STS policy is malformed: senders do not take it", "correct the line named, and give the record a new id"},
		STSPolicyOther:  {Fault, "the policy that is fetched is not the one that this server serves: another server answers, or something keeps an old copy", "see where the policy host's name leads, and what stands before this server"},
		STSMX:           {Fault, "the MTA-STS policy does not list a host that MX records name: senders do not deliver there", "add the host to the policy and give the record a new id (\"waxwing mtasts publish\" does both), or remove the MX record"},
		STSTesting:      {Advice, "the MTA-STS policy is in mode testing: failures are reported and stop nothing", "once TLS reports show no failures, publish it with --mode enforce"},
		STSNone:         {Advice, "the MTA-STS policy is in mode none: it asks for nothing", "publish it with --mode testing, then enforce; or remove it where its old lifetime has passed"},
		STSShort:        {Advice, "the MTA-STS policy is kept for less than a week: it protects hardly anybody who writes seldom", "publish it with a longer --max-age"},
		STSOrphan:       {Advice, "there is an MTA-STS record, and this server serves no policy for the domain: another one answers", "see that whoever serves the policy keeps it in step with the MX records"},
	}
}

func otherWords() map[Word]entry {
	return map[Word]entry{
		CAAForbids:  {Fault, "CAA records forbid the authority that this server asks for certificates: the next renewal will fail", "add the record that stands beside it, or change the authority"},
		CAAAccount:  {Fault, "CAA allows the authority for another account only: the next renewal will fail", "put this server's account into accounturi="},
		CAAMethod:   {Fault, "CAA allows the authority, and not the way of validation that this server uses: the next renewal will fail", "add the method to validationmethods="},
		CAACritical: {Fault, "a CAA record that is marked critical has a tag that authorities do not know: they must not issue (RFC 8659 §4.1)", "remove the record, or its mark"},
		CAAMissing:  {Advice, "no CAA record says who may issue certificates: any authority may", asShown},
		SRVMissing:  {Advice, "mail programs do not find this service by themselves", asShown},
		SRVOther:    {Fault, "mail programs are sent to another host or port", asShown},
		SRVUnserved: {Advice, "mail programs are sent to a service that this server does not offer", "replace the record by the one beside it, which says that there is no such service, unless another server offers it"},

		SetupMissing: {Advice, "mail programs do not find their settings under this name, and ask people for servers and ports", asShown},
		SetupOther:   {Advice, "mail programs ask another machine for their settings", "publish the record as it stands beside it, unless that machine gives the right settings"},
	}
}

// bogus reports an error of DNSSEC.
func bogus(err error) bool {
	var e *dns.Error
	return errors.As(err, &e) && e.Security == dns.Bogus
}
