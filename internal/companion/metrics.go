package companion

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"waxwing/socketmap"
)

// Metrics counts what the companion sees. A nil *Metrics counts nothing.
type Metrics struct {
	datagrams *prometheus.CounterVec
	sessions  *prometheus.CounterVec
	answers   *prometheus.CounterVec
}

// What became of a datagram.
const (
	stored    = "stored"
	queueFull = "queue-full"
	truncated = "truncated"
	malformed = "malformed"
	tooMany   = "too-many-policies"
	lost      = "lost-at-end"
)

// NewMetrics registers the counters.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		datagrams: counter("waxwing_companion_datagrams_total", "TLSRPT datagrams by what became of them (stored, queue-full, truncated, malformed, too-many-policies, lost-at-end).", "result"),
		sessions:  counter("waxwing_companion_sessions_total", "Policies in TLSRPT datagrams by type and result (ok, failed; unverified: MTA-STS mode testing or no policy to be had, not reported).", "type", "result"),
		answers:   counter("waxwing_companion_policy_answers_total", "Answers to smtp_tls_policy_maps, by level (dane-only, dane, secure, may) or status (notfound, temp, perm).", "answer"),
	}
	reg.MustRegister(m.datagrams, m.sessions, m.answers)
	return m
}

func (m *Metrics) datagram(result string, n int) {
	if m != nil && n > 0 {
		m.datagrams.WithLabelValues(result).Add(float64(n))
	}
}

func (m *Metrics) session(typ, result string) {
	if m != nil {
		m.sessions.WithLabelValues(typ, result).Inc()
	}
}

func (m *Metrics) answered(r socketmap.Reply) {
	if m == nil {
		return
	}
	word := strings.ToLower(string(r.Status))
	if r.Status == socketmap.StatusOK {
		word, _, _ = strings.Cut(r.Text, " ")
	}
	m.answers.WithLabelValues(word).Inc()
}
