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
	maxNetworks = 10_000 // that are remembered; one more takes the place of another
	writeBatch  = 100    // rows of one transaction
	flushEvery  = time.Minute
	lastTime    = 10 * time.Second // what was noted last may take
	// noteEvery is how often a success is written that changes nothing else.
	noteEvery = 24 * time.Hour
)

// Words of Alert for failures that the peer sends no alert about.
const (
	timeout   = "timeout"
	closed    = "closed"
	plaintext = "plaintext"
	refused   = "refused"
)

// Watch is told of each handshake. Its fields are not changed once it is in use; it is safe for
// concurrent use.
type Watch struct {
	DB      *store.Store
	Machine string // this host's name: each machine has its own certificate and keys
	Now     func() time.Time
	Log     *slog.Logger
	// Tell tells the operator of networks that have begun to fail; again after an error.
	Tell func(ctx context.Context, n Notice) error

	mu      sync.Mutex
	read    bool // the store's rows are in known
	known   map[netip.Prefix]Standing
	changed map[netip.Prefix]bool
	told    []netip.Prefix // the operator is to be told of them, unless they succeed before
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
	var slow net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return timeout
	case strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return plaintext
	case strings.HasPrefix(err.Error(), "tls: "):
		return refused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return closed
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "local error" {
		return refused
	}
	return closed
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
// Nor are failures that say nothing of what this host shows: whoever goes away, or is slow, may
// have reasons of their own.
func (w *Watch) Saw(remote netip.Addr, alert string) {
	if alert == timeout || alert == closed || alert == plaintext {
		return
	}
	network := peers.Network(remote)
	w.mu.Lock()
	defer w.mu.Unlock()
	before, known := w.known[network]
	if !known && alert != "" {
		return
	}
	if w.known == nil {
		w.known = map[netip.Prefix]Standing{}
	}
	if !known {
		w.makeRoom()
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

// makeRoom forgets a network that does not fail, any, where there are as many as may be. It is called with mu held.
func (w *Watch) makeRoom() {
	if len(w.known) < maxNetworks {
		return
	}
	for n, s := range w.known {
		if s.Failing.IsZero() {
			delete(w.known, n)
			delete(w.changed, n)
			return
		}
	}
	clear(w.known) // all fail: they were told of
	clear(w.changed)
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
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
			defer cancel()
			return w.Step(last)
		case <-tick.C:
		}
	}
}

// Step reads what is remembered where that was not done, writes what has changed, and tells the operator.
func (w *Watch) Step(ctx context.Context) error {
	if err := w.load(ctx); err != nil {
		return err
	}
	changed, failing := w.take()
	var told []Row
	for _, n := range failing {
		told = append(told, row(n, w.Machine, changed[n]))
	}
	for _, r := range told {
		w.Log.Warn("TLS handshakes of a network that used to succeed fail", "network", r.Network, "alert", r.Alert, "failures", r.Failures, "since", r.Failing)
	}
	if len(told) > 0 {
		if err := w.Tell(ctx, notice(told, w.Now())); err != nil {
			w.Log.Error("the operator was not told of failing TLS handshakes, will try again", "error", err)
			w.putBack(nil, failing)
		}
	}
	err := w.write(ctx, changed)
	if err != nil {
		w.putBack(changed, nil)
	}
	return err
}

// take takes what has changed, and the networks of which the operator is to be told: which have not
// succeeded since.
func (w *Watch) take() (changed map[netip.Prefix]Standing, failing []netip.Prefix) {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed = map[netip.Prefix]Standing{}
	for n := range w.changed {
		changed[n] = w.known[n]
	}
	for _, n := range w.told {
		if !w.known[n].Failing.IsZero() {
			failing = append(failing, n)
		}
	}
	w.changed, w.told = nil, nil
	return changed, failing
}

// putBack has the next step do what this one could not.
func (w *Watch) putBack(changed map[netip.Prefix]Standing, failing []netip.Prefix) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range changed {
		w.change(n)
	}
	for _, n := range failing {
		w.change(n)
		w.told = append(w.told, n)
	}
}

