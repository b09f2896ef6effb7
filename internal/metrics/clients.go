package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waxwing/peers"
)

// clients counts what clients have of the listeners (INB-3). The words are those of
// package peers and of smtpserver's ends: constants, so that their number is bounded.
type clients struct {
	connections *prometheus.CounterVec
	open        *prometheus.GaugeVec
	refused     *prometheus.CounterVec
	ended       *prometheus.CounterVec
	errors      *prometheus.CounterVec
	limits      *prometheus.CounterVec
	handshakes  *prometheus.CounterVec
}

func newClients(r prometheus.Registerer) *clients {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	c := &clients{
		connections: counter("waxwing_client_connections_total", "Connections accepted, by listener kind.", "listener"),
		open:        prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "waxwing_connections_open", Help: "Connections open now, by listener kind."}, []string{"listener"}),
		refused:     counter("waxwing_connections_refused_total", "Connections refused, by listener kind and reason (limit-total, limit-strangers, limit-address, limit-network, limit-rate, limit-errors, limit-tls; sendmail: limit-total, limit-user, unknown-user).", "listener", "reason"),
		ended:       counter("waxwing_connections_ended_total", "Connections that ended, by listener kind and reason (quit, closed, lost, timeout, errors, ...).", "listener", "reason"),
		errors:      counter("waxwing_client_errors_total", "Errors of clients (refused recipients, unknown commands, failed logins), by listener kind and how they were answered (at-once, late, end: with the connection's end).", "listener", "answered"),
		limits:      counter("waxwing_client_limits_total", "Limits on what one connection does that were reached, by listener kind and limit (recipients, recipients-unverified, envelope-memory, commands, transactions, logins, size; of mail programs also account, quota, search-time, messages, keywords, mailboxes).", "listener", "limit"),
		handshakes:  counter("waxwing_inbound_tls_handshakes_total", "TLS handshakes of clients at SMTP listeners, by listener kind and result: ok, the alert that the client has sent (bad_certificate, protocol_version, ...), timeout, closed, plaintext, or refused (it offered nothing that this host takes).", "listener", "result"),
	}
	r.MustRegister(c.connections, c.open, c.refused, c.ended, c.errors, c.limits, c.handshakes)
	return c
}

// Connected counts a connection, or why it was refused.
func (m *Metrics) Connected(listener, refused string) {
	switch {
	case m == nil:
	case refused != "":
		m.clients.refused.WithLabelValues(listener, refused).Inc()
	default:
		m.clients.connections.WithLabelValues(listener).Inc()
		m.clients.open.WithLabelValues(listener).Inc()
	}
}

// Disconnected counts the end of a connection that was not refused.
func (m *Metrics) Disconnected(listener, why string) {
	if m != nil {
		m.clients.open.WithLabelValues(listener).Dec()
		m.clients.ended.WithLabelValues(listener, why).Inc()
	}
}

// Handshaken counts a TLS handshake by its result: ok, or a word of package handshakes.
func (m *Metrics) Handshaken(listener, result string) {
	if m != nil {
		m.clients.handshakes.WithLabelValues(listener, result).Inc()
	}
}

// Erred counts a client's error by what became of its answer.
func (m *Metrics) Erred(listener string, a peers.Answer) {
	if m == nil {
		return
	}
	answered := "at-once"
	switch {
	case a.End:
		answered = "end"
	case a.Wait >= time.Millisecond:
		answered = "late"
	}
	m.clients.errors.WithLabelValues(listener, answered).Inc()
}

// Limited counts a limit on what one connection does that was reached.
func (m *Metrics) Limited(listener, limit string) {
	if m != nil {
		m.clients.limits.WithLabelValues(listener, limit).Inc()
	}
}
