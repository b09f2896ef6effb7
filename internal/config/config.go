package config

import (
	"net/netip"
	"time"

	"waxwing/dns"
)

// Config is the whole of waxwing.toml.
type Config struct {
	Hostname dns.Name `toml:"hostname" required:"true" example:"mx.example.org" doc:"The name of this server: in the SMTP greeting and EHLO, in Received fields and Message-IDs, and in the MX records that point here. Its address records must lead to this machine."`
	DataDir  string   `toml:"data_dir" example:"/var/lib/waxwing" doc:"Directory for the store, keys and the control socket. This and other relative paths count from the directory of this file."`
	Postgres string   `toml:"postgres" secret:"true" example:"postgres://waxwing@db.example.org/waxwing" doc:"Address of a PostgreSQL database that replaces the embedded store, so that several machines can share it. Empty: the embedded store in data_dir."`
	Listen   []Listen `toml:"listen" doc:"One table for each address the server listens on."`
	TLS      TLS      `toml:"tls" doc:"The certificate shown to clients, and the certificate authorities trusted when we are the client."`
	ACME     ACME     `toml:"acme" doc:"Certificates from an authority by ACME (RFC 8555), for keys of the host that are made beforehand, so that their TLSA records can be in DNS before there is a certificate. They are renewed in time; see docs/operating/certificates.md."`
	DNS      DNS      `toml:"dns" doc:"What of the zones is left to Waxwing."`
	Resolver Resolver `toml:"resolver" doc:"Where DNS answers come from. Waxwing validates DNSSEC itself over resolvers that pass its records; else DANE works only over a validating resolver that is trusted."`
	Delivery Delivery `toml:"delivery" doc:"How mail leaves this server."`
	TLSRPT   TLSRPT   `toml:"tlsrpt" doc:"SMTP TLS reporting (RFC 8460)."`
	DMARC    DMARC    `toml:"dmarc" doc:"DMARC reports (RFC 9990), both ways."`
	Incoming Incoming `toml:"incoming" doc:"What is found out about mail from other servers, and what follows (docs/incoming-decisions.md)."`
	Junk     Junk     `toml:"junk" doc:"Which mail goes into Junk, for each account by what it has had to do with the sender and by what it throws away; docs/junk-decisions.md shows how. It needs incoming.verify."`
	// ReportAddresses are those of single domains (RPT-21).
	ReportAddresses []ReportAddress `toml:"report_address" doc:"Report addresses of single domains, in place of those of [tlsrpt] and [dmarc]: a table for each domain and sort of reports."`
	Milters         []Milter        `toml:"milter" doc:"One table for each milter, in the order in which they are asked, about each message before it is taken; docs/operating/milters.md tells what they can do. Each sees the message as those before it have left it."`
	IMAP            IMAPServer      `toml:"imap" doc:"The IMAP server, on listeners of kind imap and imaps; see docs/operating/imap.md."`
	Mail            Mail            `toml:"mail" doc:"What accounts keep in their mailboxes, and for how long."`
	Limits          Limits          `toml:"limits" doc:"Bounds on what one client or one message may use."`
	Sendmail        Sendmail        `toml:"sendmail" doc:"Mail from programs on this machine, handed in by \"waxwing sendmail\" without a password."`
	JMAP            JMAP            `toml:"jmap" doc:"Mail by JMAP, on listeners of kind https; see docs/operating/jmap.md."`
	API             API             `toml:"api" doc:"An HTTP API for programs, on listeners of kind https; see docs/operating/api.md."`
	Companion       Companion       `toml:"companion" doc:"What Waxwing does for a Postfix beside it: it counts and reports its TLS sessions, and says which TLS policies apply. With this table no [[listen]] is needed."`
	Log             Log             `toml:"log" doc:"What is logged, and how. Logs go to standard error."`

	ExposedSecrets ExposedSecrets `toml:"exposed_secrets" oneof:"refuse warn" doc:"What happens where everybody on the machine can read a secret (this file with a password in it, a private key, the store): \"refuse\" to start, or \"warn\" in the log. \"warn\" is for file systems without permissions, and for containers whose secrets are mounted for everybody and where nobody else is."`

	Landlock Landlock `toml:"landlock" oneof:"auto off" doc:"Whether the kernel is told to keep the server away from all files but its own: data_dir, the directories of this file, of sockets and of certificates, and what the system shares (/etc, /usr/share). \"auto\": where it can (Linux 5.13 and later), and unless companion.report_relay is a program, which would be kept away with it. A file in another directory that a changed configuration names needs a restart."`

	name   string           // of the file
	places map[string]place // of the keys in it
}

// ExposedSecrets is what is done about secrets that everybody can read.
type ExposedSecrets string

// The values of ExposedSecrets.
const (
	ExposedRefuse ExposedSecrets = "refuse"
	ExposedWarn   ExposedSecrets = "warn"
)

// Landlock is whether the server is kept away from files that are not its own (OPS-2).
type Landlock string

