// Package handshakes watches how other mail servers fare when they begin TLS with this host
// (INB-9). Failures are counted by their alert; where a network whose handshakes have succeeded
// begins to fail, the operator is told: a certificate or a cipher of ours may be the cause, and
// the other side writes to nobody about it.
package handshakes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/internal/store"
	"waxwing/internal/text"
	"waxwing/peers"
	"waxwing/smtpclient"
)

const (
	maxNetworks = 10_000 // that are remembered; of more only the alerts are counted
	flushEvery  = time.Minute
	// noteEvery is how often a success is written that changes nothing else.
	noteEvery = 24 * time.Hour
)

// Watch is told of each handshake. Its fields are not changed once it is in use; it is safe for
// concurrent use.
type Watch struct {
	DB  *store.Store
	Now func() time.Time
	Log *slog.Logger
	// Tell tells the operator of a network that has begun to fail.
	Tell func(ctx context.Context, n Notice) error

	mu      sync.Mutex
	read    bool // the store's rows are in known
	known   map[netip.Prefix]Standing
	changed map[netip.Prefix]bool
	told    []netip.Prefix // the operator is to be told of them
}

// Alert is why a handshake has failed, in one word, of which there are few: the alert that the
// peer has sent as RFC 8446 §6 names it, "timeout", "closed" where the peer went away, "plaintext"
// where it spoke no TLS, and "refused" where what it offers is not enough for this host. "" for none.
func Alert(err error) string {
	if err == nil {
		return ""
	}
	if _, name, ok := (&smtpclient.HandshakeError{Err: err}).Alert(); ok {
		if strings.HasPrefix(name, "alert_") {
			return "unregistered"
		}
		return name
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return "plaintext"
	case strings.HasPrefix(err.Error(), "tls: "):
		return "refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "closed"
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "local error" {
		return "refused"
	}
	return "closed"
}

// Result is what came of a handshake, in one word: "ok", or that of Alert. It is noted where the client is a mail server.
func (w *Watch) Result(remote netip.Addr, err error, mailServer bool) string {
	alert := Alert(err)
	if mailServer {
		w.Saw(remote, alert)
	}
	if alert == "" {
		return "ok"
	}
	return alert
}

// Saw notes a handshake of a mail server; alert is why it has failed, "": it has not. Networks
// that have never succeeded are not remembered: whoever knocks at every door is of no interest.
func (w *Watch) Saw(remote netip.Addr, alert string) {
	network := peers.Network(remote)
	w.mu.Lock()
	defer w.mu.Unlock()
	before, known := w.known[network]
	if !known && (alert != "" || len(w.known) >= maxNetworks) {
		return
	}
	if w.known == nil {
		w.known = map[netip.Prefix]Standing{}
	}
	next, tell := before.after(alert, w.Now())
	if alert == "" && known && before.Failing.IsZero() && next.Succeeded.Sub(before.Succeeded) < noteEvery {
		return // nothing is new
	}
	w.known[network] = next
	w.change(network)
	if tell {
		w.told = append(w.told, network)
	}
}

// change is called with mu held.
func (w *Watch) change(network netip.Prefix) {
	if w.changed == nil {
		w.changed = map[netip.Prefix]bool{}
	}
	w.changed[network] = true
}

// Run reads what is remembered, and keeps it, until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		if err := w.Step(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("how the TLS handshakes of others go was not noted", "error", err)
		}
		select {
		case <-ctx.Done():
			return w.Step(context.WithoutCancel(ctx))
		case <-tick.C:
		}
	}
}

// Step reads what is remembered where that was not done, writes what has changed, and tells the operator.
func (w *Watch) Step(ctx context.Context) error {
	if err := w.load(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	changed, told := map[netip.Prefix]Standing{}, w.told
	for n := range w.changed {
		changed[n] = w.known[n]
	}
	w.changed, w.told = nil, nil
	w.mu.Unlock()
	for _, n := range told {
		s := changed[n]
		w.Log.Warn("TLS handshakes of a network that used to succeed fail", "network", n.String(), "alert", s.Alert, "failures", s.Failures, "since", s.Failing)
		if err := w.Tell(ctx, notice(n, s)); err != nil {
			w.Log.Error("the operator was not told of failing TLS handshakes", "network", n.String(), "error", err)
		}
	}
	err := w.write(ctx, changed)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		for n := range changed {
			w.change(n)
		}
	}
	return err
}

