package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificates are the metrics of the host's certificates and keys.
type certificates struct {
	expiry   *prometheus.GaugeVec
	stage    *prometheus.GaugeVec
	attempts *prometheus.CounterVec
	written  prometheus.Gauge
	sets     *prometheus.GaugeVec
}

func newCertificates(r *prometheus.Registry) *certificates {
	c := &certificates{
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "waxwing_certificate_expiry_timestamp_seconds",
			Help: "When the certificate that is shown ends, in seconds since 1970, by what it is for (host; listener:PORT for one with files of its own; other: the first of all further names by ACME) and the algorithm of its key."}, []string{"of", "algorithm"}),
		stage: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "waxwing_host_key_stage",
			Help: "1 for the stage of a host key (made, announced, seen, ripe, current, old, gone), by algorithm and role (current, next)."}, []string{"algorithm", "role", "stage"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waxwing_certificate_attempts_total",
			Help: "Attempts to get a certificate from the authority, by result (issued, failed)."}, []string{"result"}),
		written: prometheus.NewGauge(prometheus.GaugeOpts{Name: "waxwing_dns_publish_success_timestamp_seconds",
			Help: "When all records that were due had last been written into DNS, in seconds since 1970; 0: never since the start, or dns.update.publish is off."}),
		sets: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "waxwing_dns_publish_sets",
			Help: "Record sets that Waxwing keeps published, by how they stand (settled, due, waiting, left, conflict); conflict: others made or changed them, and somebody has to decide."}, []string{"state"}),
	}
	r.MustRegister(c.expiry, c.stage, c.attempts, c.written, c.sets)
	return c
}

// Certificate notes when a certificate that is shown ends.
func (m *Metrics) Certificate(of, algorithm string, until time.Time) {
	m.certificates.expiry.WithLabelValues(of, algorithm).Set(float64(until.Unix()))
}

// HostKey notes the stage of a host key; "" is that there is no such key.
func (m *Metrics) HostKey(algorithm, role, stage string) {
	m.certificates.stage.DeletePartialMatch(prometheus.Labels{"algorithm": algorithm, "role": role})
	if stage != "" {
		m.certificates.stage.WithLabelValues(algorithm, role, stage).Set(1)
	}
}

// CertificateAttempt counts an attempt to get a certificate.
func (m *Metrics) CertificateAttempt(ok bool) {
	result := "failed"
	if ok {
		result = "issued"
	}
	m.certificates.attempts.WithLabelValues(result).Inc()
}

// DNSPublished notes when all records that were due had been written.
func (m *Metrics) DNSPublished(at time.Time) { m.certificates.written.Set(float64(at.Unix())) }

// DNSSets notes how many record sets stand in a way.
func (m *Metrics) DNSSets(state string, n int) {
	m.certificates.sets.WithLabelValues(state).Set(float64(n))
}