// The values of Landlock.
const (
	LandlockAuto Landlock = "auto"
	LandlockOff  Landlock = "off"
)

// Off is a switch that is on unless the file says false: it is written the other way round.
type Off bool

// Kind is what a listener speaks.
type Kind string

// The kinds.
const (
	MX          Kind = "mx"
	Submission  Kind = "submission"
	Submissions Kind = "submissions"
	HTTP        Kind = "http"
	HTTPS       Kind = "https"
	Metrics     Kind = "metrics"
	LMTP        Kind = "lmtp"
	IMAP        Kind = "imap"
	IMAPS       Kind = "imaps"
	ManageSieve Kind = "managesieve"
	Admin       Kind = "admin"
)

// Listen is one listener.
type Listen struct {
	Address        netip.AddrPort `toml:"address" required:"unless socket" example:"[::]:25" doc:"IP address and port; needed but where there is a socket. \"0.0.0.0\" is every IPv4 address and no IPv6 one; \"[::]\", or the port alone as in \":25\", every address of both families."`
	Kind           Kind           `toml:"kind" required:"true" oneof:"mx submission submissions imap imaps managesieve http https metrics lmtp admin" example:"mx" doc:"What is spoken there: \"mx\" (mail from other servers, port 25), \"submission\" (mail from users, STARTTLS, port 587), \"submissions\" (the same with TLS from the start, port 465), \"imap\" (mail programs that read mailboxes, STARTTLS, port 143), \"imaps\" (the same with TLS from the start, port 993), \"managesieve\" (programs that edit the scripts which sort mail, STARTTLS, port 4190), \"https\" (TLS reports that others post to /tlsrpt, the MTA-STS policies of hosted domains, and settings for mail programs, port 443), \"metrics\" (Prometheus, without TLS: use a loopback address), \"lmtp\" (RFC 2033: a program of yours hands over mail for mailboxes here, which it has checked itself; a loopback or private address, and not port 25), \"admin\" (the pages of those who run the server, without TLS: a loopback address)."`
	Socket         string         `toml:"socket" example:"/run/waxwing/lmtp.sock" doc:"Path of a unix socket in place of address, for kind lmtp. Empty: none."`
	SocketMode     string         `toml:"socket_mode" example:"0660" doc:"Mode of the socket, as chmod writes it: who may write to it can hand in mail. Empty: 0660."`
	SocketOwner    string         `toml:"socket_owner" example:":postfix" doc:"Whose the socket is: user, user:group or :group, by name or number. To another user only root can give it, to a group who is a member of it. Empty: who runs the server."`
	MaxConnections int            `toml:"max_connections" min:"0" max:"1000000" example:"1000" doc:"Connections at one time on this listener; more are answered 421. 0: the value in [limits]."`
	MaxMessageSize Size           `toml:"max_message_size" example:"50MiB" doc:"Largest message accepted on this listener. 0: the value in [limits]."`
	NoRequireTLS   Off            `toml:"requiretls" doc:"Offer REQUIRETLS (RFC 8689) over TLS. With false it is not offered, and MAIL with it is answered 555; a header field TLS-Required: No counts all the same."`
	SessionTickets bool           `toml:"session_tickets" doc:"Let other mail servers resume TLS sessions on this listener, of kind mx. Some large senders stumble over that: leave it off unless handshakes cost you too much. Listeners of other kinds always do."`
	CertFile       string         `toml:"cert_file" doc:"PEM file with a certificate for this listener alone, and the intermediates; read again when it changes. Empty: that of [tls] or [acme]."`
	KeyFile        string         `toml:"key_file" doc:"PEM file with the private key of cert_file."`
	ProxyFrom      []netip.Prefix `toml:"proxy_from" example:"[\"10.0.0.0/8\"]" doc:"Addresses of load balancers that say with the PROXY protocol (version 1 or 2) who has connected to them: limits, logs and Received fields then tell of that client. From these addresses a connection without the header is closed, from all others one with it. Empty: none."`
	ClientCA       string         `toml:"client_ca" doc:"PEM file with certificate authorities of your own. A client that shows a certificate of theirs on a listener for submission or IMAP may log in with it (AUTH EXTERNAL), as the account that has an address of its subjectAltName. They can let anybody in: name none that certify strangers. Read at start. Empty: none."`
	ClientCerts    []string       `toml:"client_certs" example:"[\"joe@example.org sha256:5f1c…\"]" doc:"Single client certificates that log in the same way, whoever signed them: an address of the account, a space, and \"sha256:\" with the fingerprint (\"openssl x509 -noout -fingerprint -sha256\")."`
}

// Where is what it listens on, for people.
func (l Listen) Where() string {
	if l.Socket != "" {
		return l.Socket
	}
	return l.Address.String()
}

