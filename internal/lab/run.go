package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/spool"
	"waxwing/tlsrpt"
)

// Lab is the internet with two Waxwings: one that sends every story's mail, and
// one that is told by TLS reports how it went.
type Lab struct {
	*Internet
	Sender   *Machine
	Receiver *Machine
	Stories  []Story
	Rows     []Row

	domains []*Domain // of the stories
	askers  []*Domain // of those who ask for DMARC reports
	failed  *Domain   // that asks for DMARC failure reports
	started time.Time
	dir     string
}

// Row is one story as it went: the line of the table, the object of --json.
type Row struct {
	Story     string   `json:"story"`
	Title     string   `json:"title"`
	Domain    string   `json:"domain"`
	Published string   `json:"published"`
	Decision  string   `json:"decision"`
	Basis     []string `json:"basis"`
	Outcome   string   `json:"outcome"`
	TLS       string   `json:"tls"`
	Status    string   `json:"status,omitempty"` // of the bounce
	Report    []Counts `json:"report"`
	OK        bool     `json:"ok"`
	Problems  []string `json:"problems,omitempty"` // why it is not ok
}

func (r *Row) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// New builds the lab with its two machines. Close ends it.
func New(ctx context.Context, stories []Story, log *slog.Logger) (*Lab, error) {
	return NewOn(ctx, stories, log, Databases{})
}

// Databases are the addresses of PostgreSQL databases for the two machines' stores. Empty
// ones are kept in files of the lab.
type Databases struct{ Sender, Receiver string }

// NewOn is New with stores in databases.
func NewOn(ctx context.Context, stories []Story, log *slog.Logger, on Databases) (_ *Lab, err error) {
	l := &Lab{Stories: stories}
	if l.Internet, err = NewInternet(); err != nil {
		return nil, err
	}
	if l.dir, err = os.MkdirTemp("", "waxwing-lab"); err != nil {
		return nil, err
	}
	// A whole day must lie before the next midnight: the stories' sessions are to
	// fall into one UTC day.
	if now := l.Clock.Now().UTC(); now.Truncate(24*time.Hour) != now.Add(time.Hour).Truncate(24*time.Hour) {
		l.Clock.Advance(time.Hour)
	}
	l.started = l.Clock.Now()
	var hosted []dns.Name
	for _, s := range stories {
		hosted = append(hosted, storyDomain(s))
	}
	for _, m := range []struct {
		at            **Machine
		domain, login string
		hosts         []dns.Name
		postgres      string
		extra         string
	}{{&l.Receiver, "receiver.test", "bob", hosted, on.Receiver, "[incoming]\ntrusted_forwarders = [\"" + listName + "\"]\n[dmarc]\nfailure_reports = true\n"}, {&l.Sender, "sender.test", "alice", nil, on.Sender, ""}} {
		dir := filepath.Join(l.dir, m.domain)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		*m.at, err = l.StartMachine(ctx, MachineSpec{Domain: m.domain, Account: m.login, Dir: dir, Hosts: m.hosts, Log: log, Postgres: m.postgres, Extra: m.extra})
		if err != nil {
			return nil, fmt.Errorf("lab: machine %s: %w", m.domain, err)
		}
	}
	return l, nil
}

// Close stops the machines and removes their files.
func (l *Lab) Close() error {
	var errs []error
	for _, m := range []*Machine{l.Sender, l.Receiver} {
		if m != nil && m.stop != nil {
			errs = append(errs, m.Stop())
		}
	}
	l.Internet.Close()
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}

func storyDomain(s Story) dns.Name { return dns.MustParse(s.Name + ".test") }

// Run tells all stories: the mails, midnight, the reports.
func (l *Lab) Run(ctx context.Context) error {
	for _, s := range l.Stories {
		if err := l.tell(ctx, s); err != nil {
			return fmt.Errorf("lab: story %s: %w", s.Name, err)
		}
	}
	if err := l.ask(ctx); err != nil {
		return fmt.Errorf("lab: the mail of domains that ask for DMARC reports: %w", err)
	}
	if err := l.askForFailures(ctx); err != nil {
		return fmt.Errorf("lab: the mail of a domain that asks for DMARC failure reports: %w", err)
	}
	l.Clock.Advance(l.started.UTC().Truncate(24 * time.Hour).Add(24*time.Hour + 2*time.Minute).Sub(l.Clock.Now()))
	if err := l.report(ctx); err != nil {
		return fmt.Errorf("lab: the next day's reports: %w", err)
	}
	if err := l.forge(ctx); err != nil {
		return fmt.Errorf("lab: story of the forged report: %w", err)
	}
	if err := l.arrive(ctx); err != nil {
		return fmt.Errorf("lab: stories of mail that comes in: %w", err)
	}
	if err := l.dmarcReports(ctx); err != nil {
		return fmt.Errorf("lab: stories of DMARC reports: %w", err)
	}
	if err := l.failureReport(ctx); err != nil {
		return fmt.Errorf("lab: story of a DMARC failure report: %w", err)
	}
	if err := l.strangersDMARC(ctx); err != nil {
		return fmt.Errorf("lab: stories of DMARC reports that come in: %w", err)
	}
	for i := range l.Rows {
		l.Rows[i].OK = len(l.Rows[i].Problems) == 0
	}
	return nil
}

