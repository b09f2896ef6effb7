package outbox

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"waxwing/dns"
	"waxwing/internal/guard"
	"waxwing/internal/web/egress"
)

const (
	postTime  = time.Minute
	maxAnswer = 64 << 10 // octets of an answer that are read
)

// answer is what came of one POST.
type answer struct {
	state string // accepted, waiting (may be tried again) or failed
	note  string
	after time.Duration // Retry-After
}

// next is when to try again after so many tries: no sooner than the receiver asks.
func (a answer) next(tries int, now time.Time) time.Time {
	return now.Add(max(repost(tries), a.after))
}

// repost is the pause after a try: 5 min, growing threefold up to 8 h (RFC 8460 §5.5).
func repost(tries int) time.Duration {
	pause := 5 * time.Minute
	for range min(tries, 8) - 1 {
		pause *= 3
	}
	return min(pause, 8*time.Hour)
}

// post makes one try to hand body to an https address.
func (b *Box) post(ctx context.Context, uri string, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, bytes.NewReader(body))
	if err != nil {
		return answer{state: "failed", note: err.Error()}
	}
	req.Header.Set("Content-Type", b.MediaType)
	req.Header.Set("User-Agent", "Waxwing")
	resp, err := b.httpClient().Do(req)
	if err != nil {
		return answer{state: "waiting", note: err.Error()}
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // only to keep the connection usable
	return answer{state: stateOf(resp.StatusCode), note: "HTTP " + resp.Status, after: retryAfter(resp.Header.Get("Retry-After"), b.Now())}
}

// retryAfter reads the field of RFC 9110 §10.2.3, seconds or a date; 0: none.
func retryAfter(v string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// stateOf decides RPT-10.
func stateOf(status int) string {
	switch {
	case status/100 == 2:
		return "accepted"
	case status == http.StatusTooManyRequests || status/100 == 5:
		return "waiting"
	}
	return "failed" // other 4xx, and redirects, which are not followed
}

// httpClient posts to addresses that strangers have published, or to the operator's own.
func (b *Box) httpClient() *http.Client {
	b.client.Do(func() {
		c := http.Client{}
		if b.HTTP != nil {
			c = *b.HTTP
		} else {
			c.Transport = &http.Transport{DialContext: b.guarded, TLSHandshakeTimeout: 20 * time.Second,
				TLSClientConfig:       &tls.Config{RootCAs: b.Roots, MinVersion: tls.VersionTLS12, Time: b.Now},
				ResponseHeaderTimeout: 40 * time.Second, MaxResponseHeaderBytes: maxAnswer, IdleConnTimeout: 30 * time.Second,
				MaxIdleConns: 10, ForceAttemptHTTP2: true}
		}
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		b.http = &c
	})
	return b.http
}

// guarded is dial for net/http, which calls it on a goroutine of its own.
func (b *Box) guarded(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = b.Guard.Try(guard.ReportPost, func() (err error) {
		c, err = b.dial(ctx, network, address)
		return err
	}, "address", address)
	return c, err
}

// dial connects by the address rule of DST-4; to the operator's own address in any case.
func (b *Box) dial(ctx context.Context, network, address string) (net.Conn, error) {
	allowed := func(a netip.Addr) bool { return b.AllowPrivate || b.To != "" || !dns.PrivateAddr(a) }
	return (&egress.Dialer{DNS: b.DNS, Allowed: allowed, Connect: b.Dial}).DialContext(ctx, network, address)
}