// Incoming is what is found out about mail from other servers.
type Incoming struct {
	Verify      bool       `toml:"verify" doc:"Find out who sent a message (SPF, DKIM, DMARC, ARC), write it into the message (Authentication-Results), and do as the DMARC policy of the domain in From asks: mail that fails it is refused or put into Junk."`
	ReceivedSPF bool       `toml:"received_spf" doc:"Write a Received-SPF field for each identity that SPF was checked for (RFC 7208 §9.1), for programs that read it in place of Authentication-Results."`
	Forwarders  []dns.Name `toml:"trusted_forwarders" example:"[\"lists.example.net\"]" doc:"Mailing lists and forwarders that you trust: a message that fails DMARC is taken all the same if one of these domains, or one below it, vouches for it by a DKIM signature or as the envelope sender for which SPF passes. \"waxwing mail show --why\" and DMARC reports tell that it was."`
	BackupFor   []dns.Name `toml:"backup_for" example:"[\"example.net\"]" doc:"Domains of others for which this server is a backup MX: their mail is queued, and passed on to those of the domain's MX hosts that it prefers to this one, by direct delivery whatever the routes say. Each name is one domain, without those below it. The MX records must name this server, behind the others."`
}

// TLS is certificates.
type TLS struct {
	CertFile  string `toml:"cert_file" example:"/etc/waxwing/mx.example.org.crt" doc:"PEM file with the certificate and the intermediates. It is read again when it changes. With [acme] beside it, the host shows this one, and only other names get theirs from the authority."`
	KeyFile   string `toml:"key_file" example:"/etc/waxwing/mx.example.org.key" doc:"PEM file with the private key of cert_file."`
	LocalCA   bool   `toml:"local_ca" doc:"Use the certificate and the certificate authority that \"waxwing quickstart --local\" made in the directory tls under data_dir. For trying out; cert_file and key_file stay empty."`
	HostKeys  bool   `toml:"host_keys" doc:"Use the keys of the host in the directory keys under data_dir, as with [acme], also without an authority: each vouches for itself. That is enough for DANE, and for mail servers that check nothing; not for mail programs."`
	RootsFile string `toml:"roots_file" doc:"PEM file with the certificate authorities trusted when sending mail and fetching MTA-STS policies. Empty: those of the system (and with local_ca, the local one)."`
}

// ACME is an authority.
type ACME struct {
	Directory  string        `toml:"directory" example:"https://acme-v02.api.letsencrypt.org/directory" doc:"Address of the authority's directory. Empty: no certificates are asked for."`
	AgreeTerms bool          `toml:"agree_terms" doc:"You have read the authority's terms of service and agree to them."`
	Email      string        `toml:"email" example:"postmaster@example.org" doc:"Where the authority can reach you. Many authorities make no use of it. Empty: nowhere."`
	RootsFile  string        `toml:"roots_file" doc:"PEM file with the certificate authorities by which the directory itself is trusted, for an authority of your own or for tests. Empty: those of the system."`
	Profile    string        `toml:"profile" example:"shortlived" doc:"Kind of certificate, by the authority's name for it. Empty: its default."`
	Challenges []string      `toml:"challenges" oneof:"tls-alpn-01 http-01 dns-01 dns-persist-01" example:"[\"dns-01\"]" doc:"How the authority may see that a name is ours: \"tls-alpn-01\" (a listener of kind https on port 443), \"http-01\" (one of kind http on port 80), \"dns-01\" (a record, written as [dns.update] says), \"dns-persist-01\" (a record that you publish once). Empty: those of the first three for which the configuration has what they need."`
	Names      []dns.Name    `toml:"names" example:"[\"imap.example.org\"]" doc:"Names beside hostname that get a certificate each. The mta-sts names of hosted domains that publish a policy get one anyway, and their names autoconfig and autodiscover once these lead here."`
	EABKeyID   string        `toml:"external_account_id" doc:"Key identifier of an external account, where the authority demands one."`
	EABKey     string        `toml:"external_account_key" secret:"true" doc:"MAC key of the external account, as the authority gives it (base64url)."`
	RollAfter  time.Duration `toml:"roll_after" max:"87600h" example:"365d" doc:"Age of a host key at which the next one takes over, once its TLSA record is known everywhere. \"0s\": only when \"waxwing cert roll\" asks for it."`
}

// DNS is what of the zones is left to Waxwing.
type DNS struct {
	Update DNSUpdate `toml:"update" doc:"How records are written (CRT-5): by dynamic update (RFC 2136) or by a program of yours. Used for dns-01 of [acme], by \"waxwing dns apply\", and with publish = true by the server itself."`
}

