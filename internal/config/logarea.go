package config

// LogArea is a part of the server whose log has a level of its own: the field area of its
// lines (OPS-1).
type LogArea string

// The areas. LogServer is that of all lines without the field.
const (
	LogAllowance LogArea = "allowance"
	LogAPI       LogArea = "api"
	LogCerts     LogArea = "certs"
	LogCompanion LogArea = "companion"
	LogControl   LogArea = "control"
	LogDelivery  LogArea = "delivery"
	LogDNS       LogArea = "dns"
	LogHTTP      LogArea = "http"
	LogHTTPS     LogArea = "https"
	LogIMAP      LogArea = "imap"
	LogJMAP      LogArea = "jmap"
	LogLogin     LogArea = "login"
	LogMetrics   LogArea = "metrics"
	LogMTASTS    LogArea = "mta-sts"
	LogPosture   LogArea = "posture"
	LogProxy     LogArea = "proxy"
	LogQueue     LogArea = "queue"
	LogReceive   LogArea = "receive"
	LogRoutes    LogArea = "routes"
	LogSearch    LogArea = "search"
	LogSendmail  LogArea = "sendmail"
	LogServer    LogArea = "server"
	LogSession   LogArea = "session"
	LogSieve     LogArea = "sieve"
	LogSigning   LogArea = "signing"
	LogSMTP      LogArea = "smtp"
	LogTLSRPT    LogArea = "tlsrpt"
	LogDMARC     LogArea = "dmarc"
	LogWebhook   LogArea = "webhook"
)

// LogAreaDoc is an area with what it logs.
type LogAreaDoc struct {
	Area LogArea
	What string
}

// LogAreas are all areas, by name.
func LogAreas() []LogAreaDoc {
	return []LogAreaDoc{
		{LogAllowance, "what accounts send in a day"},
		{LogAPI, "requests of programs"},
		{LogCerts, "certificates and host keys"},
		{LogCompanion, "the service beside a Postfix"},
		{LogControl, "commands at the control socket"},
		{LogDelivery, "destinations, and how their hosts are reached"},
		{LogDNS, "the checks of hosted domains' DNS, and the records kept there"},
		{LogHTTP, "requests of the ACME authority by plain HTTP"},
		{LogHTTPS, "requests by HTTPS"},
		{LogIMAP, "sessions of mail programs"},
		{LogJMAP, "requests of mail programs by JMAP"},
		{LogLogin, "passwords"},
		{LogMetrics, "requests of metrics"},
		{LogMTASTS, "MTA-STS policies, those of others and our own"},
		{LogPosture, "what is remembered of recipient domains"},
		{LogProxy, "PROXY headers of load balancers"},
		{LogQueue, "claims, attempts and their outcomes"},
		{LogReceive, "messages taken and refused"},
		{LogRoutes, "routes and transports"},
		{LogSearch, "the index for searches"},
		{LogSendmail, "the socket for programs of this machine"},
		{LogServer, "all else: the lines without an area"},
		{LogSession, "SMTP sessions with other hosts"},
		{LogSieve, "the scripts with which accounts sort their mail, and ManageSieve"},
		{LogSigning, "DKIM keys"},
		{LogSMTP, "SMTP connections of clients"},
		{LogTLSRPT, "TLS reports and alerts"},
		{LogDMARC, "DMARC reports"},
		{LogWebhook, "events posted to programs"},
	}
}

// logAreaNames are their names.
func logAreaNames() (names []string) {
	for _, a := range LogAreas() {
		names = append(names, string(a.Area))
	}
	return names
}