// load puts what the store has under what was seen since.
func (w *Watch) load(ctx context.Context) error {
	w.mu.Lock()
	read := w.read
	w.mu.Unlock()
	if read {
		return nil
	}
	rows, err := rows(ctx, w.DB, " WHERE machine = ?", w.Machine)
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
	for some := range slices.Chunk(networks, writeBatch) {
		if err := w.DB.WriteSoon(ctx, func(tx *store.Tx) error { return w.put(tx, some, changed) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watch) put(tx *store.Tx, networks []netip.Prefix, changed map[netip.Prefix]Standing) error {
	for _, n := range networks {
		s := changed[n]
		_, err := tx.Exec(`INSERT INTO inbound_tls (network, machine, succeeded, failing, failures, alert, told) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (machine, network) DO UPDATE SET succeeded = excluded.succeeded, failing = excluded.failing, failures = excluded.failures, alert = excluded.alert, told = excluded.told`,
			n.String(), w.Machine, store.Time(s.Succeeded), store.Time(s.Failing), int64(s.Failures), s.Alert, store.Time(s.Told))
		if err != nil {
			return err
		}
	}
	return nil
}

// Tidy forgets networks of which no handshake has succeeded for long, and those of more than may be.
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
		if _, err := tx.Exec(`DELETE FROM inbound_tls WHERE machine = ? AND succeeded < ?`, w.Machine, store.Time(before)); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM inbound_tls WHERE machine = ? AND succeeded < (SELECT min(succeeded) FROM
			(SELECT succeeded FROM inbound_tls WHERE machine = ? ORDER BY succeeded DESC LIMIT ?) AS newest)`, w.Machine, w.Machine, int64(maxNetworks))
		return err
	})
}

// Row is one network, for people.
type Row struct {
	Network   string    `json:"network"`
	Machine   string    `json:"machine"`
	Succeeded time.Time `json:"succeeded"`
	Failing   time.Time `json:"failing_since,omitzero"`
	Failures  int       `json:"failures"`
	Alert     string    `json:"alert,omitempty"`
	Told      time.Time `json:"told,omitzero"`
}

// row is a network's standing at a machine.
func row(n netip.Prefix, machine string, s Standing) Row {
	return Row{Network: n.String(), Machine: machine, Succeeded: s.Succeeded, Failing: s.Failing, Failures: s.Failures, Alert: s.Alert, Told: s.Told}
}

// rows are the networks that are remembered, those that fail first, and of these the latest.
func rows(ctx context.Context, db *store.Store, where string, args ...any) ([]Row, error) {
	all, err := store.List(ctx, db, func(r store.Row) (x Row, err error) {
		var succeeded, failing, told int64
		err = r.Scan(&x.Network, &x.Machine, &succeeded, &failing, &x.Failures, &x.Alert, &told)
		x.Succeeded, x.Failing, x.Told = store.FromTime(succeeded), store.FromTime(failing), store.FromTime(told)
		return x, err
	}, `SELECT network, machine, succeeded, failing, failures, alert, told FROM inbound_tls`+where+` ORDER BY failing DESC, network, machine LIMIT ?`, append(args, int64(maxNetworks))...)
	if err != nil {
		return nil, fmt.Errorf("TLS handshakes of others: %w", err)
	}
	return all, nil
}

// Failing are the networks whose handshakes fail.
func Failing(ctx context.Context, db *store.Store) ([]Row, error) {
	return rows(ctx, db, " WHERE failing > 0")
}

// Listing is how they are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("NETWORK|MACHINE|FAILING SINCE|FAILURES|ALERT|SUCCEEDED", "MACHINE", "SUCCEEDED"), Cells: func(r *Row) []any {
		return []any{r.Network, r.Machine, r.Failing, r.Failures, text.Cell{Text: r.Alert, Tone: text.Waits}, r.Succeeded}
	}}
}

// Notice is what the operator is told of networks.
type Notice struct{ What, Subject, Text string }

// mostNamed is how many networks a notice names; "waxwing cert handshakes" has them all.
const mostNamed = 20

// notice tells of networks, four times a day at most: where a certificate is at fault, all of them fail.
func notice(failing []Row, now time.Time) Notice {
	var b strings.Builder
	for _, r := range failing[:min(len(failing), mostNamed)] {
		fmt.Fprintf(&b, "  %s: since %s (UTC) all have failed, %d of them, the last one with %q; one has succeeded on %s\n",
			r.Network, r.Failing.UTC().Format("2006-01-02 15:04"), r.Failures, r.Alert, r.Succeeded.UTC().Format(time.DateOnly))
	}
	if more := len(failing) - mostNamed; more > 0 {
		fmt.Fprintf(&b, "  and %d more\n", more)
	}
	of := "a network"
	if len(failing) > 1 {
		of = fmt.Sprintf("%d networks", len(failing))
	}
	return Notice{
		What:    fmt.Sprintf("inbound-tls %s %s %d", failing[0].Machine, now.UTC().Format(time.DateOnly), now.UTC().Hour()/6),
		Subject: "Mail servers of " + of + " cannot begin TLS with " + failing[0].Machine + " any more",
		Text: fmt.Sprintf(`Mail servers of these networks have made TLS handshakes with %s before:

%s
An alert about a certificate (bad_certificate, certificate_expired, unknown_ca) says that they do not take
ours; protocol_version, handshake_failure and "refused" that both sides share no version or cipher. Look at what
this host shows ("waxwing cert list", "waxwing dns check"), and whether it has changed at that time.
"waxwing cert handshakes" lists all such networks.
`, failing[0].Machine, b.String()),
	}
}