// DNSUpdate is how records are written.
type DNSUpdate struct {
	Server    string        `toml:"server" example:"192.0.2.53:53" doc:"Address and port of the primary server that takes dynamic updates. Empty: none."`
	KeyName   string        `toml:"key_name" example:"waxwing" doc:"Name of the TSIG key. Empty: updates are not signed."`
	Algorithm string        `toml:"key_algorithm" oneof:"hmac-sha256 hmac-sha384 hmac-sha512" doc:"Algorithm of the TSIG key."`
	Secret    string        `toml:"key_secret" secret:"true" example:"c2VjcmV0IG9mIHRoZSBrZXk=" doc:"Secret of the TSIG key, in base64."`
	Command   []string      `toml:"command" example:"[\"/usr/local/bin/my-provider\"]" doc:"Program, with its arguments, that writes records instead of server. It reads what is wanted as JSON on standard input, and exits with 0 when all is done (docs/operating/dns.md says how)."`
	Zones     []dns.Name    `toml:"zones" required:"yes" example:"[\"example.org\"]" doc:"The zones that may be written to. No other one ever is."`
	RollDKIM  time.Duration `toml:"dkim_roll_after" max:"87600h" doc:"Age of a DKIM key at which the next one is made by itself, which signs once every server of the zone has shown its record for long enough; only for domains whose records publish keeps. \"0s\": only when \"waxwing dkim rollover\" asks for it."`
	Publish   bool          `toml:"publish" doc:"Keep the records of this host and its hosted domains published: at start, when something changes, and regularly. Only records that Waxwing has made, or was told to take over, are ever changed or removed. Without it, \"waxwing dns apply\" does so when it is called."`
}

// On: there is a way to write records.
func (u DNSUpdate) On() bool { return u.Server != "" || len(u.Command) > 0 }

// DNSSEC is who proves answers (VAL-2).
type DNSSEC string

// The values of resolver.dnssec.
const (
	DNSSECAuto     DNSSEC = "auto"
	DNSSECValidate DNSSEC = "validate"
	DNSSECTrust    DNSSEC = "trust"
	DNSSECOff      DNSSEC = "off"
)

// Resolver is the DNS.
type Resolver struct {
	Servers    []string            `toml:"servers" doc:"Addresses of recursive resolvers, asked in order, each with a port if it is not 53. With tls:// before it, a resolver is asked over TLS (port 853): its certificate must be for its address, or for the name after a #, as in \"tls://9.9.9.9#dns.quad9.net\", or its key have the SHA-256 after #sha256/. Or the one word \"system\" for those in /etc/resolv.conf."`
	Trusted    bool                `toml:"trusted" doc:"Believe what these resolvers say of DNSSEC (the AD bit). Only where nobody can tamper with the path to them. Without it, resolvers on loopback addresses are believed, and with \"system\" those that /etc/resolv.conf marks trust-ad."`
	DNSSEC     DNSSEC              `toml:"dnssec" oneof:"auto validate trust off" doc:"Who proves answers by DNSSEC: \"validate\" (Waxwing itself, over any resolver that passes DNSSEC records), \"trust\" (the resolvers, as trusted says), \"off\" (nobody, and so no DANE), \"auto\" (\"validate\" where selftest.signed shows that the resolvers pass DNSSEC records, else \"trust\"; looked at again every ten minutes)."`
	Anchors    string              `toml:"trust_anchors" example:"root.key" doc:"File of trust anchors, DS or DNSKEY records as in a zone file, in place of those of the DNS root that are built in."`
	Negative   map[dns.Name]string `toml:"negative_trust_anchors" example:"{ \"broken.example\" = \"2027-01-31\" }" doc:"Domains whose DNSSEC is broken and whose answers are taken as unsigned up to a date (RFC 7646), with all below them."`
	Iterations int                 `toml:"nsec3_iterations" min:"1" max:"150" doc:"Iterations of NSEC3 hashes beyond which a zone counts as unsigned (RFC 9276): each costs this machine time for every name that such a zone denies. Own validation only."`
	Timeout    time.Duration       `toml:"timeout" min:"100ms" max:"1m" doc:"How long to wait for one answer before the next server is asked."`
	Selftest   SelfTest            `toml:"selftest" doc:"Names looked up at start to see whether the resolver validates DNSSEC. Empty names switch a check off."`
}

// SelfTest is the names of the DNSSEC self-test (DNS-6).
type SelfTest struct {
	Signed dns.Name `toml:"signed" doc:"A name with valid signatures: the answer must have the AD bit."`
	Bogus  dns.Name `toml:"bogus" doc:"A name with broken signatures: the answer must be SERVFAIL."`
	Large  dns.Name `toml:"large" doc:"A name with an answer too large for UDP: TCP must work."`
}

