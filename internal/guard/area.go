package guard

// Area says whose work panicked: the label of the metric waxwing_panics_total and
// the area in the log.
type Area string

// The areas.
const (
	Allowance      Area = "allowance"
	Blocklist      Area = "blocklist"
	Control        Area = "control"
	Correspondents Area = "correspondents"
	Datagram       Area = "datagram"
	Delivery       Area = "delivery"
	Fetch          Area = "fetch"
	Hook           Area = "hook"
	HTTP           Area = "http"
	HTTPS          Area = "https"
	IMAP           Area = "imap"
	Listener       Area = "listener"
	Login          Area = "login"
	ManageSieve    Area = "managesieve"
	Metrics        Area = "metrics"
	Notice         Area = "notice"
	Pool           Area = "pool"
	Posture        Area = "posture"
	Proxy          Area = "proxy"
	Push           Area = "push"
	Queue          Area = "queue"
	Refresh        Area = "refresh"
	ReportPost     Area = "report-post"
	ReportUnit     Area = "report-unit"
	Reports        Area = "reports"
	Resolver       Area = "resolver"
	Reverse        Area = "reverse"
	Search         Area = "search"
	SelfTest       Area = "selftest"
	Sendmail       Area = "sendmail"
	Settle         Area = "settle"
	Sieve          Area = "sieve"
	Signals        Area = "signals"
	SMTP           Area = "smtp"
	Socketmap      Area = "socketmap"
	Store          Area = "store"
	Sweeper        Area = "sweeper"
	Verify         Area = "verify"
	Watcher        Area = "watcher"
	Webhook        Area = "webhook"
)

// Work is an area with what is done there and what a panic does to it.
type Work struct {
	Area Area
	What string
}

// Areas are all of them, by name.
func Areas() []Work {
	return []Work{
		{Allowance, "keeping the books of what accounts send in a day"},
		{Blocklist, "asking a DNS blocklist: the client counts as not listed"},
		{Control, "a command at the control socket: it is told of an internal error"},
		{Correspondents, "noting whose mail accounts have had: it is not noted"},
		{Datagram, "the TLS results of a Postfix: the datagram counts as malformed, or its batch as lost after three panics"},
		{Delivery, "an attempt to deliver: the message waits, and is returned to its sender after three panics"},
		{Fetch, "the connection to an MTA-STS policy host: the fetch fails"},
		{Hook, "an alert to the webhook: given up after three panics"},
		{HTTP, "a request by HTTP: answered 500"},
		{HTTPS, "a request by HTTPS: answered 500"},
		{IMAP, "a session of a mail program: its connection ends"},
		{Listener, "accepting connections"},
		{Login, "the check of a password: the login fails for now"},
		{ManageSieve, "a session of a program that edits scripts: its connection ends"},
		{Metrics, "a request of metrics: answered 500"},
		{Notice, "composing a delivery status notification: the recipient is settled without one"},
		{Pool, "ending connections to other hosts that are not used any more"},
		{Posture, "remembering what deliveries showed of domains"},
		{Proxy, "the PROXY header of a load balancer: the connection is closed"},
		{Push, "telling the addresses that JMAP clients have named of changes: they are told when the lease ends"},
		{Queue, "claiming mail, or settling an attempt: the message is claimed again when its lease ends, and after three panics returned or held"},
		{Refresh, "the refresh of an MTA-STS policy: the policy stays until its next turn"},
		{ReportPost, "a TLS report by HTTPS: given up after three panics"},
		{ReportUnit, "making the TLS report about one domain: given up after three panics"},
		{Reports, "planning TLS reports, and alerts"},
		{Resolver, "closing sockets to resolvers that are not used any more"},
		{Reverse, "the search for a client's name: the message is taken without"},
		{Search, "taking a mail into the index of searches: it is left out after three panics"},
		{SelfTest, "the self-test of the resolver"},
		{Sendmail, "a message at the submission socket: refused for now"},
		{Settle, "what is told of a settled attempt: it is settled without"},
		{Sieve, "an account's Sieve script: the message is delivered as without it"},
		{Signals, "what a signal asks for: nothing is reloaded"},
		{SMTP, "an SMTP connection: it ends with 421"},
		{Socketmap, "a TLS policy lookup of a Postfix: it fails for now"},
		{Store, "a transaction: it is undone"},
		{Sweeper, "removing what is over"},
		{Verify, "SPF of a message that comes in: it is a temperror"},
		{Watcher, "hearing of changes that other processes make"},
		{Webhook, "posting events to a program: they are posted when the lease ends"},
	}
}
