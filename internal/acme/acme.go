// Package acme keeps the host's certificates: it asks an authority for them by ACME
// (RFC 8555), for keys that were made beforehand and never for another one (CRT-1,
// CRT-6), renews them, and lets the next key take over once DNS has shown its record
// for long enough (CRT-3). What is done when is decided by packages renewal and
// keystage.
//
// Challenges: tls-alpn-01 (RFC 8737), http-01, dns-01 by an update of the zone, and
// dns-persist-01 (draft-ietf-acme-dns-persist). Renewal information: RFC 9773.
// External accounts: RFC 8555 §7.3.4. Several machines share store and account; of
// each certificate one machine is the renewer, by lease.
package acme

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/alert"
	"waxwing/internal/certs"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/internal/hostkeys"
	"waxwing/internal/keystage"
	"waxwing/internal/renewal"
	"waxwing/internal/zones"
)

// Service keeps the certificates. Run and RunShow are its services.
type Service struct {
	Host    dns.Name
	Keys    *hostkeys.Stages
	Certs   *certs.Store
	Book    *certs.Book
	CA      *CA          // nil: no authority; the host's keys vouch for themselves
	Zones   *zones.Asker // nil: DNS is not looked at, and no key takes over
	Rules   keystage.Rules
	Alerts  *alert.Service // nil: nobody is told
	Metrics Metrics        // nil: nothing is counted
	// Names are those beside the host that want a certificate now; nil: none.
	Names func(ctx context.Context) ([]dns.Name, error)
	// RollAfter asks for a roll-over of a key of this age; 0: never.
	RollAfter time.Duration
	// HostFiles: the host shows a certificate of files, so that its keys are for other
	// names alone and none takes over.
	HostFiles bool
	// AddKeys makes a new next key after a roll-over.
	AddKeys bool
	Now     func() time.Time
	Log     *slog.Logger

	mu    sync.Mutex
	owner string                      // of leases: this process
	shown map[string]*tls.Certificate // self-signed, by digest
	said  map[string]string           // what was logged last, by what it is about
	lost  map[keystage.Want]time.Time // attempts whose end the store has not noted
}

// Metrics are told how certificates and keys stand; *metrics.Metrics is.
type Metrics interface {
	Certificate(of, algorithm string, until time.Time)
	HostKey(algorithm, role, stage string)
	CertificateAttempt(ok bool)
}

const (
	// pause is how often it looks whether there is something to do.
	pause = 10 * time.Second
	// lookPause is how often the zone's servers are asked.
	lookPause = 30 * time.Minute
	// lease is for how long a machine has a certificate to ask for to itself; longer
	// than issuing may take.
	lease     = 15 * time.Minute
	issueTime = 10 * time.Minute
	// windowPause is how often an authority is asked for its window, at least and at most.
	windowLeast, windowMost = time.Hour, 24 * time.Hour
)

