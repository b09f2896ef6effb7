package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/message"
)

// Default is the configuration of an empty file; hostname and listeners are
// for the file to give.
func Default() *Config {
	return &Config{
		DataDir: "data",
		Resolver: Resolver{
			Servers:    []string{"127.0.0.1"},
			DNSSEC:     DNSSECAuto,
			Iterations: 50,
			Timeout:    3 * time.Second,
			Selftest: SelfTest{
				Signed: dns.MustParse("iana.org"),
				Bogus:  dns.MustParse("dnssec-failed.org"),
				Large:  dns.MustParse("org"),
			},
		},
		Delivery: Delivery{
			Plaintext: PlaintextAllow, MaxHosts: 10, Concurrency: 500, ConcurrencyPerDomain: 20,
			KeepIdle: 5 * time.Second, KeepMessages: 100, KeepConnections: 200, // SES-6
			// QUE-4
			Retry: []time.Duration{
				time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
				2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
			},
			Expire: 5 * 24 * time.Hour, DelayNotice: 4 * time.Hour, Port: 25,
			History: 7 * 24 * time.Hour, SuppressCodes: []string{"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}, SuppressFor: 90 * 24 * time.Hour,
		},
		TLSRPT: TLSRPT{Send: true, Address: "tls-reports", ReportSuccess: SuccessPolicy, MaxPerOrg: 1000, MaxPerReporter: 100, MaxReceived: 20_000, MaxOctets: 64 << 20, Alerts: true, RetentionDays: 400}, // RPT-8, RPT-12, RPT-17, RPT-18
		DMARC:  DMARC{Send: true, Address: "dmarc-reports", MaxPerOrg: 1000, MaxPerReporter: 100, MaxReceived: 20_000, MaxOctets: 256 << 20, MaxFailures: 20, RetentionDays: 400},
		Limits: Limits{
			MaxConnections: 3000, ConnectionsPerIP: 50, ConnectionsPerNetwork: 200, CrowdedTimeout: 10 * time.Second, KnownFor: 7 * 24 * time.Hour,
			ConnectionsPerMinute: 600, TLSHandshakes: 200, TLSHandshakesPerMinute: 150,
			ErrorsFree: 10, ErrorsEnd: 20, ErrorDelay: time.Second, ErrorDelayMax: 10 * time.Second, ErrorsForgiven: time.Hour, ErrorsWaiting: 100, EnvelopeMemory: 16 << 20,
			MaxMessageSize: 50 << 20, MaxRecipients: 1000, RecipientsUnverified: 100,
			CommandTimeout: 5 * time.Minute, FailedLogins: 10, MessagesPerDay: 1000, RecipientsPerDay: 5000,
		},
		Incoming: Incoming{Verify: true},
		Mail:     Mail{OverQuotaGrace: 7 * 24 * time.Hour, Undelete: 14 * 24 * time.Hour, ExpungeTrash: 30 * 24 * time.Hour}, // MBX-3, MBX-4
		Junk:     Junk{Filter: true, Points: 10, RejectPoints: 30, Rspamd: Rspamd{Timeout: 10 * time.Second, OnFailure: AcceptOnFailure, MaxSize: 10 << 20}},
		JMAP:     JMAP{Enabled: true},
		IMAP:     IMAPServer{ConnectionsPerAccount: 30, ConnectionsPerIP: 60, SearchTime: time.Minute},
		Sendmail: Sendmail{MaxConnections: 100, ConnectionsPerUser: 25},
		Log:      Log{Level: "info", Format: "text"}, ExposedSecrets: ExposedRefuse, Landlock: LandlockAuto,
		DNS: DNS{Update: DNSUpdate{Algorithm: "hmac-sha256", RollDKIM: 180 * 24 * time.Hour}},
	}
}

// validate makes the checks that look at more than one key.
func (c *Config) validate(d *decoder) {
	c.validateListen(d)
	c.validateCompanion(d)
	c.validateSendmail(d)
	c.validateJunk(d)
	c.validateMilters(d)
	if c.API.Enabled && !slices.ContainsFunc(c.Listen, func(l Listen) bool { return l.Kind == HTTPS }) {
		d.fault("api.enabled", "keys go over TLS only: add a [[listen]] table of kind \"https\"")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		d.fault("tls", "cert_file and key_file belong together: give both or none")
	}
	c.validateACME(d)
	if c.TLS.LocalCA && c.TLS.CertFile != "" {
		d.fault("tls.local_ca", "either local_ca or cert_file and key_file, not both")
	}
	// The address holds a password: it is not repeated.
	if p := c.Postgres; p != "" && !strings.HasPrefix(p, "postgres://") && !strings.HasPrefix(p, "postgresql://") {
		d.fault("postgres", "must start with postgres://")
	}
	if c.DataDir == "" {
		d.fault("data_dir", "must name a directory")
	}
	if _, _, err := c.Resolver.Upstreams(); err != nil {
		d.fault("resolver.servers", "%v", err)
	}
	for name, date := range c.Resolver.Negative {
		if _, err := time.Parse(time.DateOnly, date); err != nil {
			d.fault("resolver.negative_trust_anchors", "%s = %q: write the last day as 2027-01-31", name, date)
		}
	}
	c.validateExceptions(d)
	if len(c.Delivery.Retry) == 0 {
		d.fault("delivery.retry", "needs at least one wait")
	}
	if n := c.Delivery.DelayNotice; n > 0 && n >= c.Delivery.Expire {
		d.fault("delivery.delay_notice", "%s is not before expire (%s); \"0s\" switches the notice off", FormatDuration(n), FormatDuration(c.Delivery.Expire))
	}
	for _, code := range c.Delivery.SuppressCodes {
		if !regexp.MustCompile(`^(5\d\d|5\.\d{1,3}\.(\d{1,3}|x))$`).MatchString(code) {
			d.fault("delivery.suppress_codes", "%q is no code of a permanent failure: write 5.1.1, 5.1.x or 550", code)
		}
	}
	if c.Delivery.ConcurrencyPerDomain > c.Delivery.Concurrency {
		d.fault("delivery.concurrency_per_domain", "%d is more than concurrency (%d)", c.Delivery.ConcurrencyPerDomain, c.Delivery.Concurrency)
	}
	if l := c.Limits; l.ErrorsEnd <= l.ErrorsFree {
		d.fault("limits.errors_end", "%d is not more than errors_free (%d)", l.ErrorsEnd, l.ErrorsFree)
	}
	for _, k := range []struct{ key, from string }{{"tlsrpt.from", c.TLSRPT.From}, {"dmarc.from", c.DMARC.From}} {
		if k.from == "" {
			continue
		}
		if err := c.checkReportFrom(k.from); err != nil {
			d.fault(k.key, "%v", err)
		}
	}
	c.validateReportAddresses(d)
	if hook := c.TLSRPT.AlertWebhook; hook != "" {
		// The address may hold a token: it is not repeated.
		if u, err := url.Parse(hook); err != nil || u.Scheme != "https" || u.Host == "" {
			d.fault("tlsrpt.alert_webhook", "must be an address like \"https://chat.example.org/hook\"")
		}
	}
}

// checkReportFrom: RPT-9 wants a domain that is ours by our own name.
func (c *Config) checkReportFrom(from string) error {
	l, err := message.ParseAddressList(from)
	if err != nil || len(l) != 1 || l[0].Name != "" {
		return fmt.Errorf("%q is no mail address like \"tlsrpt@example.org\"", from)
	}
	domain, err := dns.ParseName(l[0].Domain)
	if err != nil {
		return err
	}
	if !c.Hostname.IsZero() && !c.Hostname.Under(domain) {
		return fmt.Errorf("%s is neither hostname (%s) nor a domain above it", domain, c.Hostname)
	}
	return nil
}

func (c *Config) validateSendmail(d *decoder) {
	s := c.Sendmail
	if s.Socket != "" && len(s.User) == 0 {
		d.fault("sendmail.socket", "nobody may send through it: add a [[sendmail.user]] table")
	}
	for i, u := range s.User {
		key := fmt.Sprintf("sendmail.user[%d]", i)
		if first := slices.IndexFunc(s.User, func(o SendmailUser) bool { return o.User == u.User }); first < i {
			d.fault(key+".user", "%q has a table already, in line %d", u.User, d.line(fmt.Sprintf("sendmail.user[%d].user", first)))
		}
		for n, a := range u.Addresses {
			if l, err := message.ParseAddressList(a); err != nil || len(l) != 1 || l[0].Name != "" {
				d.fault(fmt.Sprintf("%s.addresses[%d]", key, n), "%q is no mail address like \"www@example.org\"", a)
			}
		}
	}
}

func (c *Config) validateListen(d *decoder) {
	if len(c.Listen) == 0 && !c.Companion.On() {
		d.fault("listen", "no listener: add at least one [[listen]] table with address and kind")
	}
	for i, l := range c.Listen {
		key := fmt.Sprintf("listen[%d]", i)
		l.validateClients(d, key)
		c.validateSocket(d, key, i)
		if !l.Address.IsValid() {
			continue
		}
		if first := slices.IndexFunc(c.Listen, func(o Listen) bool { return o.Address.IsValid() && overlap(o.Address, l.Address) }); first >= 0 && first < i {
			d.fault(key+".address", "%s is listened on already, in line %d%s", l.Address, d.line(fmt.Sprintf("listen[%d].address", first)), overlapHint(c.Listen[first].Address, l.Address))
		}
		if (l.CertFile == "") != (l.KeyFile == "") {
			d.fault(key, "cert_file and key_file belong together: give both or none")
		}
		if a := l.Address.Addr(); l.Kind == LMTP && (!a.IsLoopback() && !a.IsPrivate() || l.Address.Port() == 25) {
			d.fault(key+".address", "LMTP is for programs of yours: a loopback or private address, and not port 25 (RFC 2033, section 5)")
		}
		if l.Kind == Admin && (!l.Address.Addr().IsLoopback() || len(l.ProxyFrom) > 0) {
			d.fault(key+".address", "the admin pages are served without TLS, and ask for a password alone: a loopback address, such as 127.0.0.1:8080, and no proxy_from")
		}
		if l.Kind != MX && l.Kind != LMTP && l.Kind != Metrics && l.Kind != HTTP && l.Kind != Admin && l.Kind != "" && !c.HasTLS() && l.CertFile == "" {
			d.fault(key+".kind", "%s needs a certificate: set directory in [acme], or cert_file and key_file in [tls]", l.Kind)
		}
	}
}

// validateSocket checks what a listener has in place of an address.
func (c *Config) validateSocket(d *decoder, key string, i int) {
	l := c.Listen[i]
	_, given := d.places[key+".address"]
	switch {
	case l.Socket == "":
		if l.SocketMode != "" || l.SocketOwner != "" {
			d.fault(key+".socket", "missing: socket_mode and socket_owner are of a socket")
		}
		return
	case given:
		d.fault(key+".socket", "either address or socket, not both: give each a [[listen]] table")
	case l.Kind != LMTP && l.Kind != "":
		d.fault(key+".socket", "is for kind \"lmtp\": others are reached by TCP")
	case l.CertFile != "" || len(l.ProxyFrom) > 0:
		d.fault(key+".socket", "nothing on it is encrypted, and no load balancer connects to it: leave cert_file and proxy_from out")
	case slices.ContainsFunc(c.Listen[:i], func(o Listen) bool { return o.Socket == l.Socket }):
		d.fault(key+".socket", "%s is listened on already", l.Socket)
	}
	if n, err := strconv.ParseUint(cmp.Or(l.SocketMode, "0660"), 8, 32); err != nil || n > 0o777 {
		d.fault(key+".socket_mode", "%q is no mode of a socket; write it like \"0660\"", l.SocketMode)
	}
}

// overlapHint says why two addresses that look different are in each other's way.
func overlapHint(first, second netip.AddrPort) string {
	switch {
	case first == second:
		return ""
	case first.Addr().Is6() && first.Addr().IsUnspecified(), second.Addr().Is6() && second.Addr().IsUnspecified():
		return ": [::] is every address, of IPv4 too"
	}
	return ": 0.0.0.0 is every IPv4 address"
}

// Upstreams is the resolvers; system means those of /etc/resolv.conf.
func (r Resolver) Upstreams() (servers []dns.Server, system bool, err error) {
	if len(r.Servers) == 0 {
		return nil, false, fmt.Errorf("needs a resolver's address, or \"system\"")
	}
	if slices.Contains(r.Servers, "system") {
		if len(r.Servers) > 1 {
			return nil, false, fmt.Errorf("\"system\" stands alone")
		}
		return nil, true, nil
	}
	for _, text := range r.Servers {
		s, err := dns.ParseServer(text)
		if err != nil {
			return nil, false, err
		}
		servers = append(servers, s)
	}
	return servers, false, nil
}

func (c *Config) validateExceptions(d *decoder) {
	seen := map[dns.Name]bool{}
	for i := range c.Delivery.Exceptions {
		e := &c.Delivery.Exceptions[i]
		path := fmt.Sprintf("delivery.exceptions[%d]", i)
		if e.MTASTS == "" && e.DANE == "" {
			d.fault(path, "sets nothing aside: give mta_sts or dane")
		}
		if !e.Domain.IsZero() && seen[e.Domain] {
			d.fault(path+".domain", "%s has an exception already: write both into one", e.Domain)
		}
		seen[e.Domain] = true
		day, err := time.Parse(time.DateOnly, e.Until)
		if err != nil && e.Until != "" {
			d.fault(path+".until", "%q is no day; write it like \"2027-01-31\"", e.Until)
		}
		e.end = day.AddDate(0, 0, 1)
	}
}
