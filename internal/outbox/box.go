package outbox

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/panics"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/message"
)

// Kind is what a report is about. Its number stands in the store for good and
// belongs to one package: 0 and 1 to tlsreport, 2 to alert, 3 to dmarcreport,
// 4 to dmarcfailure,
// 5 to dmarcreport.
type Kind int

// Family is one family of reports, as its own package describes it.
type Family struct {
	Name      string           // in the log and in errors: "TLS report"
	Noun      string           // of its commands: "tlsrpt"
	Kinds     []Kind           // what its reports are about
	HostKind  Kind             // the one about MX hosts; 0: none
	OneKind   Kind             // the one about single messages; 0: none
	PartKind  Kind             // the one about parts of a day, of a Maker that is Parted; 0: none
	Need      delivery.TLSNeed // of its mails
	Setting   string           // that Off comes from
	Purpose   delivery.Purpose // of its mails
	Local     string           // local part that its mails come from and bounce to, unless Box.FromLocal
	MediaType string           // of what is posted
	Area      guard.Area       // of a post that panics
	// Address reads an address of a domain's record; both fields are "" for one of
	// another scheme.
	Address func(uri string) (Address, error)
	// Blocked is an SQL condition on a unit, outbox_units AS u, that has to wait for
	// others; "": none has to.
	Blocked string
}

// Address is where reports go: a mail address or an https URL.
type Address struct{ Mail, HTTPS string }

// Maker makes the reports of a Family. It decides what is reported; when, by which
// machine and to whom is the Box's matter.
type Maker interface {
	// Units lists what there is to report of a day, in the order of its making.
	Units(tx *store.Tx, day int64) ([]Key, error)
	// Make composes the report of a unit, which comes from a domain. It changes
	// nothing; with an error the unit is made again when its lease ends.
	Make(ctx context.Context, u *Unit, from dns.Name) (Draft, error)
	// Forget removes what a report would be made of: its owner wants none (RPT-7).
	Forget(tx *store.Tx, u *Unit) error
}

// Parted is a Maker that has units about parts of a day, of PartKind.
type Parted interface {
	// Ended lists the units of a day that is not over whose own time is, for some minutes.
	Ended(tx *store.Tx, day int64, now time.Time) ([]Key, error)
}

// Draft is what a Maker makes of a unit.
type Draft struct {
	State State  // Reported; Open: it can be made later; or why there is none
	Note  string // says more
	About string // the policy domain, where the unit is named otherwise; "": as the unit
	RUA   []string
	// The rest is of a report alone.
	ID         string // report-id: the same unit always has the same
	OK, Failed int64
	Text       []byte // to be shown
	Body       []byte // as it is kept and posted
	Subject    string
	Fields     []message.Pair // further ones of the mail; the signature covers them
	Mail       message.Entity
}

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

// Box makes and sends the reports of one Family. Its fields are set before its
// first use; its methods may be called from any goroutine, Run and RunPosts once
// at a time. Store, DNS, Now and Log are needed.
type Box struct {
	Family
	Maker    Maker // nil: nothing is made, only posted
	Store    *store.Store
	DNS      dns.Resolver
	Enqueuer Enqueuer // nil: no mail is sent
	Signer   Signer   // nil: no mail is sent
	// HTTP posts reports; nil: a client that asks DNS for addresses, refuses
	// private ones unless AllowPrivate, and verifies certificates. Redirects are
	// never followed, whatever it would do itself.
	HTTP         *http.Client
	AllowPrivate bool
	// To is an https URL of the operator's that everything is posted to, instead of
	// addresses that strangers publish: it may be private, and is never suppressed.
	To    string
	Roots *x509.CertPool // authorities that HTTP's stand-in trusts; nil: the system's
	// Dial is how it connects, to an IP address and port; nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Hosted says whether a domain is ours; nil: none is.
	Hosted func(ctx context.Context, domain dns.Name) (bool, error)

	Hostname  dns.Name            // of this server; reports are sent from its nearest hosted, signing parent
	FromLocal string              // local part of the address they are sent from; "": Local
	Off       bool                // nothing is made or posted
	Cap       int                 // reports to one organisation on a UTC day (RPT-12); 0: 1,000
	Count     func(result string) // is told the state of each unit that is settled, or "error"; nil: nobody
	Keep      time.Duration       // how long sent reports are kept; 0: 400 days
	Now       func() time.Time
	Log       *slog.Logger
	Guard     *guard.Guard // contains panics

	// Crash is for tests: it runs in every transaction, after all else; its error
	// undoes the transaction.
	Crash func(*store.Tx) error

	planned sync.Map               // days whose units are there
	secret  atomic.Pointer[[]byte] // signs return paths; nil: not read yet

	client sync.Once
	http   *http.Client
	posts  sync.Once
	added  chan struct{} // a post was
}

