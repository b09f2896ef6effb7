package push

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/store"
	"waxwing/internal/web/egress"
	"waxwing/jmap"
)

const (
	look      = time.Second // at what other processes have changed, and what is due again
	postTime  = 10 * time.Second
	lease     = time.Minute
	turnTime  = 30 * time.Second // an account begins no post after that: others wait for it
	workers   = 8                // accounts at the same time
	batch     = 1000
	maxAnswer = 4 << 10 // octets of an answer that are read
)

func (r *Room) wake() {
	r.setup()
	select {
	case r.wakes <- struct{}{}:
	default: // it looks already
	}
}

func (r *Room) setup() { r.woken.Do(func() { r.wakes = make(chan struct{}, 1) }) }

// Run posts what is due until ctx ends.
func (r *Room) Run(ctx context.Context) error {
	r.setup()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if err := r.Step(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("JMAP push", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wakes:
		case <-tick.C:
		}
	}
}

// due is a subscription of which something is to be posted.
type due struct {
	id      int64
	account string
}

// Step posts what is due by Now: codes to new addresses, and to the others what has changed.
func (r *Room) Step(ctx context.Context) error {
	now := store.Time(r.Now())
	all, err := store.List(ctx, r.DB, func(x store.Row) (d due, err error) { return d, x.Scan(&d.id, &d.account) },
		`SELECT p.id, p.account FROM jmap_push p LEFT JOIN mail_accounts m ON m.account = p.account
		WHERE p.due <= ? AND p.lease <= ? AND p.expires > ? AND (p.verified = 0 AND p.asked = 0
		OR p.verified = 1 AND coalesce(m.modseq, 0) <> p.modseq) ORDER BY p.due, p.id LIMIT ?`, now, now, now, int64(batch))
	if err != nil {
		return fmt.Errorf("look for JMAP push subscriptions: %w", err)
	}
	turns := map[string][]int64{}
	var order []string
	for _, d := range all {
		if turns[d.account] == nil {
			order = append(order, d.account)
		}
		turns[d.account] = append(turns[d.account], d.id)
	}
	next := make(chan string, len(order))
	for _, account := range order {
		next <- account
	}
	close(next)
	errs := make([]error, workers)
	var group guard.Group
	for i := range min(workers, len(order)) {
		group.Go(func() {
			for account := range next {
				err := r.Guard.Try(guard.Push, func() error { return r.turn(ctx, account, turns[account]) }, "account", account)
				if err != nil && !guard.Contained(err) {
					errs[i] = errors.Join(errs[i], err)
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// turn is one account's: its addresses one after the other, so that one with slow addresses waits for these itself.
func (r *Room) turn(ctx context.Context, account string, ids []int64) error {
	valid, err := r.valid(ctx, account)
	if err != nil {
		return err
	}
	began := time.Now()
	for _, id := range ids {
		if time.Since(began) > turnTime || ctx.Err() != nil {
			break
		}
		s, err := r.claim(ctx, id)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return fmt.Errorf("claim push subscription: %w", err)
		}
		if !valid[s.credential] {
			r.Log.Info("JMAP push subscription removed: its password counts no more", "account", account, "subscription", s.String())
			if err := r.remove(ctx, id); err != nil {
				return err
			}
			continue
		}
		if err := r.serve(ctx, &s); err != nil {
			return err
		}
	}
	return nil
}

// verification is what is posted to an address first (RFC 8620 §7.2.2).
type verification struct {
	Type string  `json:"@type"`
	ID   jmap.ID `json:"pushSubscriptionId"`
	Code string  `json:"verificationCode"`
}

// change is what is posted then (RFC 8620 §7.1).
type change struct {
	Type    string                        `json:"@type"`
	Changed map[jmap.ID]map[string]string `json:"changed"`
}

// serve posts what one subscription is to be told.
func (r *Room) serve(ctx context.Context, s *subscription) error {
	var now verifiedNow
	body := any(verification{"PushVerification", call.ID(kind, s.id), s.code})
	if s.verified {
		var err error
		if now, err = r.now(ctx, s.account); err != nil {
			return err
		}
		changed := s.changed(now.told)
		if len(changed) == 0 {
			return r.settle(ctx, s, ruling{took: true, due: r.Now()}, now)
		}
		body = change{"StateChange", map[jmap.ID]map[string]string{call.AccountID(s.account): changed}}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	who, err := r.authorization(ctx, s.url)
	if err != nil {
		return err
	}
	a := r.post(ctx, s, b, who)
	if ctx.Err() != nil {
		return nil // stopped, not failed: it is posted again when the lease ends
	}
	d := decide(a, standing{s.verified, int(s.failures), s.failing}, r.Now())
	r.Log.Debug("JMAP push", "account", s.account, "subscription", s.String(), "status", a.status, "text", a.explain)
	if d.remove {
		r.Log.Info("JMAP push subscription removed: nobody takes what is posted there", "account", s.account, "subscription", s.String(), "status", a.status, "text", a.explain)
	}
	return r.settle(ctx, s, d, now)
}

// changed are the states of its types that were not told yet.
func (s *subscription) changed(now map[string]string) map[string]string {
	out := map[string]string{}
	for t, state := range now {
		if s.told[t] != state && (s.types == nil || slices.Contains(s.types, t)) {
			out[t] = state
		}
	}
	return out
}

// post makes one try.
func (r *Room) post(ctx context.Context, s *subscription, body []byte, who string) answer {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	var err error
	if len(s.keys.public) > 0 {
		if body, err = seal(s.keys, body); err != nil {
			return answer{barred: true, explain: err.Error()}
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return answer{barred: true, explain: "the address is no URL"}
	}
	req.Header.Set("Content-Type", "application/json")
	if len(s.keys.public) > 0 {
		req.Header.Set("Content-Encoding", "aes128gcm")
	}
	req.Header.Set("TTL", strconv.Itoa(int((24 * time.Hour).Seconds()))) // RFC 8030 §5.2
	if s.verified {
		req.Header.Set("Topic", "state") // RFC 8030 §5.4: a later one is enough
	}
	req.Header.Set("User-Agent", "Waxwing")
	req.Header.Set("Authorization", who)
	resp, err := r.httpClient().Do(req)
	if err != nil {
		return answer{barred: errors.Is(err, egress.ErrNotAllowed), explain: why(err)}
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // only to keep the connection usable
	a := answer{status: resp.StatusCode, explain: foreign.Text(resp.Status, 100)}
	if n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		a.after = time.Duration(n) * time.Second
	}
	return a
}

// why is an error on one line, without the address, which is a secret of the client's.
func why(err error) string {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	return foreign.Text(foreign.Line(err.Error()), 200)
}

// poster is the client of HTTP, made once.
type poster struct {
	once sync.Once
	http *http.Client
}

// door dials for net/http, which calls it on a goroutine of its own.
type door struct {
	*egress.Dialer
	guard *guard.Guard
}

func (d door) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = d.guard.Try(guard.Push, func() (err error) {
		c, err = d.DialContext(ctx, network, address)
		return err
	}, "address", address)
	return c, err
}

// httpClient reaches hosts of others, and none of the operator's own network (DST-4). It follows no redirect.
func (r *Room) httpClient() *http.Client {
	r.client.once.Do(func() {
		d := door{&egress.Dialer{DNS: r.DNS, Allowed: func(a netip.Addr) bool { return r.AllowPrivate || !dns.PrivateAddr(a) }, Connect: r.Dial}, r.Guard}
		r.client.http = &http.Client{
			Transport: &http.Transport{DialContext: d.dial, TLSHandshakeTimeout: postTime, ResponseHeaderTimeout: postTime, MaxResponseHeaderBytes: maxAnswer,
				TLSClientConfig: &tls.Config{RootCAs: r.Roots, MinVersion: tls.VersionTLS12, Time: r.Now}, IdleConnTimeout: 30 * time.Second, MaxIdleConns: 100, MaxIdleConnsPerHost: 2, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
	return r.client.http
}
