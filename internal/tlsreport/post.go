package tlsreport

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"waxwing/dns"
	"waxwing/internal/guard"
	"waxwing/internal/store"
	"waxwing/tlsrpt"
)

const (
	postTime  = time.Minute
	maxAnswer = 64 << 10 // octets of an answer that are read
)

// post is one report on its way to one https address.
type post struct {
	id, claim int64
	tries     int
	expires   time.Time
	uri       string
	gzip      []byte
}

// nextPost makes one due delivery by HTTPS. It returns false when none is due.
func (s *Service) nextPost(ctx context.Context) (bool, error) {
	p, err := s.claimPost(ctx)
	if p == nil || err != nil {
		return false, err
	}
	return true, s.contain(ctx, p, func() error {
		a := s.post(ctx, s.httpClient(), p.uri, tlsrpt.MediaGzip, p.gzip)
		if ctx.Err() != nil {
			return nil // stopped, not failed: it comes back when the claim runs out
		}
		return s.posted(ctx, p, a)
	})
}

// posted settles a try.
func (s *Service) posted(ctx context.Context, p *post, a answer) error {
	now := s.now()
	err := s.write(ctx, func(tx *store.Tx) error { return p.settle(tx, a, now) })
	if err != nil && !errors.Is(err, errLost) {
		return fmt.Errorf("settle the TLS report to %s: %w", p.uri, err)
	}
	s.log().Info("TLS report posted", "uri", p.uri, "state", a.state, "try", p.tries, "result", a.note)
	return nil
}

func (s *Service) claimPost(ctx context.Context) (*post, error) {
	var got *post
	now := s.now()
	err := s.write(ctx, func(tx *store.Tx) error {
		got = nil
		var p post
		var report, expires int64
		err := tx.Row(`SELECT id, report, claim, tries, expires, uri FROM tls_deliveries
			WHERE state = 'waiting' AND due <= ? ORDER BY due, id LIMIT 1`+tx.Lock(), store.Time(now)).
			Scan(&p.id, &report, &p.claim, &p.tries, &expires, &p.uri)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE tls_deliveries SET claim = claim + 1, due = ? WHERE id = ? AND claim = ?`,
			store.Time(now.Add(lease)), p.id, p.claim)
		if err != nil || n != 1 {
			return err
		}
		if err := tx.Row(`SELECT json FROM tls_reports WHERE id = ?`, report).Scan(&p.gzip); err != nil {
			return err
		}
		p.claim++
		p.tries++
		p.expires = store.FromTime(expires)
		got = &p
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim a TLS report to post: %w", err)
	}
	return got, nil
}

// ours is errLost where another machine has the delivery.
func (p *post) ours(tx *store.Tx, now time.Time) error {
	n, err := tx.Exec(`UPDATE tls_deliveries SET changed = ? WHERE id = ? AND claim = ? AND state = 'waiting'`, store.Time(now), p.id, p.claim)
	if err == nil && n != 1 {
		err = errLost
	}
	return err
}

// settle notes the result of a try, if the delivery is still ours.
func (p *post) settle(tx *store.Tx, a answer, now time.Time) error {
	if err := p.ours(tx, now); err != nil {
		return err
	}
	next := a.next(p.tries, now)
	switch {
	case a.state == "accepted":
		return finish(tx, p.id, accepted, a.note, now)
	case a.state == "failed":
		return finish(tx, p.id, refused, a.note, now)
	case next.After(p.expires):
		return finish(tx, p.id, exhausted, a.note+"; given up after 24 hours", now)
	}
	if err := record(tx, p.id, now, a.note); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE tls_deliveries SET due = ?, tries = tries + 1, note = ? WHERE id = ?`, store.Time(next), clip(a.note), p.id)
	return err
}

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
func (s *Service) post(ctx context.Context, client *http.Client, uri, mediaType string, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, bytes.NewReader(body))
	if err != nil {
		return answer{state: "failed", note: err.Error()}
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("User-Agent", "Waxwing")
	resp, err := client.Do(req)
	if err != nil {
		return answer{state: "waiting", note: err.Error()}
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // only to keep the connection usable
	return answer{state: judge(resp.StatusCode), note: "HTTP " + resp.Status, after: retryAfter(resp.Header.Get("Retry-After"), s.now())}
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

// judge decides RPT-10.
func judge(status int) string {
	switch {
	case status/100 == 2:
		return "accepted"
	case status == http.StatusTooManyRequests || status/100 == 5:
		return "waiting"
	}
	return "failed" // other 4xx, and redirects, which are not followed
}

// httpClient posts to addresses that strangers have published.
func (s *Service) httpClient() *http.Client {
	s.client.Do(func() { s.http = s.newClient(s.AllowPrivate) })
	return s.http
}

// hookClient posts to the address that the operator has set.
func (s *Service) hookClient() *http.Client {
	s.hookOnce.Do(func() { s.hookHTTP = s.newClient(true) })
	return s.hookHTTP
}

func (s *Service) newClient(private bool) *http.Client {
	c := http.Client{}
	if s.HTTP != nil {
		c = *s.HTTP
	} else {
		d := dialer{dns: s.DNS, allowPrivate: private, connect: s.Dial, guard: s.Guard}
		c.Transport = &http.Transport{DialContext: d.dial, TLSHandshakeTimeout: 20 * time.Second,
			TLSClientConfig:       &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12, Time: s.Now},
			ResponseHeaderTimeout: 40 * time.Second, MaxResponseHeaderBytes: maxAnswer, IdleConnTimeout: 30 * time.Second,
			MaxIdleConns: 10, ForceAttemptHTTP2: true}
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// dialer connects to the addresses that our own resolver gives for a name, by
// the address rule of DST-4. Proxies of the environment are not used.
type dialer struct {
	guard        *guard.Guard
	dns          dns.Resolver
	allowPrivate bool
	connect      func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer
}

func (d dialer) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	// net/http calls it on a goroutine of its own.
	err = d.guard.Try(guard.ReportPost, func() (err error) {
		c, err = d.find(ctx, network, address)
		return err
	}, "address", address)
	return c, err
}

func (d dialer) find(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	err = fmt.Errorf("%s has no address that may be dialled", host)
	for _, a := range addrs {
		if dns.PrivateAddr(a) && !d.allowPrivate {
			continue
		}
		connect := d.connect
		if connect == nil {
			connect = (&net.Dialer{Timeout: 20 * time.Second}).DialContext
		}
		var c net.Conn
		if c, err = connect(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func (d dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	name, err := dns.ParseLax(host)
	if err != nil {
		return nil, err
	}
	v6, err6 := d.dns.LookupAAAA(ctx, name)
	v4, err4 := d.dns.LookupA(ctx, name)
	if err6 != nil && err4 != nil {
		return nil, errors.Join(err6, err4)
	}
	return append(v6.Records, v4.Records...), nil
}