// load puts what the store has under what was seen since.
func (w *Watch) load(ctx context.Context) error {
	w.mu.Lock()
	read := w.read
	w.mu.Unlock()
	if read {
		return nil
	}
	rows, err := Rows(ctx, w.DB)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil {
		w.known = map[netip.Prefix]Standing{}
	}
	for _, r := range rows {
		n, err := netip.ParsePrefix(r.Network)
		if _, seen := w.known[n]; err != nil || seen {
			continue
		}
		w.known[n] = Standing{Succeeded: r.Succeeded, Failing: r.Failing, Failures: r.Failures, Alert: r.Alert, Told: r.Told}
	}
	w.read = true
	return nil
}

func (w *Watch) write(ctx context.Context, changed map[netip.Prefix]Standing) error {
	if len(changed) == 0 {
		return nil
	}
	// In one order on all machines, so that none waits for another that waits for it.
	networks := slices.SortedFunc(maps.Keys(changed), netip.Prefix.Compare)
	return w.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		for _, n := range networks {
			s := changed[n]
			_, err := tx.Exec(`INSERT INTO inbound_tls (network, succeeded, failing, failures, alert, told) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (network) DO UPDATE SET succeeded = excluded.succeeded, failing = excluded.failing, failures = excluded.failures, alert = excluded.alert, told = excluded.told`,
				n.String(), store.Time(s.Succeeded), store.Time(s.Failing), int64(s.Failures), s.Alert, store.Time(s.Told))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Tidy forgets networks of which no handshake has succeeded for long.
func (w *Watch) Tidy(ctx context.Context) error {
	before := w.Now().Add(-remembered)
	w.mu.Lock()
	for n, s := range w.known {
		if s.Succeeded.Before(before) {
			delete(w.known, n)
			delete(w.changed, n)
		}
	}
	w.mu.Unlock()
	return w.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM inbound_tls WHERE succeeded < ?`, store.Time(before))
		return err
	})
}

// Row is one network, for people.
type Row struct {
	Network   string    `json:"network"`
	Succeeded time.Time `json:"succeeded"`
	Failing   time.Time `json:"failing_since,omitzero"`
	Failures  int       `json:"failures"`
	Alert     string    `json:"alert,omitempty"`
	Told      time.Time `json:"told,omitzero"`
}

// Rows are the networks that are remembered, those that fail first, and of these the latest.
func Rows(ctx context.Context, db *store.Store) ([]Row, error) {
	rows, err := store.List(ctx, db, func(r store.Row) (x Row, err error) {
		var succeeded, failing, told int64
		err = r.Scan(&x.Network, &succeeded, &failing, &x.Failures, &x.Alert, &told)
		x.Succeeded, x.Failing, x.Told = store.FromTime(succeeded), store.FromTime(failing), store.FromTime(told)
		return x, err
	}, `SELECT network, succeeded, failing, failures, alert, told FROM inbound_tls ORDER BY failing DESC, network LIMIT ?`, int64(maxNetworks))
	if err != nil {
		return nil, fmt.Errorf("TLS handshakes of others: %w", err)
	}
	return rows, nil
}

// Failing are the networks whose handshakes fail.
func Failing(ctx context.Context, db *store.Store) ([]Row, error) {
	rows, err := Rows(ctx, db)
	var out []Row
	for _, r := range rows {
		if !r.Failing.IsZero() {
			out = append(out, r)
		}
	}
	return out, err
}

// Listing is how they are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("NETWORK|FAILING SINCE|FAILURES|ALERT|SUCCEEDED", "SUCCEEDED"), Cells: func(r *Row) []any {
		return []any{r.Network, r.Failing, r.Failures, text.Cell{Text: r.Alert, Tone: text.Waits}, r.Succeeded}
	}}
}

// Notice is what the operator is told of a network.
type Notice struct{ What, Subject, Text string }

func notice(network netip.Prefix, s Standing) Notice {
	return Notice{
		What:    fmt.Sprintf("inbound-tls %s %s", network, s.Told.UTC().Format(time.DateOnly)),
		Subject: "Mail servers in " + network.String() + " cannot begin TLS with this host any more",
		Text: fmt.Sprintf(`Mail servers in %s have made TLS handshakes with this host, one at least on %s.
Since %s (UTC) all have failed, %d of them, the last one with %q.

An alert about a certificate (bad_certificate, certificate_expired, unknown_ca) says that they do not take
ours; protocol_version, handshake_failure and "refused" that both sides share no version or cipher. Look at what
this host shows ("waxwing cert list", "waxwing dns check"), and whether it has changed at that time.
"waxwing cert handshakes" lists all such networks.
`, network, s.Succeeded.UTC().Format(time.DateOnly), s.Failing.UTC().Format("2006-01-02 15:04"), s.Failures, s.Alert),
	}
}
