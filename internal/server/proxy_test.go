package server

import (
	"crypto/tls"
	"io"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"waxwing/internal/config"
)

// INB-1: behind a load balancer the client is who the PROXY header names, for
// limits, logs and Received fields, with TLS from the start too.
func TestProxy(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX, config.Submissions, config.Metrics)
	cfg.Limits.ConnectionsPerIP = 1
	for i := range cfg.Listen {
		cfg.Listen[i].ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	s := run(t, cfg)

	mx := dial(t, s.Addr(config.MX))
	io.WriteString(mx, "PROXY TCP4 192.0.2.77 198.51.100.1 4711 25\r\n")
	for _, d := range [][2]string{{"", "220"}, {"EHLO client.test", "250"}, {"MAIL FROM:<>", "250"}, {"RCPT TO:<you@example.test>", "250"},
		{"DATA", "354"}, {"From: a@b.test\r\n\r\nx\r\n.", "250"}} {
		mx.say(d[0], d[1])
	}
	if log := s.log.String(); !strings.Contains(log, "client.test (192.0.2.77)") {
		t.Errorf("the log tells of another client: %s", log)
	}
	another, same := dial(t, s.Addr(config.MX)), dial(t, s.Addr(config.MX))
	io.WriteString(another, "PROXY TCP4 192.0.2.78 198.51.100.1 4711 25\r\n")
	another.say("", "220")
	io.WriteString(same, "PROXY TCP4 192.0.2.77 198.51.100.1 4712 25\r\n")
	same.say("", "421 4.7.0") // its own limit, not the balancer's

	// A health check is the balancer's own.
	check := dial(t, s.Addr(config.MX))
	io.WriteString(check, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
	check.say("", "220")

	subs := dial(t, s.Addr(config.Submissions))
	io.WriteString(subs, "PROXY TCP6 2001:db8::77 2001:db8::1 4711 465\r\n")
	subs.tls(&tls.Config{InsecureSkipVerify: true})
	subs.say("", "220")
	subs.say("EHLO client.test", "250")
	subs.say("AUTH PLAIN AHlvdQB3cm9uZw==", "535")
	if log := s.log.String(); !strings.Contains(log, "login failed\" area=login remote=2001:db8::77") {
		t.Errorf("the failed login is another client's: %s", log)
	}

	for _, garbage := range []string{"EHLO client.test\r\n", "PROXY TCP4 x\r\n"} {
		p := dial(t, s.Addr(config.MX))
		io.WriteString(p, garbage)
		if b, err := io.ReadAll(p); len(b) > 0 || err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%q is answered %q, %v", garbage, b, err)
		}
	}
	// A bare check of the port is counted, and the log tells of it to who debugs.
	dial(t, s.Addr(config.MX)).Close()
	want, empty := `waxwing_proxy_refused_total{listener="mx",reason="garbage"} 2`, `waxwing_proxy_refused_total{listener="mx",reason="empty"} 1`
	metrics := func() string {
		w := httptest.NewRecorder()
		promhttp.HandlerFor(s.Metrics.Registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	for range 100 { // counted after the close
		if text := metrics(); strings.Contains(text, want) && strings.Contains(text, empty) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if text := metrics(); !strings.Contains(text, want) || !strings.Contains(text, empty) {
		t.Errorf("no %s or no %s", want, empty)
	}
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "PROXY header") && strings.Contains(line, "word=empty") && !strings.Contains(line, "level=DEBUG") {
			t.Errorf("logged each time: %s", line)
		}
	}

	// HTTP behind the same balancer.
	m := dial(t, s.Addr(config.Metrics))
	io.WriteString(m, "PROXY TCP4 192.0.2.77 198.51.100.1 4711 80\r\nGET /metrics HTTP/1.0\r\n\r\n")
	if b, err := io.ReadAll(m); err != nil || !strings.HasPrefix(string(b), "HTTP/1.0 200") {
		t.Errorf("%.100q, %v", b, err)
	}
}

// Who is no proxy cannot say that it is somebody else.
func TestProxyStranger(t *testing.T) {
	t.Parallel()
	s := run(t, parse(t, config.MX))
	p := dial(t, s.Addr(config.MX))
	p.say("", "220")
	p.say("PROXY TCP4 192.0.2.77 198.51.100.1 4711 25", "554 5.7.1 a PROXY header is not taken from your address")
	if b, _ := io.ReadAll(p); len(b) > 0 {
		t.Errorf("goes on with %q", b)
	}
}
