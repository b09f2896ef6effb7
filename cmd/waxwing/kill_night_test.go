package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/delivery"
	"waxwing/internal/freeport"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/tlsresult"
	"waxwing/message"
	wsmtp "waxwing/smtp"
	"waxwing/smtpserver"
	"waxwing/tlsrpt"
)

// TestKillNight kills serving waxwings again and again while they make and send
// the TLS reports of two past days (RPT-11). A report by mail is composed and
// queued once and comes once; one by https may come again with the same id and
// the same text, but only if a kill stands between; none is lost, and each says
// what was recorded. As with all mail, a copy too many may come from the window
// between the remote's 250 and our commit, if a kill falls into it; so in half of
// the runs no mail is taken before the last kill, and then each comes once.
func TestKillNight(t *testing.T) {
	if testing.Short() {
		t.Skip("kills servers dozens of times; not with -short")
	}
	t.Parallel()
	for _, taken := range []bool{true, false} {
		name := map[bool]string{true: "mail taken at once", false: "mail taken when the killing is over"}[taken]
		t.Run("sqlite, "+name, func(t *testing.T) {
			killNights(t, func(t *testing.T) int64 { return killNight(t, "", 1, taken) })
		})
		t.Run("two on postgres, "+name, func(t *testing.T) {
			storetest.Postgres(t) // skips all nights at once
			killNights(t, func(t *testing.T) int64 { return killNight(t, storetest.Postgres(t), 2, taken) })
		})
	}
}

// killNights has one night after the other, for a fast machine is done with one
// before it was killed often.
func killNights(t *testing.T, night func(*testing.T) int64) {
	const enough = 15
	var kills int64
	for range 10 {
		t.Run("night", func(t *testing.T) { kills += night(t) })
		if kills >= enough || t.Failed() {
			break
		}
	}
	if kills < enough && !t.Failed() {
		t.Errorf("only %d kills: too few to show anything", kills)
	}
}

const (
	nightDomains = 40
	nightHosts   = 8 // domains share them
	nightDays    = 2
)

// night is the machines that make the reports, who gets them, and what came.
type night struct {
	t        *testing.T
	machines []*killed
	kills    atomic.Int64
	events   atomic.Int64
	closed   atomic.Bool // the mail host takes nothing for now
	days     []time.Time

	mu   sync.Mutex
	came map[string][]arrival // by report-id and address
}

// arrival is a report that came, and how many kills there were when its connection
// was made: what a server sent before it died may be read after that.
type arrival struct {
	kills int64
	what  string // hash of all of it
	sums  string // of its sessions
}

func killNight(t *testing.T, postgres string, machines int, taken bool) (kills int64) {
	n := &night{t: t, came: map[string][]arrival{}}
	n.closed.Store(!taken)
	for d := range nightDays {
		n.days = append(n.days, time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -2-d))
	}
	n.setup(postgres, machines)
	n.seed()
	rounds := 0
	for ; rounds < 25 && !n.done(); rounds++ { // a slow machine gets less done in each
		n.once()
	}
	n.closed.Store(false)
	n.settle(!taken)
	n.check(rounds)
	return n.kills.Load()
}

