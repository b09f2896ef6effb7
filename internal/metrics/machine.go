package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// machine is what stands on this machine, and what it asks of others.
type machine struct {
	depth, age *prometheus.GaugeVec
	store      prometheus.Gauge
	up         prometheus.Gauge
	build      *prometheus.GaugeVec
	refused    *prometheus.CounterVec
	lookups    *prometheus.CounterVec
	requests   *prometheus.CounterVec
	webhooks   *prometheus.CounterVec
}

func newMachine(r *prometheus.Registry) *machine {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &machine{
		depth:    gauge("waxwing_queue_recipients", "Recipients in the queue now, by state (waiting, leased: under way, held). Servers that share a store tell the same.", "state"),
		age:      gauge("waxwing_queue_oldest_age_seconds", "How long ago the message of the oldest recipient was accepted, by state; 0: there is none.", "state"),
		store:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "waxwing_store_octets", Help: "Size of the embedded store with its write-ahead log; 0 with PostgreSQL."}),
		up:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "waxwing_store_up", Help: "1 where the store answers. Without it mail is answered 451."}),
		build:    gauge("waxwing_build_info", "1, with the versions of the program and of Go.", "version", "go"),
		refused:  counter("waxwing_messages_refused_total", "Messages that were read whole and not taken, by listener kind and result (deferred: 4xx, refused: 5xx).", "listener", "result"),
		lookups:  counter("waxwing_dns_lookups_total", "DNS lookups by type and what they came to (secure, insecure, indeterminate, bogus, failed; cached: no server was asked).", "type", "state"),
		requests: counter("waxwing_http_requests_total", "Requests by HTTPS, by purpose (tlsrpt, mta-sts, autoconfig, api, other) and class of the answer (2xx to 5xx).", "purpose", "result"),
		webhooks: counter("waxwing_webhook_posts_total", "Events posted to webhooks, by result (accepted, failed: it is tried again for a day).", "result"),
	}
	r.MustRegister(m.depth, m.age, m.store, m.up, m.build, m.refused, m.lookups, m.requests, m.webhooks)
	return m
}

// Build tells which program this is.
func (m *Metrics) Build(version string) {
	m.machine.build.WithLabelValues(version, runtime.Version()).Set(1)
}

// Depth notes how many recipients stand in a state, and for how long.
func (m *Metrics) Depth(state string, n int64, oldest time.Duration) {
	m.machine.depth.WithLabelValues(state).Set(float64(n))
	m.machine.age.WithLabelValues(state).Set(max(0, oldest.Seconds()))
}

// StoreSize notes how large the store is, in octets.
func (m *Metrics) StoreSize(octets int64) { m.machine.store.Set(float64(octets)) }

// StoreUp notes whether the store answers.
func (m *Metrics) StoreUp(up bool) {
	v := 0.0
	if up {
		v = 1
	}
	m.machine.up.Set(v)
}

// Refused counts a message that was read whole and not taken; code is of the reply.
func (m *Metrics) Refused(listener string, code int) {
	result := "refused"
	if code/100 == 4 {
		result = "deferred"
	}
	m.machine.refused.WithLabelValues(listener, result).Inc()
}

// LookedUp counts a DNS lookup.
func (m *Metrics) LookedUp(qtype, state string) {
	m.machine.lookups.WithLabelValues(qtype, state).Inc()
}

// Requested counts a request by HTTPS.
func (m *Metrics) Requested(purpose string, status int) {
	class := "5xx"
	if status >= 200 && status < 500 {
		class = string(rune('0'+status/100)) + "xx"
	}
	m.machine.requests.WithLabelValues(purpose, class).Inc()
}

// EventPosted counts an event that was posted to a webhook.
func (m *Metrics) EventPosted(result string) { m.machine.webhooks.WithLabelValues(result).Inc() }
