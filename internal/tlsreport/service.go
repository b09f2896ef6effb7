// Package tlsreport makes, sends and takes in SMTP TLS reports (RFC 8460).
//
// Out: once a UTC day is over, every recipient domain and then every MX host
// with TLSA records is a unit of work (RPT-5, RPT-6). A unit is claimed in the
// store, its _smtp._tls record looked up (RPT-7), the report made and, in one
// transaction, queued and marked as sent (RPT-11), so that several machines
// make each report exactly once. In: Take verifies a report mail (RPT-14),
// parses it within bounds (RPT-16) and keeps what is about domains of ours,
// once (RPT-17).
package tlsreport

import (
	"context"
	"crypto/x509"
	"errors"
	"hash/fnv"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/internal/turns"
)

// Enqueuer takes a report mail in. Prepare stores what is large ahead of the
// transaction, for the same env; EnqueueTx makes the mail part of tx; Wake, called
// after the commit, makes the queue look.
type Enqueuer interface {
	Prepare(ctx context.Context, env *delivery.Envelope, c delivery.Content) (delivery.Content, error)
	EnqueueTx(tx *store.Tx, env *delivery.Envelope, c delivery.Content) error
	Wake()
}

// Signer signs with the keys of the From domain; signing.Service is one.
type Signer interface {
	Sign(ctx context.Context, from dns.Name, msg []byte, extra []string) (fields []byte, err error)
	Keys(ctx context.Context, domain dns.Name) ([]signing.Key, error)
}

// Verifier checks the DKIM signatures of a message.
type Verifier interface {
	Verify(ctx context.Context, msg []byte) ([]dkim.Verification, error)
}

// Success is tlsrpt.report_success (RPT-8): which days without a failure are reported.
type Success string

// The values of Success. The zero value is SuccessPolicy.
const (
	SuccessPolicy Success = "policy" // where MTA-STS or TLSA applied
	SuccessAlways Success = "always"
	SuccessNever  Success = "never"
)

// Service makes, sends and receives reports. Its fields are set before its
// first use; its methods may be called from any goroutine, Run once at a time.
type Service struct {
	Store    *store.Store
	DNS      dns.Resolver
	Enqueuer Enqueuer // nil: no mail is sent
	Signer   Signer   // nil: no mail is sent
	Verifier Verifier // nil: package dkim with DNS
	// HTTP posts reports; nil: a client that asks DNS for addresses, refuses
	// private ones unless AllowPrivate, and verifies certificates. Redirects are
	// never followed, whatever it would do itself.
	HTTP         *http.Client
	AllowPrivate bool
	Roots        *x509.CertPool // authorities that HTTP's stand-in trusts; nil: the system's
	// Dial is how it connects, to an IP address and port; nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Hosted says whether a domain is ours.
	Hosted func(ctx context.Context, domain dns.Name) (bool, error)

	Hostname     dns.Name   // of this server; reports are sent from its nearest hosted, signing parent
	HostNames    []dns.Name // further names of ours that are policy domains (RPT-17)
	Organization string     // organization-name; "": the From domain
	FromLocal    string     // local part of the reporting address; "": tls-reports
	Success      Success
	// Off stops sending (tlsrpt.send = false). Send says the same of one
	// recipient domain; nil: all are reported to.
	Off  bool
	Send func(domain string) bool
	Cap  int // reports to one organisation on a UTC day (RPT-12); 0: 1,000
	// PerReporter is how much is stored of reports by mail that one organisation
	// has signed, about one organisation's domains, on a UTC day; PerDay of all.
	// One for each domain of ours in a report; 0: 100 and 20,000.
	PerReporter, PerDay int
	// OctetsPerDay is the same of all in octets, packed, of which one organisation
	// that signs may use an eighth; 0: 64 MiB.
	OctetsPerDay int64
	// Count is told of each report that came (in: taken, posted, over-cap) and of
	// what became of each that was due (out: the states of Made); nil: nobody.
	Count func(direction, result string)
	Keep  time.Duration // how long received and sent reports are kept; 0: 400 days

	// Postmaster is who is mailed when a clean domain gets its first failures
	// (RPT-18), "" if there is nobody; nil: no mail.
	Postmaster func(ctx context.Context) (string, error)
	Webhook    string // https URL that gets the same as JSON; "": none

	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: discard
	Guard *guard.Guard     // contains panics

	client sync.Once
	http   *http.Client

	examineOnce sync.Once
	examines    *turns.Turns

	hookOnce sync.Once
	hookHTTP *http.Client

	mu     sync.Mutex
	pruned time.Time      // when prune last ran
	days   map[int64]bool // known to be planned
	signs  []byte         // the secret of return paths, once read

	// commit is for tests that crash: it runs in every transaction, after all
	// else; its error undoes the transaction.
	commit func(*store.Tx) error
}

// write is Store.Write.
func (s *Service) write(ctx context.Context, fn func(*store.Tx) error) error {
	if s.commit == nil {
		return s.Store.Write(ctx, fn)
	}
	return s.Store.Write(ctx, func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return s.commit(tx)
	})
}

const (
	workers    = 4
	lease      = 10 * time.Minute   // longer than the longest work on one unit or delivery
	unitTime   = 5 * time.Minute    // which is bounded by this
	keepRows   = 7 * 24 * time.Hour // RPT-5
	keepReport = 400 * 24 * time.Hour
	longest    = time.Minute // between two looks: other machines may have made work
)

// Run does the daily runs and the deliveries by HTTPS until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for {
		next, err := s.Step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.log().Error("TLS reports", "error", err)
		}
		wait := min(max(next.Sub(s.now()), time.Second), longest)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Step does everything that is due by Now, and returns when it next should be
// called at the latest.
func (s *Service) Step(ctx context.Context) (time.Time, error) {
	var errs []error
	var all guard.Group // a panic of one must not keep the others from being done
	do := func(work func(context.Context) error) {
		all.Do(func() { errs = append(errs, work(ctx)) })
	}
	if !s.Off {
		do(s.planDays)
		do(func(ctx context.Context) error { return s.drain(ctx, s.nextUnit) })
		do(func(ctx context.Context) error { return s.drain(ctx, s.nextPost) })
	}
	do(s.alerts)
	do(func(ctx context.Context) error { return s.drain(ctx, s.nextHook) })
	do(s.pruneHourly)
	all.Wait()
	next, err := s.nextDue(ctx)
	return next, errors.Join(append(errs, err)...)
}

// drain calls work from a few goroutines until it says that nothing is left;
// mostly that is at once, and one asks for all.
func (s *Service) drain(ctx context.Context, work func(context.Context) (bool, error)) error {
	if more, err := work(ctx); !more || err != nil {
		return err
	}
	errs := make([]error, workers)
	var wg guard.Group
	for i := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				more, err := work(ctx)
				if err != nil || !more {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Service) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.New(slog.DiscardHandler)
}

// begin is when the reports of a day may start: 4 to 6 minutes after its end,
// another moment for each host and day (RPT-5).
func begin(day int64, host dns.Name) time.Time {
	h := fnv.New64a()
	h.Write([]byte(host.ASCII()))
	h.Write([]byte{byte(day), byte(day >> 8), byte(day >> 16)})
	jitter := time.Duration(h.Sum64() % uint64(2*time.Minute))
	return tlsresult.Start(day + 1).Add(4*time.Minute + jitter)
}

// spread is the pause between two of n reports: evenly over at most 4 hours,
// at most 5 minutes apart (RPT-5).
func spread(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	return min(5*time.Minute, 4*time.Hour/time.Duration(n))
}
