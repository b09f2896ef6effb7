package server

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"waxwing/internal/config"
)

// INB-3: who harvests addresses is sent away, at every listener, and all of it is
// counted.
func TestHarvesterIsCounted(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX, config.Submission)
	cfg.Limits.ErrorDelay, cfg.Limits.ErrorDelayMax = time.Millisecond, 2*time.Millisecond
	s := run(t, cfg)
	p := dial(t, s.Addr(config.MX))
	for _, d := range [][2]string{{"", "220"}, {"EHLO client.test", "250"}, {"MAIL FROM:<>", "250"}} {
		p.say(d[0], d[1])
	}
	for i := range 19 {
		p.say(fmt.Sprintf("RCPT TO:<name%d@example.test>", i), "550 5.1.1")
	}
	p.say("RCPT TO:<name20@example.test>", "421 4.7.0")
	for _, kind := range []config.Kind{config.MX, config.Submission} {
		dial(t, s.Addr(kind)).say("", "421 4.7.0")
	}
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(s.Metrics.Registry, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	text, _ := io.ReadAll(rec.Body)
	for _, line := range []string{
		`waxwing_client_errors_total{answered="at-once",listener="mx"} 10`,
		`waxwing_client_errors_total{answered="late",listener="mx"} 9`,
		`waxwing_client_errors_total{answered="end",listener="mx"} 1`,
		`waxwing_client_connections_total{listener="mx"} 1`,
		`waxwing_connections_refused_total{listener="mx",reason="limit-errors"} 1`,
		`waxwing_connections_refused_total{listener="submission",reason="limit-errors"} 1`,
	} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
	if log := s.log.String(); strings.Count(log, "too many errors, connection closed") != 1 || strings.Contains(log, "connection refused") {
		t.Error("the log is told of one client more than once in a minute: " + log)
	}
}