// Delivery is how mail leaves.
type Delivery struct {
	EHLO                 dns.Name             `toml:"ehlo" example:"out.example.org" doc:"Name we greet other servers with. Empty: hostname."`
	AllowPrivate         bool                 `toml:"allow_private" doc:"Deliver also to loopback, private and link-local addresses. For the inside of a network and for trying out; on the internet it lets strangers' DNS records point at your own machines."`
	Plaintext            Plaintext            `toml:"plaintext" oneof:"allow forbid" doc:"Whether mail may go unencrypted to servers that offer no TLS and have published nothing that demands it."`
	Minimum              map[dns.Name]Minimum `toml:"minimum" oneof:"any tls verified dane" example:"{ \"partner.example\" = \"verified\" }" doc:"Least security accepted per recipient domain, whatever it publishes: \"tls\" (encrypted), \"verified\" (the server's certificate checked by DANE or MTA-STS), \"dane\". Mail waits, and bounces at the end, rather than going with less."`
	Exceptions           []Exception          `toml:"exceptions" doc:"What is set aside of one recipient domain's transport security, while its owner mends it. The domain's mail then goes with less than it has published: give a reason and an end. Mail whose sender demands verified TLS (REQUIRETLS) is returned where only what is set aside vouched for the host. What is set aside is shown by \"waxwing explain\", logged and counted each time it is used; from a week before its end on it is logged daily, and the postmaster and the webhook of tlsrpt are told once."`
	MaxHosts             int                  `toml:"max_hosts" min:"1" max:"100" doc:"How many MX hosts of a domain are tried in one attempt."`
	Concurrency          int                  `toml:"concurrency" min:"1" max:"10000" doc:"Deliveries at one time, all destinations together. A quarter is kept for destinations that answer; one account may have three quarters, and one quarter for destinations that do not; one address of which nothing is known may have an eighth."`
	ConcurrencyPerDomain int                  `toml:"concurrency_per_domain" min:"1" max:"1000" doc:"Deliveries at one time to one recipient domain."`
	KeepIdle             time.Duration        `toml:"keep_idle" min:"100ms" max:"5m" doc:"How long a connection is kept open after a message, for another one to the same host."`
	KeepMessages         int                  `toml:"keep_messages" min:"1" max:"10000" doc:"Messages over one connection before it is ended. 1: none is kept."`
	KeepConnections      int                  `toml:"keep_connections" min:"1" max:"10000" doc:"Connections kept open unused at one time, to all hosts together; the oldest are ended first."`
	Retry                []time.Duration      `toml:"retry" min:"1s" max:"168h" doc:"Waits between the attempts; the last one repeats until expire."`
	Expire               time.Duration        `toml:"expire" min:"1m" max:"720h" doc:"How long after its acceptance a message that could not be delivered is returned to its sender (RFC 5321 §4.5.4 advises 4 to 5 days)."`
	DelayNotice          time.Duration        `toml:"delay_notice" max:"720h" doc:"When the sender is told, once, that a message is still waiting. \"0s\": never."`
	History              time.Duration        `toml:"history" max:"8760h" doc:"How long delivered and failed messages stay in the queue's history, with all attempts, replies and TLS facts, but without their text. \"0s\": not at all."`
	SuppressCodes        []string             `toml:"suppress_codes" example:"[\"5.1.1\", \"5.1.x\", \"550\"]" doc:"Replies after which an account sends no more mail to a recipient: enhanced codes, all of a subject (5.1.x), or basic codes for replies without an enhanced one. An empty list: none."`
	SuppressFor          time.Duration        `toml:"suppress_for" max:"87600h" doc:"How long such a recipient is not tried for that account. \"0s\": until it is taken off the list."`
	Port                 uint16               `toml:"port" min:"1" max:"65535" doc:"TCP port of other servers. Anything but 25 is for tests."`
}

// Plaintext is whether mail may go unencrypted.
type Plaintext string

// The values of Plaintext.
const (
	PlaintextAllow  Plaintext = "allow"
	PlaintextForbid Plaintext = "forbid"
)

// Exception is one of delivery.exceptions (STS-13).
type Exception struct {
	Domain dns.Name `toml:"domain" required:"yes" example:"partner.example" doc:"The recipient domain, as it stands in addresses. Subdomains are domains of their own."`
	MTASTS string   `toml:"mta_sts" oneof:"off tolerate" example:"tolerate" doc:"\"off\": MTA-STS is not asked. \"tolerate\": a lookup of the MTA-STS record that fails counts as none; without it the mail waits. A policy that is found holds."`
	DANE   string   `toml:"dane" oneof:"off" example:"off" doc:"\"off\": DANE is not asked."`
	Reason string   `toml:"reason" required:"yes" example:"their name servers drop TLSA questions, ticket 4711" doc:"Why, for whoever reads it in a year."`
	Until  string   `toml:"until" required:"yes" example:"2027-01-31" doc:"The last day (UTC) on which it holds. After it, it does nothing."`

	end time.Time
}

// End is the first moment at which the exception holds no more.
func (e Exception) End() time.Time { return e.end }

// Minimum is the least security for a recipient domain (POL-9): any, tls,
// verified or dane, the words of delivery.Minimum.
type Minimum string