// Run does what is due until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for {
		if err := s.Step(ctx); err != nil && ctx.Err() == nil {
			s.once("step", err.Error(), func() { s.Log.Error("certificates and host keys cannot be looked after", "error", err) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// once calls say unless the same was said of it the last time.
func (s *Service) once(about, what string, say func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said == nil {
		s.said = map[string]string{}
	}
	if s.said[about] != what {
		s.said[about] = what
		say()
	}
}

// Step does what is due now.
func (s *Service) Step(ctx context.Context) error {
	rolls, err := s.rolls(ctx)
	if err == nil {
		err = s.look(ctx)
	}
	if err == nil {
		rolls, err = s.rolls(ctx)
	}
	if err != nil {
		return err
	}
	names, err := s.names(ctx)
	if err != nil {
		return err
	}
	var errs []error
	errs = append(errs, s.twins(ctx))
	if s.CA != nil {
		errs = append(errs, s.certificates(ctx, rolls, names))
	}
	if !s.HostFiles {
		errs = append(errs, s.turn(ctx, rolls))
	}
	return errors.Join(append(errs, s.Show(ctx))...)
}

// rolls are the keys, with a roll-over asked for of those that are old.
func (s *Service) rolls(ctx context.Context) ([]hostkeys.Roll, error) {
	rolls, err := s.Keys.Sync(ctx)
	if err != nil {
		return nil, err
	}
	for i, r := range rolls {
		if s.RollAfter > 0 && s.Now().Sub(r.Current.Key.Promoted) >= s.RollAfter {
			rolls[i].Wanted = true
		}
	}
	return rolls, nil
}

// maxNames bounds the certificates of further names.
const maxNames = 1000

func (s *Service) names(ctx context.Context) ([]string, error) {
	if s.Names == nil {
		return nil, nil
	}
	names, err := s.Names(ctx)
	if err != nil {
		return nil, fmt.Errorf("the names that want certificates: %w", err)
	}
	var out []string
	for _, n := range names {
		if len(out) < maxNames {
			out = append(out, n.ASCII())
		}
	}
	return out, nil
}

// certificates asks for those that are due.
func (s *Service) certificates(ctx context.Context, rolls []hostkeys.Roll, names []string) error {
	all, err := s.Certs.All(ctx)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var errs []error
	var group guard.Group
	places := make(chan struct{}, sideBySide)
	for _, wants := range byName(s.wants(rolls, names)) {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			defer func() { <-places }()
			for _, w := range wants {
				if err := s.certificate(ctx, rolls, find(all, w), w); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// sideBySide is how many names are asked for at a time: an authority that takes its time
// with one holds up no other, as long as it does so with fewer than these.
const sideBySide = 8

// byName puts the certificates of a name together: of one name only one is asked for at a
// time (certs.Store.Take).
func byName(all []keystage.Want) (names [][]keystage.Want) {
	at := map[string]int{}
	for _, w := range all {
		i, there := at[w.Name]
		if !there {
			i = len(names)
			at[w.Name], names = i, append(names, nil)
		}
		names[i] = append(names[i], w)
	}
	return names
}

// certificate does what is due about one certificate.
func (s *Service) certificate(ctx context.Context, rolls []hostkeys.Roll, have certs.Issued, w keystage.Want) error {
	d := renewal.Decide(have.Cert(), have.Tries, s.Now())
	if d.Alert != "" {
		s.tellCertificate(ctx, w, have, d.Alert)
	}
	if d.Renew || !have.Asked.IsZero() {
		return s.renew(ctx, w, key(rolls, w.Key))
	}
	s.window(ctx, have)
	return nil
}

// wants are the certificates that there should be.
func (s *Service) wants(rolls []hostkeys.Roll, names []string) []keystage.Want {
	var stages []keystage.Roll
	for _, r := range rolls {
		stages = append(stages, r.Roll)
	}
	host := s.Host.ASCII()
	if s.HostFiles {
		host = ""
	}
	return keystage.Wants(host, names, stages, s.Rules, s.Now())
}

// ErrUnknownName: no certificate is wanted for it.
var ErrUnknownName = errors.New("no certificate is wanted for this name: \"waxwing cert list\" shows those that are")

// Ask has the certificates of a name asked for now, and says how many they are.
func (s *Service) Ask(ctx context.Context, name string) (n int, err error) {
	rolls, err := s.rolls(ctx)
	if err != nil {
		return 0, err
	}
	names, err := s.names(ctx)
	if err != nil {
		return 0, err
	}
	for _, w := range s.wants(rolls, names) {
		if w.Name != name {
			continue
		}
		if err := s.Certs.Ask(ctx, w.Name, w.Key); err != nil {
			return n, err
		}
		n++
	}
	if n == 0 {
		err = fmt.Errorf("%s: %w", name, ErrUnknownName)
	}
	return n, err
}

// Want asks for a roll-over of the keys of an algorithm, or of all for "", or takes
// that back.
func (s *Service) Want(ctx context.Context, a hostkeys.Algorithm, wanted bool) error {
	rolls, err := s.Keys.Sync(ctx)
	if err != nil {
		return err
	}
	if len(rolls) == 0 {
		return ErrNoKeys
	}
	for _, r := range rolls {
		if a == "" || r.Algorithm == a {
			if err := s.Keys.Want(ctx, r, wanted); err != nil {
				return err
			}
		}
	}
	return nil
}

func find(all []certs.Issued, w keystage.Want) certs.Issued {
	for _, i := range all {
		if i.Name == w.Name && i.Key == w.Key {
			return i
		}
	}
	return certs.Issued{Name: w.Name, Key: w.Key}
}

// key is the key with a digest; nil where this machine does not have it.
func key(rolls []hostkeys.Roll, digest string) *hostkeys.Key {
	for _, r := range rolls {
		if k, ok := r.Keys[digest]; ok {
			return &k
		}
	}
	return nil
}

// renew asks for one certificate. A failure is noted in the store; the error is that
// it could not be.
func (s *Service) renew(ctx context.Context, w keystage.Want, k *hostkeys.Key) (err error) {
	if k == nil {
		s.once("key "+w.Key, "missing", func() {
			s.Log.Error("this machine does not have a key that the host uses: copy the file from the machine that has it", "host", s.Host.ASCII(), "digest", w.Key, "directory", s.Keys.Dir)
		})
		return nil
	}
	have, mine, err := s.Certs.Take(ctx, w.Name, w.Key, s.self(), lease)
	if err != nil || !mine {
		return err
	}
	defer func() {
		err = errors.Join(err, s.Certs.GiveBack(context.WithoutCancel(ctx), w.Name, s.self()))
	}()
	if !renewal.Decide(have.Cert(), have.Tries, s.Now()).Renew && have.Asked.IsZero() {
		return nil // another machine was faster
	}
	if !s.begin(w, have.Asked) {
		return nil
	}
	s.Log.Info("asking for a certificate", "name", w.Name, "key", k.ID, "authority", s.CA.Directory)
	bounded, cancel := context.WithTimeout(ctx, issueTime)
	defer cancel()
	bounded, wait := waiting(bounded)
	chain, err := s.CA.Obtain(bounded, w.Name, *k, have.Leaf())
	if ctx.Err() != nil {
		return ctx.Err() // it is no failure of anybody
	}
	if s.Metrics != nil {
		s.Metrics.CertificateAttempt(err == nil)
	}
	if err != nil {
		why, until := explain(err), wait.until()
		s.Log.Error("no certificate was issued, it is tried again later", "name", w.Name, "key", k.ID, "failures", have.Failures+1, "error", why)
		return s.end(w, s.Certs.Failed(ctx, w.Name, w.Key, foreign.Text(why, 1000), until))
	}
	if err := s.end(w, s.Certs.Put(ctx, certs.New{Name: w.Name, Key: w.Key, Chain: chain, WindowAt: s.Now()})); err != nil {
		return fmt.Errorf("the certificate that was issued for %s is not kept: %w", w.Name, err)
	}
	s.Log.Info("certificate issued", "name", w.Name, "key", k.ID)
	return nil
}

// lostPause is how long nobody asks again after an attempt whose end the store did not
// note, or that panicked: each might use up the authority's limit for nothing.
const lostPause = time.Hour

// begin begins an attempt; false: the last one's end was not noted, just now. An operator
// who asked since then may have mended what was in the way, and is heard.
func (s *Service) begin(w keystage.Want, asked time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, lost := s.lost[w]; lost && s.Now().Sub(at) < lostPause && !asked.After(at) {
		return false
	}
	if s.lost == nil {
		s.lost = map[keystage.Want]time.Time{}
	}
	s.lost[w] = s.Now()
	return true
}

// end ends it, unless that was not noted.
func (s *Service) end(w keystage.Want, err error) error {
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.lost, w)
	}
	return err
}

// self is whom this machine's leases belong to. Two machines may have the same name, such as
// copies of one, and would else both hold a lease.
func (s *Service) self() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == "" {
		s.owner = s.Keys.Machine + " " + rand.Text()
	}
	return s.owner
}

// window asks the authority when it wants a certificate renewed (RFC 9773), in its time.
func (s *Service) window(ctx context.Context, have certs.Issued) {
	leaf := have.Leaf()
	if leaf == nil || s.Now().Before(have.WindowAt) {
		return
	}
	w, next, err := s.CA.Window(ctx, leaf)
	if err != nil { // it has none, or is away: the certificate's own life decides
		s.Log.Debug("the authority suggests no time for renewal", "name", have.Name, "error", err)
		w, next = have.Window, s.Now().Add(windowLeast)
	}
	wait := min(max(next.Sub(s.Now()), windowLeast), windowMost)
	if err := s.Certs.SetWindow(ctx, have.Name, have.Key, w, s.Now().Add(wait)); err != nil && ctx.Err() == nil {
		s.Log.Warn("the authority's time for renewal was not noted", "name", have.Name, "error", err)
	}
}

// turn lets next keys take over that may, and old ones go.
func (s *Service) turn(ctx context.Context, rolls []hostkeys.Roll) error {
	all, err := s.Certs.All(ctx)
	if err != nil {
		return err
	}
	for _, r := range rolls {
		d := keystage.Decide(r.Roll, s.Rules, s.Now())
		if d.Alert != "" {
			s.tellUnseen(ctx, r)
		}
		if err := s.Keys.Drop(ctx, d.Drop); err != nil {
			return err
		}
		if d.Promote {
			if err := s.promote(ctx, r, all); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookFresh is how old the last look at the zone's servers is when a key takes over: a
// record that was taken back since is seen.
const lookFresh = time.Minute

// promote has the next key take over, if it may also by a look that is made now, and if
// there is a good certificate for it.
func (s *Service) promote(ctx context.Context, r hostkeys.Roll, all []certs.Issued) error {
	next := find(all, keystage.Want{Name: s.Host.ASCII(), Key: r.Next.Key.ID})
	if s.CA != nil && !renewal.Good(next.Cert(), s.Now()) {
		return nil
	}
	if s.Zones != nil && s.Now().Sub(r.Next.Sight.Last) > lookFresh {
		if err := s.Look(ctx); err != nil {
			return err
		}
		var err error
		if r, err = s.again(ctx, r); err != nil {
			return err
		}
	}
	d := keystage.Decide(r.Roll, s.Rules, s.Now())
	if !keystage.Takes(d, s.CA != nil, renewal.Good(next.Cert(), s.Now())) || s.Zones != nil && s.Now().Sub(r.Next.Sight.Last) > lookFresh {
		return nil
	}
	err := s.Keys.Promote(ctx, r)
	if errors.Is(err, hostkeys.ErrChanged) {
		return nil // another machine was faster
	}
	if err != nil {
		return err
	}
	s.Log.Info("the next host key is in use; the old one's TLSA record must stay for now", "host", s.Host.ASCII(), "key", r.ID(r.Next.Key.ID), "old", r.ID(r.Current.Key.ID))
	return s.addKey(ctx, r.Algorithm)
}

// again is a roll as it is now.
func (s *Service) again(ctx context.Context, r hostkeys.Roll) (hostkeys.Roll, error) {
	rolls, err := s.rolls(ctx)
	for _, x := range rolls {
		if x.Algorithm == r.Algorithm {
			return x, err
		}
	}
	return r, err
}

// addKey makes a next key where there is none.
func (s *Service) addKey(ctx context.Context, a hostkeys.Algorithm) error {
	if !s.AddKeys {
		return nil
	}
	rolls, err := s.Keys.Sync(ctx)
	if err != nil {
		return err
	}
	for _, r := range rolls {
		if r.Algorithm != a || r.Next != nil {
			continue
		}
		keys, err := hostkeys.Read(s.Keys.Dir)
		if err != nil {
			return err
		}
		k, err := hostkeys.Add(s.Keys.Dir, a, keys)
		if err != nil {
			return err
		}
		s.Log.Info("a new next host key is made: publish its TLSA record when you like", "host", s.Host.ASCII(), "key", k.ID, "record", k.TLSA())
	}
	return nil
}

// tellCertificate alerts the operator, once for each certificate and urgency.
func (s *Service) tellCertificate(ctx context.Context, w keystage.Want, have certs.Issued, a renewal.Alert) {
	end, serial := "there is none yet", "none"
	if leaf := have.Leaf(); leaf != nil {
		end, serial = "it ends on "+leaf.NotAfter.UTC().Format("2 January 2006 15:04 UTC"), leaf.SerialNumber.Text(16)
	}
	subject := map[renewal.Alert]string{
		renewal.Never:   "No certificate has been issued for " + w.Name,
		renewal.Early:   "The certificate for " + w.Name + " is not valid yet: the clock of this machine may be wrong",
		renewal.Late:    "The certificate for " + w.Name + " is not being renewed",
		renewal.Urgent:  "The certificate for " + w.Name + " ends soon",
		renewal.Expired: "The certificate for " + w.Name + " has ended",
	}[a]
	last := have.Error
	if last == "" {
		last = "there was no attempt: see the log"
	}
	s.tell(ctx, alert.Notice{
		What: strings.Join([]string{string(a), w.Name, w.Key, serial}, " "), Event: string(a), Subject: subject,
		Text: fmt.Sprintf("%s: %s.\n\nThe last attempt to get one: %s\n\nAttempts that failed since the last success: %d\nSee: waxwing cert list\nTry at once: waxwing cert issue %s\n",
			subject, end, last, have.Failures, w.Name),
	})
}

// twins alerts that two machines say they are the same one, as a machine and its copy do.
// Each counts for roll-overs; what is written of one by its name may be of the other.
func (s *Service) twins(ctx context.Context) error {
	n, err := s.Keys.Twins(ctx)
	if err != nil || n == 0 {
		return err
	}
	s.tell(ctx, alert.Notice{
		What: "machine-twice " + s.Keys.Machine, Event: "machine-twice",
		Subject: "Two machines of " + s.Host.ASCII() + " have the same name",
		Text:    fmt.Sprintf("%d other running machine(s) that share this store call themselves %s, as copies of a machine do. Each is counted when a key is to take over, but logs and the queue cannot tell them apart.\n\nGive each its own name (hostnamectl hostname NAME), and start the server there anew.\n", n, s.Keys.Machine),
	})
	return nil
}

// tellUnseen alerts that DNS has TLSA records, and not that of the key in use: senders
// that keep to DANE cannot deliver.
func (s *Service) tellUnseen(ctx context.Context, r hostkeys.Roll) {
	digest := r.Current.Key.ID
	s.tell(ctx, alert.Notice{
		What: "current-unseen " + s.Host.ASCII() + " " + digest, Event: string(keystage.CurrentUnseen),
		Subject: "DNS lacks the TLSA record of the key of " + s.Host.ASCII(),
		Text: fmt.Sprintf("A server of the zone has TLSA records for %[1]s without that of the key in use (%[2]s): mail from senders that keep to DANE may wait.\n\nPublish at once, at every server:\n\n_25._tcp.%[1]s. IN TLSA 3 1 1 %[3]s\n\nSee: waxwing cert keys\n",
			s.Host.ASCII(), r.ID(digest), digest),
	})
}

func (s *Service) tell(ctx context.Context, n alert.Notice) {
	s.once(n.What, n.Event, func() { s.Log.Error(n.Subject, "word", n.Event) })
	if s.Alerts == nil {
		return
	}
	if err := s.Alerts.Tell(ctx, n); err != nil && ctx.Err() == nil {
		s.Log.Error("the operator was not told, it is tried again", "error", err)
	}
}
