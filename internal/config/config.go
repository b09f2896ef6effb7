package config

import (
	"net/netip"
	"time"

	"waxwing/dns"
)

// Config is the whole of waxwing.toml.
type Config struct {
	Hostname  dns.Name  `toml:"hostname" required:"true" example:"mx.example.org" doc:"The name of this server: in the SMTP greeting and EHLO, in Received fields and Message-IDs, and in the MX records that point here. Its address records must lead to this machine."`
	DataDir   string    `toml:"data_dir" example:"/var/lib/waxwing" doc:"Directory for the store, keys and the control socket. This and other relative paths count from the directory of this file."`
	Postgres  string    `toml:"postgres" secret:"true" example:"postgres://waxwing@db.example.org/waxwing" doc:"Address of a PostgreSQL database that replaces the embedded store, so that several machines can share it. Empty: the embedded store in data_dir."`
	Listen    []Listen  `toml:"listen" doc:"One table for each address the server listens on."`
	TLS       TLS       `toml:"tls" doc:"The certificate shown to clients, and the certificate authorities trusted when we are the client."`
	Resolver  Resolver  `toml:"resolver" doc:"Where DNS answers come from. DANE works only over a DNSSEC-validating resolver that is trusted."`
	Delivery  Delivery  `toml:"delivery" doc:"How mail leaves this server."`
	TLSRPT    TLSRPT    `toml:"tlsrpt" doc:"SMTP TLS reporting (RFC 8460)."`
	Limits    Limits    `toml:"limits" doc:"Bounds on what one client or one message may use."`
	Sendmail  Sendmail  `toml:"sendmail" doc:"Mail from programs on this machine, handed in by \"waxwing sendmail\" without a password."`
	Companion Companion `toml:"companion" doc:"What Waxwing does for a Postfix beside it: it counts and reports its TLS sessions, and says which TLS policies apply. With this table no [[listen]] is needed."`
	Log       Log       `toml:"log" doc:"What is logged, and how. Logs go to standard error."`

	ExposedSecrets ExposedSecrets `toml:"exposed_secrets" oneof:"refuse warn" doc:"What happens where everybody on the machine can read a secret (this file with a password in it, a private key, the store): \"refuse\" to start, or \"warn\" in the log. \"warn\" is for file systems without permissions, and for containers whose secrets are mounted for everybody and where nobody else is."`

	name  string         // of the file
	lines map[string]int // of the keys in it
}

// ExposedSecrets is what is done about secrets that everybody can read.
type ExposedSecrets string

// The values of ExposedSecrets.
const (
	ExposedRefuse ExposedSecrets = "refuse"
	ExposedWarn   ExposedSecrets = "warn"
)

// Kind is what a listener speaks.
type Kind string

// The kinds.
const (
	MX          Kind = "mx"
	Submission  Kind = "submission"
	Submissions Kind = "submissions"
	HTTPS       Kind = "https"
	Metrics     Kind = "metrics"
)

// Listen is one listener.
type Listen struct {
	Address        netip.AddrPort `toml:"address" required:"true" example:"[::]:25" doc:"IP address and port. \"0.0.0.0\" is every IPv4 address and no IPv6 one; \"[::]\", or the port alone as in \":25\", every address of both families."`
	Kind           Kind           `toml:"kind" required:"true" oneof:"mx submission submissions https metrics" example:"mx" doc:"What is spoken there: \"mx\" (mail from other servers, port 25), \"submission\" (mail from users, STARTTLS, port 587), \"submissions\" (the same with TLS from the start, port 465), \"https\" (TLS reports that others post to /tlsrpt, and the MTA-STS policies of hosted domains, port 443), \"metrics\" (Prometheus, without TLS: use a loopback address)."`
	MaxConnections int            `toml:"max_connections" min:"0" max:"1000000" example:"1000" doc:"Connections at one time on this listener; more are answered 421. 0: the value in [limits]."`
	MaxMessageSize Size           `toml:"max_message_size" example:"50MiB" doc:"Largest message accepted on this listener. 0: the value in [limits]."`
	ProxyFrom      []netip.Prefix `toml:"proxy_from" example:"[\"10.0.0.0/8\"]" doc:"Addresses of load balancers that say with the PROXY protocol (version 1 or 2) who has connected to them: limits, logs and Received fields then tell of that client. From these addresses a connection without the header is closed, from all others one with it. Empty: none."`
	ClientCA       string         `toml:"client_ca" doc:"PEM file with certificate authorities of your own. A client that shows a certificate of theirs on a submission listener may log in with it (AUTH EXTERNAL), as the account that has an address of its subjectAltName. They can let anybody in: name none that certify strangers. Read at start. Empty: none."`
	ClientCerts    []string       `toml:"client_certs" example:"[\"joe@example.org sha256:5f1c…\"]" doc:"Single client certificates that log in the same way, whoever signed them: an address of the account, a space, and \"sha256:\" with the fingerprint (\"openssl x509 -noout -fingerprint -sha256\")."`
}

