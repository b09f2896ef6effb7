package webhooks

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/internal/reason"
	"waxwing/internal/store"
	"waxwing/internal/web/egress"
)

// Service posts what waits. Its fields are set before its first use.
type Service struct {
	*Store
	DNS          dns.Resolver
	AllowPrivate bool           // webhooks may have private addresses
	Roots        *x509.CertPool // trusted authorities; nil: the system's
	// Dial connects to an IP address and port; nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Tell tells the operator that a webhook was disabled; nil: nobody.
	Tell  func(ctx context.Context, h Hook, note string) error
	Count func(result string) // of each post, "accepted" or "failed"; nil: nobody
	Log   *slog.Logger
	Guard *guard.Guard // contains panics

	client  sync.Once
	far     *http.Client // to hosts of others
	machine *http.Client // to this machine
}

const (
	postTime  = 20 * time.Second
	lease     = time.Minute // renewed with each post
	batch     = 100         // posts in one turn of a webhook
	turnTime  = lease       // a turn begins no post after that: others wait for it
	workers   = 8           // webhooks at the same time
	look      = 5 * time.Second
	maxAnswer = 16 << 10 // octets of an answer that are read
	maxSaid   = 200      // of which are kept
)

// Run posts what is due until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(look) // other machines note events, too, and pauses end
	defer tick.Stop()
	for {
		if err := s.Step(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("webhooks", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake():
		case <-tick.C:
		}
	}
}