// tell publishes one story's domain, sends its mail and waits until the queue
// knows what becomes of it.
func (l *Lab) tell(ctx context.Context, s Story) error {
	d, err := l.Publish(ctx, storyDomain(s), s.Publish, "mailto:"+reportAddress(l.Receiver))
	if err != nil {
		return err
	}
	l.domains = append(l.domains, d)
	r := Row{Story: s.Name, Title: s.Title, Domain: d.Name.ASCII(), Published: s.Publish.words(), Basis: []string{}, Report: []Counts{}}
	if s.Twice {
		if _, err := l.send(ctx, "first@"+d.Name.ASCII(), s.Need); err != nil {
			return err
		}
		// The record's TTL of a second must run out for the change to be seen.
		l.Clock.Advance(2 * time.Second)
		if err := s.Between(d); err != nil {
			return err
		}
	}
	to := s.To
	if to == "" {
		to = "you"
	}
	item, err := l.send(ctx, to+"@"+d.Name.ASCII(), s.Need)
	if err != nil {
		return err
	}
	if err := l.look(ctx, &r, item); err != nil {
		return err
	}
	l.compare(&r, s.Want)
	l.checkHosts(&r, s, d, item.Recipient.Address)
	l.Rows = append(l.Rows, r)
	return nil
}

func reportAddress(m *Machine) string { return "tls-reports@" + m.Domain.ASCII() }

// send submits a mail and waits for its first attempt to end.
func (l *Lab) send(ctx context.Context, to string, need delivery.TLSNeed) (spool.Item, error) {
	if err := l.Sender.Submit(ctx, Mail{From: l.Sender.Address(), To: to, Need: need, Body: "What will become of me?"}); err != nil {
		return spool.Item{}, err
	}
	return l.await(ctx, to)
}

func everyState() []spool.State {
	return []spool.State{spool.Waiting, spool.Leased, spool.Held, spool.Delivered, spool.Failed}
}