// TLS is certificates.
type TLS struct {
	CertFile  string `toml:"cert_file" example:"/etc/waxwing/mx.example.org.crt" doc:"PEM file with the certificate and the intermediates. It is read again when it changes."`
	KeyFile   string `toml:"key_file" example:"/etc/waxwing/mx.example.org.key" doc:"PEM file with the private key of cert_file."`
	LocalCA   bool   `toml:"local_ca" doc:"Use the certificate and the certificate authority that \"waxwing quickstart --local\" made in the directory tls under data_dir. For trying out; cert_file and key_file stay empty."`
	RootsFile string `toml:"roots_file" doc:"PEM file with the certificate authorities trusted when sending mail and fetching MTA-STS policies. Empty: those of the system (and with local_ca, the local one)."`
}

// Resolver is the DNS.
type Resolver struct {
	Servers  []string      `toml:"servers" doc:"Addresses of recursive resolvers, asked in order, each with a port if it is not 53; or the one word \"system\" for those in /etc/resolv.conf."`
	Trusted  bool          `toml:"trusted" doc:"Believe what these resolvers say of DNSSEC (the AD bit). Only where nobody can tamper with the path to them. Without it, resolvers on loopback addresses are believed, and with \"system\" those that /etc/resolv.conf marks trust-ad."`
	Timeout  time.Duration `toml:"timeout" min:"100ms" max:"1m" doc:"How long to wait for one answer before the next server is asked."`
	Selftest SelfTest      `toml:"selftest" doc:"Names looked up at start to see whether the resolver validates DNSSEC. Empty names switch a check off."`
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
	Exclude        []dns.Name    `toml:"exclude" example:"[\"partner.example\"]" doc:"Recipient domains whose sessions are neither recorded nor reported."`
	MaxPerOrg      int           `toml:"max_per_organization" min:"1" max:"1000000" doc:"Reports sent to one organisation (by the registrable domain of the report address) on a UTC day; the rest is left out, and \"waxwing tlsrpt outcomes\" says so."`
	Alerts         bool          `toml:"alerts" doc:"Mail the postmaster when others report the first TLS failures of a hosted domain that was without any for a week: at most one mail a day."`
	AlertWebhook   string        `toml:"alert_webhook" secret:"true" example:"https://chat.example.org/hook" doc:"Address that the same alerts are posted to as JSON, over HTTPS. Empty: none."`
	MaxPerReporter int           `toml:"max_received_per_reporter" min:"1" max:"1000000" doc:"Reports stored on a UTC day that one organisation has sent by mail about the domains of one organisation; a report counts once for each domain that it is about. What is beyond is delivered as ordinary mail, with a field that says why."`
	MaxReceived    int           `toml:"max_received" min:"1" max:"100000000" doc:"The same of all reports by mail together."`
	MaxOctets      Size          `toml:"max_received_size" min:"8MiB" max:"1024GiB" doc:"What all of them may hold together, packed, of which the reports of one organisation an eighth. It is kept for retention_days."`
	RetentionDays  int           `toml:"retention_days" min:"8" max:"3650" doc:"Days that reports received from others are kept; those posted by HTTPS, which nobody vouches for, 31 at most."`
}

// ReportSuccess says which days without failures are reported (RPT-8).
type ReportSuccess string

// The values of ReportSuccess.
const (
	SuccessPolicy ReportSuccess = "policy"
	SuccessAlways ReportSuccess = "always"
	SuccessNever  ReportSuccess = "never"
)

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

// Log is what is logged.
type Log struct {
	Level  string `toml:"level" oneof:"debug info warn error" doc:"The least important lines that are logged."`
	Format string `toml:"format" oneof:"text json" doc:"\"text\" for people, in lines of 300 characters at most; \"json\" for programs. Where standard error leads to the journal, lines have its priorities and no time of their own."`
}