// TLSRPT is SMTP TLS reporting.
type TLSRPT struct {
	Send           bool          `toml:"send" doc:"Record the TLS sessions of our deliveries and report them daily to the domains that ask for it."`
	ReportSuccess  ReportSuccess `toml:"report_success" oneof:"policy always never" doc:"Which days without any failure are reported: \"policy\" (where the domain has MTA-STS or DANE), \"always\", \"never\". Days with a failure always are."`
	From           string        `toml:"from" example:"tlsrpt@example.org" doc:"Address that reports come from. Its domain must be hostname or a domain above it; the nearest of these that is hosted here and has a DKIM key that signs is used. Empty: tls-reports there."`
	Address        string        `toml:"address" example:"tls-reports" doc:"Local part of the addresses that reports of others come to, at every hosted domain and at hostname; the records that \"waxwing dns records\" prints have it. After a change the former one is taken for 30 days more, and its records should be replaced by then."`
	Reader         string        `toml:"reader" example:"reports@example.org" doc:"Address here that gets what comes to report addresses and is no report, and with keep the reports too. Empty: the account that has the report address, else the postmaster."`
	ReaderMailbox  string        `toml:"reader_mailbox" example:"Reports" doc:"Mailbox, of whoever gets what is no report, that it goes into; it is made where there is none. Empty: INBOX. Their Sieve script may say otherwise."`
	Keep           bool          `toml:"keep" doc:"Deliver reports that are taken in as mail as well."`
	Exclude        []dns.Name    `toml:"exclude" example:"[\"partner.example\"]" doc:"Recipient domains whose sessions are neither recorded nor reported."`
	MaxPerOrg      int           `toml:"max_per_organization" min:"1" max:"1000000" doc:"Reports sent to one organisation (by the registrable domain of the report address) on a UTC day; the rest is left out, and \"waxwing tlsrpt outcomes\" says so."`
	Alerts         bool          `toml:"alerts" doc:"Mail the postmaster when others report the first TLS failures of a hosted domain that was without any for a week: at most one mail a day."`
	AlertWebhook   string        `toml:"alert_webhook" secret:"true" example:"https://chat.example.org/hook" doc:"Address that the same alerts are posted to as JSON, over HTTPS. Empty: none."`
	MaxPerReporter int           `toml:"max_received_per_reporter" min:"1" max:"1000000" doc:"Reports stored on a UTC day that one organisation has sent by mail about the domains of one organisation; a report counts once for each domain that it is about. What is beyond is delivered as ordinary mail, with a field that says why."`
	MaxReceived    int           `toml:"max_received" min:"1" max:"100000000" doc:"The same of all reports by mail together."`
	MaxOctets      Size          `toml:"max_received_size" min:"8MiB" max:"1024GiB" doc:"What all of them may hold together, packed, of which the reports of one organisation an eighth. It is kept for retention_days."`
	RetentionDays  int           `toml:"retention_days" min:"8" max:"3650" doc:"Days that reports received from others are kept; those posted by HTTPS, which nobody vouches for, 31 at most."`
}

// DMARC is DMARC reporting.
type DMARC struct {
	Send           bool       `toml:"send" doc:"Count what DMARC comes to for mail from other servers, and report it daily to the domains that ask for it. Needs incoming.verify."`
	From           string     `toml:"from" example:"dmarc@example.org" doc:"Address that reports come from, as tlsrpt.from. Empty: dmarc-reports at the domain that is used."`
	Address        string     `toml:"address" example:"dmarc-reports" doc:"Local part of the addresses that reports of others come to, at every hosted domain and at hostname; the records that \"waxwing dns records\" prints have it. After a change the former one is taken for 30 days more, and its records should be replaced by then."`
	Reader         string     `toml:"reader" example:"reports@example.org" doc:"Address here that gets what comes to report addresses and is no report, and with keep the reports too. Empty: the account that has the report address, else the postmaster."`
	ReaderMailbox  string     `toml:"reader_mailbox" example:"Reports" doc:"Mailbox, of whoever gets what is no report, that it goes into; it is made where there is none. Empty: INBOX. Their Sieve script may say otherwise."`
	Keep           bool       `toml:"keep" doc:"Deliver reports that are taken in as mail as well."`
	Exclude        []dns.Name `toml:"exclude" example:"[\"partner.example\"]" doc:"Domains, by where their policy stands, whose mail is neither counted nor reported."`
	MaxPerOrg      int        `toml:"max_per_organization" min:"1" max:"1000000" doc:"Reports sent to one organisation on a UTC day, as tlsrpt.max_per_organization; reports of both sorts count."`
	MaxPerReporter int        `toml:"max_received_per_reporter" min:"1" max:"1000000" doc:"Reports stored on a UTC day that one organisation has sent by mail about the domains of one organisation. What is beyond is delivered as ordinary mail, with a field that says why."`
	MaxReceived    int        `toml:"max_received" min:"1" max:"100000000" doc:"The same of all reports by mail together."`
	MaxOctets      Size       `toml:"max_received_size" min:"8MiB" max:"1024GiB" doc:"What all of them may hold together, packed, of which the reports of one organisation an eighth. It is kept for retention_days."`
	FailureReports bool       `toml:"failure_reports" doc:"Report single messages that fail DMARC to the domains whose records ask for it (ruf, RFC 9991): messages alike of a quarter of an hour are one report, with a part of the header in which no local part of an address can be read, and nothing of the subject and the text. Every such report tells a stranger of mail that came here: leave it off unless you know that you may. Needs incoming.verify. Failure reports of others are taken in whatever stands here."`
	AskFailures    bool       `toml:"ask_failure_reports" doc:"Have the DMARC records that \"waxwing dns records\" prints, or that are published from here, ask others for such reports about your domains (ruf). They come to the same address and are shown by \"waxwing dmarc failures\". Needs incoming.verify."`
	MaxFailures    int        `toml:"max_failure_reports" min:"1" max:"10000" doc:"Failure reports about the domains of one organisation on a UTC day; of all, 1000."`
	RetentionDays  int        `toml:"retention_days" min:"8" max:"3650" doc:"Days that reports are kept; those posted by HTTPS, which nobody vouches for, 31 at most."`
}

