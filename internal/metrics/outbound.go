package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/reason"
)

// outbound counts what happens on the way out.
type outbound struct {
	connections *prometheus.CounterVec
	weak        *prometheus.CounterVec
	fetch       *prometheus.HistogramVec
}

func newOutbound(r *prometheus.Registry) outbound {
	o := outbound{
		connections: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waxwing_connections_total",
			Help: "Connections dialled for a delivery, by transport and result (ok, refused, timeout, unreachable, canceled, error)."}, []string{"transport", "result"}),
		weak: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waxwing_tls_weak_sessions_total",
			Help: "TLS sessions that were taken although they prove nothing, because plaintext would have been taken too, by reason word."}, []string{"reason"}),
		fetch: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "waxwing_mtasts_fetch_seconds",
			Help:    "Duration of fetches of an MTA-STS policy over HTTPS, by result (ok, or the error word).",
			Buckets: prometheus.ExponentialBuckets(0.02, 3, 9)}, []string{"result"}),
	}
	r.MustRegister(o.connections, o.weak, o.fetch)
	return o
}

// dialled counts a new connection, or that none came about (SES-15).
func (o *outbound) dialled(transport string, s *delivery.Session) {
	if s.Reused {
		return
	}
	o.connections.WithLabelValues(transport, dialResult(s)).Inc()
	if s.TLS != nil && s.TLS.Weak != nil {
		o.weak.WithLabelValues(label(s.TLS.Weak.Word)).Inc()
	}
}

func dialResult(s *delivery.Session) string {
	if s.Connected || s.Err == nil {
		return "ok"
	}
	switch s.Err.Word {
	case reason.ConnectRefused:
		return "refused"
	case reason.ConnectTimeout:
		return "timeout"
	case reason.ConnectUnreachable:
		return "unreachable"
	case reason.Canceled:
		return "canceled"
	}
	return "error"
}

// attemptResult is what became of an attempt's recipients, the best of it: one that
// was delivered means that the way is open.
func attemptResult(rs []delivery.RecipientResult) string {
	best := delivery.Failed
	for _, r := range rs {
		switch {
		case r.Outcome == delivery.Delivered:
			return delivery.Delivered.String()
		case r.Outcome != delivery.Failed:
			best = delivery.Deferred
		}
	}
	return best.String()
}

// attemptNumber is which attempt of its recipients this was, in classes: 1, 2-4, 5+.
func attemptNumber(job *delivery.Job) string {
	before := 0
	for _, r := range job.Recipients {
		before = max(before, r.Attempts)
	}
	switch {
	case before == 0:
		return "1"
	case before < 4:
		return "2-4"
	}
	return "5+"
}

// waived counts what a session lacked and a message did not mind (SES-15, POL-5).
func (m *Metrics) waived(a *delivery.Visit) {
	for i := range a.Sessions {
		for _, cause := range policy.Waived(&a.Plan, &a.Sessions[i]) {
			m.ignored.WithLabelValues(string(cause)).Inc()
		}
	}
}

// PolicyFetched counts one fetch of an MTA-STS policy (STS-14).
func (m *Metrics) PolicyFetched(result string, took time.Duration) {
	if m != nil {
		m.outbound.fetch.WithLabelValues(result).Observe(max(0, took.Seconds()))
	}
}