// await polls the sender's queue for what a person would look at.
func (l *Lab) await(ctx context.Context, to string) (spool.Item, error) {
	for end := time.Now().Add(30 * time.Second); ; {
		items, err := spool.List(ctx, l.Sender.Queue.Store, spool.Filter{Address: to, States: everyState()})
		if err != nil {
			return spool.Item{}, err
		}
		if len(items) > 0 {
			it := items[0]
			if it.State == spool.Delivered || it.State == spool.Failed || it.State == spool.Waiting && it.Recipient.Attempts > 0 {
				return it, nil
			}
		}
		if time.Now().After(end) {
			return spool.Item{}, fmt.Errorf("the mail to %s is not settled after 30 s", to)
		}
		select {
		case <-ctx.Done():
			return spool.Item{}, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// look fills a row with what the queue says of a recipient.
func (l *Lab) look(ctx context.Context, r *Row, it spool.Item) error {
	shown, err := spool.Show(ctx, l.Sender.Queue.Store, it.Envelope.ID)
	if err != nil {
		return err
	}
	switch it.State {
	case spool.Delivered:
		r.Outcome, r.TLS = delivered, it.TLS
	case spool.Failed:
		r.Outcome = bounced
		if r.Status, err = l.bounce(ctx, it.Recipient.Address); err != nil {
			return err
		}
	default:
		r.Outcome = waiting
	}
	if len(shown.Attempts) == 0 {
		r.problem("the queue kept no attempt")
		return nil
	}
	detail := shown.Attempts[len(shown.Attempts)-1].Detail
	var decisions []string
	for _, h := range detail.Hosts {
		decisions = append(decisions, decision(h))
		r.Basis = append(r.Basis, h.Basis.String())
	}
	if len(detail.Hosts) == 0 {
		decisions = append(decisions, "stop, "+string(it.Word))
	}
	r.Decision = strings.Join(decisions, "; ")
	return nil
}

// decision is what was decided of one host, in a few words.
func decision(h spool.HostDetail) string {
	label, _, _ := strings.Cut(h.Host, ".")
	switch {
	case h.Skip != nil:
		return label + ": skip, " + string(h.Skip.Word)
	case h.Verify != "none":
		return label + ": require " + h.Verify
	case h.Required:
		return label + ": require TLS"
	}
	return label + ": opportunistic"
}

// bounce waits for the DSN about a recipient in the sender's mailbox.
func (l *Lab) bounce(ctx context.Context, about string) (status string, err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		list, err := l.Sender.Mailboxes.List(ctx, l.Sender.Account, "INBOX", 100)
		if err != nil {
			return "", err
		}
		for _, m := range list {
			b, err := l.read(ctx, l.Sender, m.ID)
			if err != nil {
				return "", err
			}
			d, err := dsn.Parse(b)
			if err != nil {
				return "", fmt.Errorf("a mail to the sender is no DSN: %w", err)
			}
			for _, rc := range d.Recipients {
				if rc.Address == about {
					return rc.Status.String(), nil
				}
			}
		}
	}
	return "", fmt.Errorf("no DSN about %s came within 30 s", about)
}

func (l *Lab) read(ctx context.Context, m *Machine, id int64) ([]byte, error) {
	c, _, err := m.Mailboxes.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	rc, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

// compare holds what came of the mail against the story.
func (l *Lab) compare(r *Row, w Want) {
	if r.Outcome != w.Outcome {
		r.problem("the mail is %s, and should be %s", r.Outcome, w.Outcome)
	}
	if r.TLS != w.TLS {
		r.problem("it travelled with TLS %q, and should have with %q", r.TLS, w.TLS)
	}
	if r.Status != w.Status {
		r.problem("the bounce says %q, and should say %q", r.Status, w.Status)
	}
}

// checkHosts asks the hosts themselves: a mail that waits or came back must
// have reached nobody, one that was delivered exactly one host, in the way the
// queue says.
func (l *Lab) checkHosts(r *Row, s Story, d *Domain, to string) {
	var got []Received
	for _, m := range d.Hosts {
		for _, x := range m.Received() {
			if slices.Contains(x.To, to) {
				got = append(got, x)
			}
		}
	}
	switch {
	case r.Outcome != delivered && len(got) > 0:
		r.problem("a host took the mail although it is %s", r.Outcome)
	case r.Outcome == delivered && len(got) != 1:
		r.problem("hosts took the mail %d times", len(got))
	case r.Outcome == delivered && got[0].TLS == (r.TLS == "none"):
		r.problem("the host saw TLS=%v", got[0].TLS)
	case r.Outcome == delivered && got[0].RequireTLS != (s.Need == delivery.RequireTLS):
		r.problem("the host saw REQUIRETLS=%v", got[0].RequireTLS)
	}
}

// report makes the finished day's reports, waits until they arrived, and holds
// what the receiver stored against the stories.
func (l *Lab) report(ctx context.Context) error {
	if _, err := l.Sender.TLSReport.SendDay(ctx, outbox.SendOptions{Day: l.started}); err != nil {
		return err
	}
	if err := l.reportsSent(ctx); err != nil {
		return err
	}
	received, err := l.Receiver.TLSIntake.Reports(ctx, outbox.Filter{})
	if err != nil {
		return err
	}
	counts := map[dns.Name][]Counts{}
	for _, rep := range received {
		full, _, err := l.Receiver.TLSIntake.Show(ctx, rep.ID)
		if err != nil {
			return err
		}
		for _, p := range full.Policies {
			for _, d := range l.domains {
				if n, err := dns.ParseLax(p.Domain); err == nil && n.Under(d.Name) {
					counts[d.Name] = append(counts[d.Name], newCounts(p))
				}
			}
		}
	}
	for i, s := range l.Stories {
		d := l.domains[i]
		l.Rows[i].Report = append(l.Rows[i].Report, counts[d.Name]...)
		l.compareReport(&l.Rows[i], s.Want.Report, d)
	}
	return nil
}

// reportsSent waits until no report is on its way any more.
func (l *Lab) reportsSent(ctx context.Context) error {
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		sent, err := l.Sender.TLSReport.Sent(ctx, outbox.Filter{})
		if err != nil {
			return err
		}
		open := len(sent) == 0
		for _, s := range sent {
			open = open || s.State != "delivered"
			if s.State == "failed" {
				return fmt.Errorf("the report about %s failed: %+v", s.PolicyDomain, s.Deliveries)
			}
		}
		if !open {
			return nil
		}
	}
	return errors.New("reports are still on their way after a minute")
}

func newCounts(p tlsrpt.PolicyResult) Counts {
	c := Counts{PolicyType: p.Type, PolicyDomain: p.Domain, Successful: int(p.Success), Failed: int(p.Failed)}
	for _, d := range p.Details {
		if c.Failures == nil {
			c.Failures = map[tlsrpt.ResultType]int{}
		}
		c.Failures[d.Type] += int(d.Sessions)
	}
	return c
}

// compareReport fills in whom each policy is about and compares as sets.
func (l *Lab) compareReport(r *Row, want []Counts, d *Domain) {
	host := 0
	left := slices.Clone(r.Report)
	for _, w := range want {
		w.PolicyDomain = d.Name.ASCII()
		if w.PolicyType == tlsrpt.PolicyTLSA {
			w.PolicyDomain = d.HostNames[host].ASCII()
			host++
		}
		at := slices.IndexFunc(left, func(c Counts) bool { return c.equal(w) })
		if at < 0 {
			r.problem("no report says: %s", w)
			continue
		}
		left = slices.Delete(left, at, at+1)
	}
	for _, c := range left {
		r.problem("a report says, and should not: %s", c)
	}
}

func (c Counts) equal(o Counts) bool {
	return c.PolicyType == o.PolicyType && c.PolicyDomain == o.PolicyDomain && c.Successful == o.Successful && c.Failed == o.Failed &&
		maps.Equal(c.Failures, o.Failures)
}

// AllOK reports whether every story went as it should.
func (l *Lab) AllOK() bool {
	for _, r := range l.Rows {
		if !r.OK {
			return false
		}
	}
	return len(l.Rows) > 0
}