// ReportSuccess says which days without failures are reported (RPT-8).
type ReportSuccess string

// The values of ReportSuccess.
const (
	SuccessPolicy ReportSuccess = "policy"
	SuccessAlways ReportSuccess = "always"
	SuccessNever  ReportSuccess = "never"
)

// Mail is what accounts keep (MBX-3, MBX-4, MBX-5).
type Mail struct {
	Quota          Size          `toml:"quota" example:"10GiB" doc:"Octets that an account can keep, all copies counted. Over it, mail for the account is answered 452 for over_quota_grace and 552 after that, and what mail programs add is refused. What was accepted before is delivered all the same. 0: no bound."`
	QuotaMessages  int           `toml:"quota_messages" min:"0" max:"100000000" example:"1000000" doc:"Messages that an account can keep, in the same way. 0: no bound."`
	OverQuotaGrace time.Duration `toml:"over_quota_grace" max:"8760h" doc:"How long mail for an account that is over its quota is put off, so that it comes once there is room; after that it is refused."`
	Undelete       time.Duration `toml:"undelete" max:"8760h" doc:"How long a message, mailbox or account that was removed can be brought back (\"waxwing mail undelete\"). Its octets count in no quota, and stay in the store until then."`
	ExpungeTrash   time.Duration `toml:"expunge_trash" max:"87600h" doc:"Age at which messages in Trash and Junk are removed, counted from when they were put there. \"0s\": never."`
}

// Limits are bounds (INB-3).
type Limits struct {
	MaxConnections         int           `toml:"max_connections" min:"1" max:"1000000" doc:"Connections at one time on one listener; of kind https, 1000 at most."`
	ConnectionsPerIP       int           `toml:"connections_per_ip" min:"1" max:"1000000" doc:"Connections at one time from one IPv4 address or IPv6 /64 network."`
	ConnectionsPerNetwork  int           `toml:"connections_per_network" min:"1" max:"1000000" doc:"Connections at one time from one IPv4 /24 or IPv6 /48 network; at least connections_per_ip. A listener whose connections are nearly all taken gives clients that it does not know a fifth of both, and keeps the last tenth for those that it knows: who has logged in or delivered mail within known_for."`
	CrowdedTimeout         time.Duration `toml:"crowded_timeout" min:"1s" max:"1h" doc:"How long a client may take for a command, or between the octets of a message, while four fifths of a listener's connections are taken."`
	KnownFor               time.Duration `toml:"known_for" min:"1m" max:"8760h" doc:"How long a client is known after it has logged in or delivered mail that was accepted. It is forgotten when the server stops."`
	ConnectionsPerMinute   int           `toml:"connections_per_minute" min:"1" max:"1000000" doc:"Connections in a minute from one client (IPv4 address or IPv6 /64) that is not known, on all listeners together; a third of them may come at once."`
	TLSHandshakes          int           `toml:"tls_handshakes" min:"4" max:"1000000" doc:"TLS handshakes at one time on one listener for mail. One client has a quarter of them, one network half, clients that are not known four fifths."`
	TLSHandshakesPerMinute int           `toml:"tls_handshakes_per_minute" min:"1" max:"1000000" doc:"TLS handshakes in a minute of one client that is not known, on all listeners together; a third of them may come at once."`
	ErrorsFree             int           `toml:"errors_free" min:"1" max:"1000000" doc:"Errors of one client (refused recipients, unknown commands, failed logins, VRFY) that are answered at once. Each further one is answered later than the one before. Recipients of accepted messages make up for as many errors, so that a mailing list with some dead addresses does not wait. Errors of a client's earlier connections count, and of its network (IPv4 /24, IPv6 /48) every fifth."`
	ErrorsEnd              int           `toml:"errors_end" min:"2" max:"1000000" doc:"The error that ends the connection, with 421. Until some errors are forgiven, further connections of the client are answered 421 too."`
	ErrorDelay             time.Duration `toml:"error_delay" min:"1ms" max:"1m" doc:"How much later each error beyond errors_free is answered than the one before."`
	ErrorDelayMax          time.Duration `toml:"error_delay_max" min:"1ms" max:"5m" doc:"How long an answer to an error waits at most."`
	ErrorsForgiven         time.Duration `toml:"errors_forgiven" min:"1m" max:"720h" doc:"How long it takes until errors_end errors are forgiven; fewer take less."`
	EnvelopeMemory         Size          `toml:"envelope_memory" min:"1MiB" max:"16GiB" doc:"What the recipients of clients who have not logged in may hold on one listener, all together, beyond 16 KiB of each (some 30 recipients). Where it is used up, the next recipient is answered 452, and the client sends to the rest afterwards."`
	ErrorsWaiting          int           `toml:"errors_waiting" min:"1" max:"1000000" doc:"Answers to errors that wait at one time, on one listener; of one client a quarter, of one network half. Where there is no more room, the connection ends."`
	MaxMessageSize         Size          `toml:"max_message_size" min:"64KiB" max:"2GiB" doc:"Largest message accepted."`
	DiskReserve            Size          `toml:"disk_reserve" max:"1024GiB" example:"1GiB" doc:"Room that stays free on the disk of data_dir, for what is accepted already. Where there is less, MAIL is answered 452 4.3.1, and 4.3.1 also where a message would take of it. 0: twice the largest message that a listener accepts, and 256 MiB."`
	RecipientsUnverified   int           `toml:"recipients_unverified" min:"0" max:"100000" doc:"Recipients of one transaction with a server whose sender SPF does not pass for; more are answered 452, and it may send them the message again. Needs incoming.verify. 0: no limit beside max_recipients."`
	MaxRecipients          int           `toml:"max_recipients" min:"100" max:"100000" doc:"Recipients of one transaction (RFC 5321 §4.5.3.1.8 demands at least 100)."`
	CommandTimeout         time.Duration `toml:"command_timeout" min:"1s" max:"1h" doc:"How long a client may take for one command (RFC 5321 §4.5.3.2.7 demands 5 minutes)."`
	FailedLogins           int           `toml:"failed_logins" min:"1" max:"1000" doc:"Failed logins from one IPv4 address or IPv6 /64 network within 15 minutes after which it is refused for as long, but for accounts that have logged in from there lately. Each is answered later than the one before. Guesses of one account from many networks take turns, up to 10 seconds apart."`

	MessagesPerDay   int `toml:"messages_per_day" min:"0" max:"1000000000" doc:"Messages that one account may send in a day (UTC), on all machines together; more are refused with 450 until the next. It is what a stolen password is worth. \"waxwing account limit\" sets another limit for one account. 0: no limit."`
	RecipientsPerDay int `toml:"recipients_per_day" min:"0" max:"1000000000" doc:"Recipients of all messages that one account may send in a day. 0: no limit."`
}