func (b *Box) write(ctx context.Context, fn func(*store.Tx) error) error {
	if b.Crash == nil {
		return b.Store.Write(ctx, fn)
	}
	return b.Store.Write(ctx, func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return b.Crash(tx)
	})
}

func (b *Box) count(result string) {
	if b.Count != nil {
		b.Count(result)
	}
}

// kinds are Kinds as a list of SQL.
func (b *Box) kinds() string {
	return "(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(b.Kinds), " ", ", "), "[]") + ")"
}

const (
	workers    = 4
	lease      = 10 * time.Minute   // longer than the longest work on one unit or post
	unitTime   = 5 * time.Minute    // which is bounded by this
	catchUp    = 7 * 24 * time.Hour // days that were missed are reported for so long, and their units kept (RPT-5)
	keepReport = 400 * 24 * time.Hour
	longest    = time.Minute // between two looks: other machines may have made work
)

// Run makes the reports of each day until ctx ends.
func (b *Box) Run(ctx context.Context) error { return b.Loop(ctx, nil, b.Step) }

// RunPosts posts what goes by HTTPS until ctx ends.
func (b *Box) RunPosts(ctx context.Context) error { return b.Loop(ctx, b.wake(), b.StepPosts) }

// Loop calls step whenever it has asked for it, a minute later at most, and when
// it is woken, until ctx ends.
func (b *Box) Loop(ctx context.Context, wake <-chan struct{}, step func(context.Context) (time.Time, error)) error {
	for {
		next, err := step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			b.Log.Error(b.Name+"s", "error", err)
		}
		timer := time.NewTimer(min(max(next.Sub(b.Now()), time.Second), longest))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Step makes the reports that are due by Now, and returns when it next should be
// called at the latest.
func (b *Box) Step(ctx context.Context) (next time.Time, err error) {
	if b.Off {
		return b.Now().Add(longest), nil
	}
	var planned error
	var all guard.Group // a panic while planning must not keep what is planned from being made
	all.Do(func() { planned = b.planDays(ctx) })
	all.Do(func() { next, err = b.drain(ctx, b.unitDue, b.nextUnit) })
	all.Wait()
	return next, errors.Join(planned, err)
}

// StepPosts posts what is due by Now, and returns when it next should be called
// at the latest.
func (b *Box) StepPosts(ctx context.Context) (time.Time, error) {
	if b.Off {
		return b.Now().Add(longest), nil
	}
	return b.drain(ctx, b.postDue, b.nextPost)
}

// wake is read by RunPosts.
func (b *Box) wake() chan struct{} {
	b.posts.Do(func() { b.added = make(chan struct{}, 1) })
	return b.added
}

// WakePosts makes RunPosts look, after the commit of what Post has added.
func (b *Box) WakePosts() {
	select {
	case b.wake() <- struct{}{}:
	default: // it is going to look already
	}
}

// drain calls work from a few goroutines until it says that nothing is left, and
// returns when more is due.
func (b *Box) drain(ctx context.Context, due func(context.Context) (time.Time, error), work func(context.Context) (bool, error)) (time.Time, error) {
	next, err := due(ctx)
	if err != nil || next.After(b.Now()) {
		return next, err
	}
	errs := make([]error, workers)
	var wg guard.Group
	for i := range workers {
		wg.Go(func() {
			for more := true; more && errs[i] == nil && ctx.Err() == nil; {
				more, errs[i] = work(ctx)
			}
		})
	}
	wg.Wait()
	next, err = due(ctx)
	return next, errors.Join(append(errs, err)...)
}

// noteInternal is the note of what was settled as failed for its panics.
const noteInternal = "given up: an internal error of this server, which is in its log"

// contain does a piece of work that this machine has claimed. After a panic it is
// done again when the lease ends, and with panics.Most of them it is settled as
// failed (OPS-9): the others go on. It reports whether that is so.
func (b *Box) contain(ctx context.Context, area guard.Area, key string, fail func(*store.Tx) error, work func() error) (failed bool, err error) {
	err = b.Guard.Try(area, work, "unit", key)
	if !guard.Contained(err) {
		return false, err
	}
	n, err := panics.Count(ctx, b.Store, area, key, b.Now())
	if n < panics.Most || err != nil {
		return false, err
	}
	if err := b.write(ctx, fail); err != nil && !errors.Is(err, ErrLost) {
		return false, fmt.Errorf("settle %s %s as failed: %w", area, key, err)
	}
	b.Log.Error("given up after panics", "area", string(area), "unit", key, "panics", n)
	return true, nil
}