func (n *night) setup(postgres string, machines int) {
	t := n.t
	sink, posts, roots := n.mailHost(), n.receiver(), filepath.Join(t.TempDir(), "roots.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: posts.Certificate().Raw})
	if err := os.WriteFile(roots, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	records := []string{"sink MX 10 mx.sink", "mx.sink A 127.0.0.1"}
	for i := range nightDomains - 1 { // the last one wants no reports
		records = append(records, fmt.Sprintf("_smtp._tls.d%d TXT %q", i, "v=TLSRPTv1; rua="+strings.Join(n.addresses(i, posts.URL), ",")))
	}
	for i := range nightHosts {
		records = append(records, fmt.Sprintf("_smtp._tls.mx%d TXT %q", i, "v=TLSRPTv1; rua=mailto:hosts@sink.test"))
	}
	zones, err := dnstest.Start(dnstest.Zone{Name: "test", Security: dns.Insecure, Records: records})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(zones.Close)
	for i := range machines {
		k := &killed{t: t, dir: t.TempDir(), sub: freeport.Addr(t)}
		n.machines = append(n.machines, k)
		k.command("", "quickstart", "-local", "-dir", k.dir, "-hostname", fmt.Sprintf("mail%d.local.test", i), "you@local.test")
		conf := fmt.Sprintf(`hostname = "mail%d.local.test"
data_dir = %q
postgres = %q
[[listen]]
address = %q
kind = "submission"
[tls]
local_ca = true
roots_file = %q
[resolver]
servers = [%q]
selftest = { signed = "", bogus = "", large = "" }
[delivery]
allow_private = true
port = %d
[limits]
messages_per_day = 0
recipients_per_day = 0
[tlsrpt]
max_per_organization = 100000
[log]
level = "error"
`, i, filepath.Join(k.dir, "data"), postgres, k.sub, roots, zones.Addr(), sink)
		if err := os.WriteFile(filepath.Join(k.dir, "waxwing.toml"), []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := n.machines[0]
	if postgres != "" {
		first.command("", "store", "init")
		first.command("", "domain", "add", "local.test")
	}
	first.command("", "dkim", "add", "-now", "-selector", "night", "local.test")
}

// addresses are where a domain wants its reports.
func (n *night) addresses(domain int, url string) []string {
	const mail, other = "mailto:tls@sink.test", "mailto:other@sink.test"
	url += fmt.Sprintf("/d%d", domain)
	return [][]string{{mail}, {url}, {mail, url}, {other, mail}}[domain%4]
}

// open opens the store from outside; it is closed before a machine starts.
func (n *night) open(fn func(*store.Store)) {
	n.t.Helper()
	cfg, err := config.Load(filepath.Join(n.machines[0].dir, "waxwing.toml"))
	if err != nil {
		n.t.Fatal(err)
	}
	if _, err := datadir.InitStore(context.Background(), cfg, nil); err != nil {
		n.t.Fatal(err)
	}
	s, err := datadir.OpenStore(context.Background(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		n.t.Fatal(err)
	}
	defer s.Close()
	fn(s)
}

// sessions are what was seen of a domain on a day: some met MTA-STS; of those at
// its host with DANE one in two failed.
func sessions(domain, day int) (sts, daneOK, daneFailed int) {
	return domain%3 + 1 + day, (domain + 1) % 2, domain % 2 * (day + 1)
}

func (n *night) seed() {
	n.open(func(s *store.Store) {
		for day, at := range n.days {
			err := s.Write(context.Background(), func(tx *store.Tx) error {
				for i := range nightDomains {
					if err := tlsresult.Save(tx, at.Add(12*time.Hour), seen(i, day)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				n.t.Fatal(err)
			}
		}
	})
}

func seen(domain, day int) (out []delivery.Observation) {
	name, mx := dns.MustParse(fmt.Sprintf("d%d.test", domain)), dns.MustParse(fmt.Sprintf("mx%d.test", domain%nightHosts))
	sts, ok, failed := sessions(domain, day)
	met := delivery.Observation{RecipientDomain: name, Type: tlsrpt.PolicySTS, PolicyDomain: name, Strings: []string{"version: STSv1"}, OK: 1}
	dane := delivery.Observation{RecipientDomain: name, Type: tlsrpt.PolicyTLSA, PolicyDomain: mx, Strings: []string{"3 1 1 aa"}, OK: 1}
	bad := dane
	bad.OK, bad.Failed = 0, 1
	bad.Details = []delivery.Detail{{Type: tlsrpt.ValidationFailure, MXHostname: mx.ASCII(), Reason: "dane-no-match", Count: 1}}
	for o, times := range map[*delivery.Observation]int{&met: sts, &dane: ok, &bad: failed} {
		for range times {
			out = append(out, *o)
		}
	}
	return out
}

// wanted is every report that must come, by id and address, with its sums.
func (n *night) wanted() map[string]string {
	want := map[string]string{}
	for day, at := range n.days {
		hosts := make([][2]int, nightHosts)
		id := func(kind, name string) string {
			return fmt.Sprintf("%s.%s.%s@local.test", at.Format(time.DateOnly), kind, name)
		}
		for i := range nightDomains {
			sts, ok, failed := sessions(i, day)
			h := &hosts[i%nightHosts]
			h[0], h[1] = h[0]+ok, h[1]+failed
			if i == nightDomains-1 {
				continue
			}
			for _, a := range n.addresses(i, "") {
				want[id("domain", fmt.Sprintf("d%d.test", i))+" "+a] = fmt.Sprintf("%d ok, %d failed", sts+ok, failed)
			}
		}
		for i, h := range hosts {
			want[id("host", fmt.Sprintf("mx%d.test", i))+" mailto:hosts@sink.test"] = fmt.Sprintf("%d ok, %d failed", h[0], h[1])
		}
	}
	return want
}

// age lets the leases of the dead run out, and what is planned for later in the
// night come due; nobody runs meanwhile.
func (n *night) age() {
	n.open(func(s *store.Store) {
		err := s.Write(context.Background(), func(tx *store.Tx) error {
			if _, err := tx.Exec(`UPDATE outbox_units SET due = 0 WHERE state = 'open'`); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE outbox_deliveries SET due = 0 WHERE state = 'waiting'`)
			return err
		})
		if err != nil {
			n.t.Fatal(err)
		}
	})
}

// left is how much is still to be done, by the store.
func left(t *testing.T, s *store.Store) (units, deliveries int) {
	t.Helper()
	err := s.Read(context.Background(), func(tx *store.Tx) error {
		if err := tx.Row(`SELECT count(*) FROM outbox_units WHERE state <> 'open'`).Scan(&units); err != nil {
			return err
		}
		return tx.Row(`SELECT count(*) FROM outbox_deliveries WHERE state IN ('waiting', 'queued')`).Scan(&deliveries)
	})
	if err != nil {
		t.Fatal(err)
	}
	return nightDays*(nightDomains+nightHosts) - units, deliveries
}

func (n *night) done() (done bool) {
	n.open(func(s *store.Store) {
		units, deliveries := left(n.t, s)
		done = units+deliveries == 0 || n.closed.Load() && units == 0
	})
	return done
}

// once starts the machines and kills each at a random moment: some while they
// start, most a little after some reports have come.
func (n *night) once() {
	n.t.Helper()
	n.age()
	var running []func()
	for _, k := range n.machines {
		cmd := k.waxwing("serve")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			n.t.Fatal(err)
		}
		running = append(running, func() {
			cmd.Process.Kill()
			cmd.Wait()
			n.kills.Add(1)
			if s := stderr.String(); cmd.ProcessState.Exited() || strings.Contains(s, "panic") {
				n.t.Fatalf("serve was not killed, but said: %s", s)
			}
		})
	}
	rand.Shuffle(len(running), func(i, j int) { running[i], running[j] = running[j], running[i] })
	for _, kill := range running {
		if rand.IntN(5) == 0 {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		} else {
			enough := n.events.Load() + int64(1+rand.IntN(6))
			for end := time.Now().Add(2 * time.Second); n.events.Load() < enough && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Duration(rand.IntN(10_000)) * time.Microsecond)
		}
		kill()
	}
}

// settle runs the machines undisturbed until all is sent, and ends them as an
// operator would.
func (n *night) settle(retry bool) {
	n.age()
	var stop []func()
	for _, k := range n.machines {
		cmd, stderr := k.serve()
		stop = append(stop, func() {
			cmd.Process.Signal(os.Interrupt)
			if err := cmd.Wait(); err != nil {
				n.t.Errorf("serve ended with %v: %s", err, stderr.String())
			}
		})
	}
	if retry { // what the mail host did not take is not due before an hour
		n.machines[0].command("", "queue", "retry", "-everything")
	}
	for end, over := time.Now().Add(2*time.Minute), false; !over; time.Sleep(100 * time.Millisecond) {
		n.open(func(s *store.Store) {
			units, deliveries := left(n.t, s)
			over = units+deliveries == 0
			if !over && time.Now().After(end) {
				n.t.Errorf("after two minutes of peace %d reports are still to be made and %d to be delivered", units, deliveries)
				over = true
			}
		})
	}
	for _, s := range stop {
		s()
	}
}

// check holds what came against what was to come, and against the store.
func (n *night) check(rounds int) {
	t := n.t
	n.mu.Lock()
	defer n.mu.Unlock()
	want := n.wanted()
	again, window := 0, 0
	for key, all := range n.came {
		sums, ok := want[key]
		if !ok {
			t.Errorf("nobody was to get %s", key)
		}
		mail := strings.Contains(key, " mailto:")
		for i, a := range all {
			if a.sums != sums {
				t.Errorf("%s: %s, recorded were %s", key, a.sums, sums)
			}
			if i == 0 {
				continue
			}
			if a.what != all[0].what {
				t.Errorf("%s came again and is another: it was made twice", key)
			}
			if a.kills == all[i-1].kills {
				t.Errorf("%s came twice after %d kills: none stood between", key, a.kills)
			}
			if mail {
				window++
			} else {
				again++
			}
		}
	}
	for key := range want {
		if len(n.came[key]) == 0 {
			t.Errorf("lost: %s", key)
		}
	}
	n.open(func(s *store.Store) { n.checkStore(s, len(want)) })
	t.Logf("%d kills in %d rounds: %d reports came to their addresses, %d by https again; %d mails in the window between the remote's 250 and our commit",
		n.kills.Load(), rounds, len(n.came), again, window)
}

// checkStore: every report was made once and every delivery of it accepted.
func (n *night) checkStore(s *store.Store, deliveries int) {
	var reports, ids, accepted, all int
	err := s.Read(context.Background(), func(tx *store.Tx) error {
		if err := tx.Row(`SELECT count(*), count(DISTINCT report_id) FROM outbox_reports`).Scan(&reports, &ids); err != nil {
			return err
		}
		if err := tx.Row(`SELECT count(*) FROM outbox_deliveries WHERE state = 'accepted'`).Scan(&accepted); err != nil {
			return err
		}
		return tx.Row(`SELECT count(*) FROM outbox_deliveries`).Scan(&all)
	})
	if err != nil {
		n.t.Fatal(err)
	}
	made := nightDays * (nightDomains - 1 + nightHosts)
	if reports != made || ids != made || accepted != deliveries || all != deliveries {
		n.t.Errorf("%d reports with %d ids, want %d; %d of %d deliveries accepted, want %d", reports, ids, made, accepted, all, deliveries)
	}
}

func (n *night) arrived(kills int64, address string, report []byte, all []byte) {
	n.events.Add(1)
	r, err := tlsrpt.Parse(bytes.NewReader(report), tlsrpt.Limits{})
	if err != nil || r.Check() != nil {
		n.t.Errorf("to %s came no good report: %v", address, err)
		return
	}
	ok, failed := r.Totals()
	if !slices.ContainsFunc(n.days, func(d time.Time) bool {
		return r.Begin.Equal(d) && strings.HasPrefix(r.ID, d.Format(time.DateOnly))
	}) {
		n.t.Errorf("%s is of %s", r.ID, r.Begin)
	}
	h := sha256.Sum256(all)
	n.mu.Lock()
	defer n.mu.Unlock()
	key := r.ID + " " + address
	n.came[key] = append(n.came[key], arrival{kills, hex.EncodeToString(h[:]), fmt.Sprintf("%d ok, %d failed", ok, failed)})
}

// receiver takes reports by https, now and then slowly.
func (n *night) receiver() *httptest.Server {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // killed on the way
		}
		n.arrived(r.Context().Value(killsKey{}).(int64), r.URL.Path, body, body)
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, killsKey{}, n.kills.Load())
	}
	srv.StartTLS()
	n.t.Cleanup(srv.Close)
	return srv
}

// killsKey is where a connection's context has the kills up to its beginning.
type killsKey struct{}

// mailHost takes reports by mail and returns its port.
func (n *night) mailHost() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	srv := &smtpserver.Server{Hostname: "mx.sink.test", Backend: nightSink{n}, Timeouts: smtpserver.Timeouts{Drain: time.Millisecond},
		Limits: smtpserver.Limits{ConnectionsPerAddr: 1000}}
	go func() { defer close(done); srv.Serve(ctx, l) }()
	n.t.Cleanup(func() { cancel(); <-done })
	return l.Addr().(*net.TCPAddr).Port
}

type nightSink struct{ n *night }

func (s nightSink) NewSession(context.Context, smtpserver.Conn) (smtpserver.Session, error) {
	return &nightSession{n: s.n, kills: s.n.kills.Load()}, nil
}

type nightSession struct {
	n     *night
	kills int64
	to    string
}

func (s *nightSession) Mail(context.Context, wsmtp.MailParams) error {
	if s.n.closed.Load() {
		s.n.events.Add(1)
		return wsmtp.NewReply(451, wsmtp.Enhanced{Class: 4, Subject: 3}, "later")
	}
	return nil
}

func (s *nightSession) Rcpt(_ context.Context, p wsmtp.RcptParams) error {
	s.to = p.To.String()
	return nil
}

func (s *nightSession) Reset() {}
func (s *nightSession) Close() {}

func (s *nightSession) Data(_ context.Context, r io.Reader) (*wsmtp.Reply, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var report []byte
	err = message.Walk(b, message.Limits{}, func(p message.Part) error {
		if p.MediaType == tlsrpt.MediaGzip {
			body, err := p.Body()
			report = slices.Clone(body)
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The trace field tells attempts apart; the rest is what was queued.
	_, queued, _ := bytes.Cut(b, []byte("\r\nFrom:"))
	s.n.arrived(s.kills, "mailto:"+s.to, report, queued)
	time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
	return wsmtp.NewReply(250, wsmtp.Enhanced{}, "taken"), nil
}