// Sendmail is the submission socket (TRA-5).
type Sendmail struct {
	Socket             string         `toml:"socket" example:"/run/waxwing/sendmail.sock" doc:"Path of the unix socket. Everybody on the machine may connect; who may send is told by the user id at the other end, which the kernel names. Empty: no socket."`
	MaxConnections     int            `toml:"max_connections" min:"1" max:"10000" doc:"Messages handed in at one time."`
	ConnectionsPerUser int            `toml:"connections_per_user" min:"1" max:"10000" doc:"Messages handed in at one time by programs of one user of this machine. More wait for their turn, up to a minute and up to 200; what is beyond is answered 451."`
	User               []SendmailUser `toml:"user" doc:"One table for each user of this machine who may send."`
}

// SendmailUser is one user of the machine.
type SendmailUser struct {
	User      string   `toml:"user" required:"true" example:"www-data" doc:"Name of the user on this machine, or the numeric user id."`
	Account   string   `toml:"account" required:"true" example:"website" doc:"The account whose mail it is. It must exist; it needs no password that anybody knows."`
	Addresses []string `toml:"addresses" example:"[\"www@example.org\"]" doc:"Addresses the user may send from, all of them addresses of the account. Empty: all that the account has."`
}

// JMAP is mail for the programs with which people read it (JMP-1).
type JMAP struct {
	Enabled bool `toml:"enabled" doc:"Serve it, at /.well-known/jmap and below /jmap/. The passwords are those of IMAP."`
}

// API is the HTTP API for programs (OPS-8).
type API struct {
	Enabled         bool `toml:"enabled" doc:"Serve it, below /api/. Who may call it is told by keys that \"waxwing api key add\" makes."`
	PrivateWebhooks bool `toml:"private_webhooks" doc:"Post events to webhooks whose hosts have private addresses, too. Without it, only addresses that are public, and this machine where a webhook's address names it."`
}

// Log is what is logged.
type Log struct {
	Level  string             `toml:"level" oneof:"debug info warn error" doc:"The least important lines that are logged."`
	Areas  map[LogArea]string `toml:"areas" oneof:"debug info warn error" example:"{ queue = \"debug\" }" doc:"Levels of single areas, which \"waxwing log list\" shows. \"waxwing log set\" changes them for a while."`
	Format string             `toml:"format" oneof:"text json" doc:"\"text\" for people, in lines of 300 characters at most; \"json\" for programs. Where standard error leads to the journal, lines have its priorities and no time of their own."`
}