// Step posts what is due by Now.
func (s *Service) Step(ctx context.Context) error {
	now := store.Time(s.Now())
	due, err := store.List(ctx, s.DB, store.Value[int64], `SELECT id FROM webhooks WHERE disabled = 0 AND due <= ? AND lease <= ?
		AND EXISTS (SELECT 1 FROM webhook_posts WHERE webhook = webhooks.id AND state = 'waiting' AND due <= ?) ORDER BY due, id`, now, now, now)
	if err != nil {
		return fmt.Errorf("look for events to post: %w", err)
	}
	next := make(chan int64, len(due))
	for _, id := range due {
		next <- id
	}
	close(next)
	errs := make([]error, workers)
	var all guard.Group
	for i := range min(workers, len(due)) {
		all.Go(func() {
			for id := range next {
				err := s.Guard.Try(guard.Webhook, func() error { return s.turn(ctx, id) }, "webhook", delivery.ID(id).String())
				if err != nil && !guard.Contained(err) {
					errs[i] = errors.Join(errs[i], err)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// errLost: another machine has the webhook.
var errLost = errors.New("another machine posts to this webhook now")

// turn is one webhook's: its events in their order, until one fails.
func (s *Service) turn(ctx context.Context, id int64) error {
	h, err := s.claim(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("claim webhook %s: %w", delivery.ID(id), err)
	}
	defer s.release(context.WithoutCancel(ctx), id, h.claim)
	began := s.Now()
	waits, err := s.waits(ctx, id)
	for i := range waits {
		if s.Now().Sub(began) >= turnTime {
			break
		}
		p := &waits[i]
		a := s.post(ctx, &h, p.id, p.body)
		if ctx.Err() != nil {
			return nil // stopped, not failed: it is posted again
		}
		r := decide(a, standing{created: p.created, tries: p.tries + 1, failures: h.failures, failing: h.Failing}, s.Now())
		if err := s.settle(ctx, &h, p, a, r); err != nil {
			if errors.Is(err, errLost) {
				return nil
			}
			return fmt.Errorf("settle event %s: %w", p.id, err)
		}
		if !r.pause.IsZero() {
			break
		}
	}
	return err
}

// claim takes a webhook for a while; sql.ErrNoRows where another machine has it.
func (s *Service) claim(ctx context.Context, id int64) (h Hook, err error) {
	now := s.Now()
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		var claim int64
		err := tx.Row(`UPDATE webhooks SET claim = claim + 1, lease = ? WHERE id = ? AND lease <= ? AND disabled = 0 RETURNING claim`,
			store.Time(now.Add(lease)), id, store.Time(now)).Scan(&claim)
		if err != nil {
			return err
		}
		h, err = scan(tx.Row(columns+`WHERE id = ?`, id))
		h.claim = claim
		return err
	})
	return h, err
}

// release gives a webhook back. If it cannot, the lease ends by itself.
func (s *Service) release(ctx context.Context, id, claim int64) {
	err := s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE webhooks SET lease = 0 WHERE id = ? AND claim = ?`, id, claim)
		return err
	})
	if err != nil {
		s.Log.Warn("webhook not given back: it is posted to again in a minute", "webhook", delivery.ID(id).String(), "error", err)
	}
}

// due is one event whose time has come.
type due struct {
	id      delivery.ID
	kind    Type
	body    []byte
	created time.Time
	tries   int
}

func (s *Service) waits(ctx context.Context, hook int64) ([]due, error) {
	return store.List(ctx, s.DB, func(r store.Row) (p due, err error) {
		var id, created int64
		err = r.Scan(&id, &p.kind, &p.body, &created, &p.tries)
		p.id, p.created = delivery.ID(id), store.FromTime(created)
		return p, err
	}, `SELECT id, type, body, created, tries FROM webhook_posts WHERE webhook = ? AND state = 'waiting' AND due <= ? ORDER BY id LIMIT ?`,
		hook, store.Time(s.Now()), int64(batch))
}

// settle writes down what came of a post, if the webhook is still ours.
func (s *Service) settle(ctx context.Context, h *Hook, p *due, a answer, r ruling) error {
	now := s.Now()
	disabled := time.Time{}
	if r.disable {
		disabled = now
	}
	failures := h.failures + 1
	if a.word == "" {
		failures = 0
	}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE webhooks SET failures = ?, failing = ?, word = ?, due = ?, lease = ?, disabled = ? WHERE id = ? AND claim = ? AND disabled = 0`,
			int64(failures), store.Time(r.failing), string(a.word), store.Time(r.pause), store.Time(now.Add(lease)), store.Time(disabled), int64(h.ID), h.claim)
		if err == nil && n == 0 {
			err = errLost
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE webhook_posts SET state = ?, due = ?, tries = tries + 1, changed = ?, word = ?, note = ? WHERE id = ? AND state = 'waiting'`,
			r.state, store.Time(r.due), store.Time(now), string(a.word), a.note, int64(p.id))
		if err != nil || !r.disable {
			return err
		}
		if _, err = tx.Exec(`UPDATE webhook_posts SET state = 'failed', changed = ?, word = ? WHERE webhook = ? AND state = 'waiting'`,
			store.Time(now), string(reason.WebhookDisabled), int64(h.ID)); err != nil {
			return err
		}
		return tx.Raise(area)
	})
	if err != nil {
		return err
	}
	h.failures, h.Failing = failures, r.failing
	s.log(ctx, h, p, a, r)
	return nil
}

// log tells what came of a post.
func (s *Service) log(ctx context.Context, h *Hook, p *due, a answer, r ruling) {
	result := "failed"
	if a.word == "" {
		result = accepted
	}
	if s.Count != nil {
		s.Count(result)
	}
	s.Log.Info("event posted", "webhook", h.ID.String(), "event", p.id.String(), "type", string(p.kind), "state", r.state, "try", p.tries+1, "word", string(a.word), "text", a.note)
	if !r.disable {
		return
	}
	s.Log.Error("webhook disabled: no event is noted for it until \"waxwing webhook enable\"", "webhook", h.ID.String(), "uri", h.URL, "word", string(a.word), "text", a.note)
	if s.Tell != nil {
		if err := s.Tell(ctx, *h, cmp.Or(a.note, a.word.Meaning())); err != nil {
			s.Log.Error("the operator was not told of a disabled webhook", "webhook", h.ID.String(), "error", err)
		}
	}
}

// post makes one try.
func (s *Service) post(ctx context.Context, h *Hook, id delivery.ID, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return answer{word: reason.WebhookNoAnswer, note: foreign.Text(err.Error(), maxSaid)}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Waxwing")
	h.secret.sign(req.Header, "evt_"+id.String(), s.Now(), body)
	resp, err := s.clientFor(req.URL).Do(req)
	switch {
	case errors.Is(err, egress.ErrNotAllowed):
		return answer{word: reason.WebhookPrivate, note: why(err)}
	case err != nil:
		return answer{word: reason.WebhookNoAnswer, note: why(err)}
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // only to keep the connection usable, and for people
	return answerOf(resp.StatusCode, resp.Header.Get("Retry-After"), "HTTP "+resp.Status+" "+string(said[:min(len(said), maxSaid)]))
}

// why is an error on one line, without the webhook's address, which may hold a secret of the
// receiver's.
func why(err error) string {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	return foreign.Text(foreign.Line(err.Error()), maxSaid)
}

// answerOf reads an answer. It is pure.
func answerOf(status int, after, said string) answer {
	a := answer{note: strings.TrimSpace(foreign.Text(foreign.Line(said), maxSaid))}
	switch {
	case status/100 == 2:
		return a
	case status == http.StatusGone:
		a.word = reason.WebhookGone
	default:
		a.word = reason.WebhookRefused
	}
	if n, err := strconv.ParseUint(after, 10, 31); err == nil {
		a.after = time.Duration(n) * time.Second
	}
	return a
}

// clientFor is the client that may reach an address: this machine is dialled only where the
// address says so itself.
func (s *Service) clientFor(u *url.URL) *http.Client {
	s.client.Do(func() {
		s.far = s.httpClient(func(a netip.Addr) bool { return s.AllowPrivate || !dns.PrivateAddr(a) })
		s.machine = s.httpClient(netip.Addr.IsLoopback)
	})
	if loopback(u) {
		return s.machine
	}
	return s.far
}

// gate dials for net/http, which calls it on a goroutine of its own.
type gate struct {
	*egress.Dialer
	guard *guard.Guard
}

// dial connects; "localhost" needs no DNS.
func (g gate) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	if host, port, err := net.SplitHostPort(address); err == nil && host == "localhost" {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	err = g.guard.Try(guard.Webhook, func() (err error) {
		c, err = g.DialContext(ctx, network, address)
		return err
	}, "address", address)
	return c, err
}

func (s *Service) httpClient(allowed func(netip.Addr) bool) *http.Client {
	g := gate{&egress.Dialer{DNS: s.DNS, Allowed: allowed, Connect: s.Dial}, s.Guard}
	return &http.Client{
		Transport: &http.Transport{DialContext: g.dial, TLSHandshakeTimeout: postTime, ResponseHeaderTimeout: postTime, MaxResponseHeaderBytes: maxAnswer,
			TLSClientConfig: &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12, Time: s.Now}, IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 2, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Try posts an event of the type test at once, and says what the receiver answered; it is not
// noted anywhere.
func (s *Service) Try(ctx context.Context, id delivery.ID) (note string, err error) {
	h, err := s.Get(ctx, id)
	if err != nil {
		return "", err
	}
	event := Event{ID: delivery.ID(store.NewID()), Type: Test, Timestamp: s.Now(), Data: Data{Account: h.Account, Text: "a test by the operator"}}
	body, err := json.Marshal(event)
	if err != nil {
		return "", err
	}
	a := s.post(ctx, &h, event.ID, body)
	if a.word != "" {
		return "", fmt.Errorf("%s: %s: %s; %s", h.URL, a.word, a.note, a.word.Cure())
	}
	return a.note, nil
}
