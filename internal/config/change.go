package config

import (
	"reflect"
	"slices"
)

// live are the keys whose change a running server takes over (OPS-10).
var live = []string{"log.level", "log.areas", "delivery.minimum", "delivery.exceptions"}

// restart are those that need a restart: listeners are bound, the store is open, and
// rooms are built with what they say. Each key stands in one of the two lists.
var restart = []string{
	"hostname", "data_dir", "postgres", "listen", "exposed_secrets", "landlock",
	"tls.cert_file", "tls.key_file", "tls.local_ca", "tls.host_keys", "tls.roots_file",
	"acme.directory", "acme.agree_terms", "acme.email", "acme.roots_file", "acme.profile", "acme.challenges", "acme.names",
	"acme.external_account_id", "acme.external_account_key", "acme.roll_after",
	"dns.update.server", "dns.update.key_name", "dns.update.key_algorithm", "dns.update.key_secret", "dns.update.command", "dns.update.zones", "dns.update.publish", "dns.update.dkim_roll_after",
	"resolver.servers", "resolver.trusted", "resolver.dnssec", "resolver.trust_anchors", "resolver.negative_trust_anchors", "resolver.nsec3_iterations", "resolver.timeout", "resolver.selftest.signed", "resolver.selftest.bogus",
	"resolver.selftest.large",
	"delivery.ehlo", "delivery.allow_private", "delivery.plaintext", "delivery.max_hosts", "delivery.concurrency",
	"delivery.concurrency_per_domain", "delivery.keep_idle", "delivery.keep_messages", "delivery.keep_connections",
	"delivery.retry", "delivery.expire", "delivery.delay_notice", "delivery.history", "delivery.suppress_codes",
	"delivery.suppress_for", "delivery.port",
	"tlsrpt.send", "tlsrpt.report_success", "tlsrpt.from", "tlsrpt.exclude", "tlsrpt.max_per_organization",
	"tlsrpt.alerts", "tlsrpt.alert_webhook", "tlsrpt.max_received_per_reporter", "tlsrpt.max_received",
	"tlsrpt.max_received_size", "tlsrpt.retention_days", "tlsrpt.address", "tlsrpt.reader", "tlsrpt.reader_mailbox", "tlsrpt.keep",
	"dmarc.send", "dmarc.from", "dmarc.exclude", "dmarc.max_per_organization", "dmarc.max_received_per_reporter", "dmarc.max_received",
	"dmarc.max_received_size", "dmarc.retention_days", "dmarc.address", "dmarc.reader", "dmarc.reader_mailbox", "dmarc.keep", "dmarc.failure_reports", "dmarc.ask_failure_reports", "dmarc.max_failure_reports",
	"mail.quota", "mail.quota_messages", "mail.over_quota_grace", "mail.undelete", "mail.expunge_trash", "incoming.verify", "incoming.received_spf", "incoming.trusted_forwarders", "incoming.backup_for", "junk.filter", "junk.points", "junk.reject_points", "junk.dnsbl",
	"junk.rspamd.url", "junk.rspamd.password", "junk.rspamd.timeout", "junk.rspamd.on_failure", "junk.rspamd.greylist", "junk.rspamd.learn", "junk.rspamd.max_size",
	"report_address", "milter", "imap.disable", "imap.connections_per_account", "imap.connections_per_ip", "imap.search_time",
	"limits.max_connections", "limits.connections_per_ip", "limits.connections_per_network", "limits.crowded_timeout",
	"limits.known_for", "limits.connections_per_minute", "limits.tls_handshakes", "limits.tls_handshakes_per_minute",
	"limits.errors_free", "limits.errors_end", "limits.error_delay", "limits.error_delay_max", "limits.errors_forgiven",
	"limits.envelope_memory", "limits.errors_waiting", "limits.max_message_size", "limits.disk_reserve", "limits.max_recipients", "limits.recipients_unverified",
	"limits.command_timeout", "limits.failed_logins", "limits.messages_per_day", "limits.recipients_per_day",
	"sendmail.socket", "sendmail.max_connections", "sendmail.connections_per_user", "sendmail.user",
	"companion.datagrams", "companion.policies", "companion.socket_group", "companion.report_relay",
	"jmap.enabled", "api.enabled", "api.private_webhooks", "log.format",
}

// Change is what differs between two configurations.
type Change struct {
	Live    []string // keys that can be taken over while running
	Restart []string // keys that need a restart
}

// Changes compares two configurations. It is pure.
func Changes(old, next *Config) Change {
	var c Change
	diff("", reflect.ValueOf(old).Elem(), reflect.ValueOf(next).Elem(), func(key string) {
		if slices.Contains(live, key) {
			c.Live = append(c.Live, key)
		} else {
			c.Restart = append(c.Restart, key)
		}
	})
	return c
}

// diff calls differs with each key that has another value: lists are compared as a
// whole.
func diff(path string, a, b reflect.Value, differs func(key string)) {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		name := f.Tag.Get("toml")
		if name == "" {
			continue
		}
		key := join(path, name)
		if table, list := tableOf(f.Type); table != nil && !list {
			diff(key, a.Field(i), b.Field(i), differs)
			continue
		}
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			differs(key)
		}
	}
}

// With returns c with the keys taken over from next that can be.
func (c *Config) With(next *Config) *Config {
	out := *c
	out.Log.Level, out.Log.Areas = next.Log.Level, next.Log.Areas
	out.Delivery.Minimum, out.Delivery.Exceptions = next.Delivery.Minimum, next.Delivery.Exceptions
	return &out
}
