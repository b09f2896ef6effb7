package companion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// collecting is a collector that runs.
type collecting struct {
	*Collector
	path string
	stop func() // and wait until everything is stored
}

func collect(t *testing.T, s *store.Store, change func(*Collector)) *collecting {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	conn, err := Bind(path, "")
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{Conn: conn, Store: s, Metrics: NewMetrics(prometheus.NewRegistry()), Now: func() time.Time { return noon }}
	if change != nil {
		change(c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("collector: %v", err)
		}
	})
	t.Cleanup(stop)
	return &collecting{c, path, stop}
}

// send writes datagrams as libtlsrpt does, but waits where the kernel's queue is full.
func send(t *testing.T, path string, datagrams ...string) {
	t.Helper()
	c, err := net.Dial("unixgram", path)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	for _, d := range datagrams {
		_, err := c.Write([]byte(d))
		for errors.Is(err, syscall.EAGAIN) {
			time.Sleep(time.Millisecond)
			_, err = c.Write([]byte(d))
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func (c *collecting) counted(result string) int {
	return int(testutil.ToFloat64(c.Metrics.datagrams.WithLabelValues(result)))
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within two minutes", what)
}

func dayRows(t *testing.T, s *store.Store, at time.Time) []tlsresult.Row {
	t.Helper()
	var rows []tlsresult.Row
	err := s.Read(context.Background(), func(tx *store.Tx) error {
		var err error
		rows, err = tlsresult.Rows(tx, tlsresult.Day(at), tlsresult.Filter{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// rowLine is a row in short.
func rowLine(r tlsresult.Row) string {
	s := fmt.Sprintf("%s %s %s %d/%d", r.Domain, r.Type, r.PolicyDomain, r.OK, r.Failed)
	for _, d := range r.Details {
		s += fmt.Sprintf(" %dx%s %s>%s(%s)", d.Count, d.Type, d.SendingIP, d.ReceiverIP, d.HELO)
	}
	return s
}

// The recorded deliveries, from the socket to the reports of the day: every
// report is right, and each adds up.
func TestRecordedDay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		c := collect(t, s, nil)
		send(t, c.path, recorded(t, datagramsFile)...)
		c.stop()
		if got := c.counted(stored); got != 11 {
			t.Errorf("%d datagrams stored, want 11", got)
		}
		if n := testutil.ToFloat64(c.Metrics.sessions.WithLabelValues("sts", "unverified")); n != 1 {
			t.Errorf("%v unverified sessions counted, want 1", n)
		}
		want := []string{
			"dane.test tlsa mx.dane.test 1/0",
			"danebad.test tlsa mx.danebad.test 0/1 1xcertificate-not-trusted 127.0.0.1>127.0.0.2(sink.example)",
			"danenotls.test tlsa mx.danenotls.test 0/1 1xstarttls-not-supported 127.0.0.1>127.0.0.3(sink.example)",
			"none.test no-policy-found none.test 2/0",
			"sts.test no-policy-found sts.test 1/0",
			"sts.test sts sts.test 1/0",
			"stsbad.test sts stsbad.test 0/1 1xcertificate-host-mismatch 127.0.0.1>127.0.0.2(sink.example)",
			"stsfail.test sts stsfail.test 0/1 1xsts-webpki-invalid 127.0.0.1>127.0.0.2(sink.example)",
			"stsnotls.test sts stsnotls.test 0/1 1xstarttls-not-supported 127.0.0.1>127.0.0.3(sink.example)",
		}
		var got []string
		for _, r := range dayRows(t, s, noon) {
			got = append(got, rowLine(r))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		checkReports(t, s, noon.AddDate(0, 0, 1), map[string]string{
			"dane.test": "tlsa mx.dane.test 1/0", "danebad.test": "tlsa mx.danebad.test 0/1 certificate-not-trusted:1",
			"danenotls.test": "tlsa mx.danenotls.test 0/1 starttls-not-supported:1",
			"sts.test":       "no-policy-found sts.test 1/0, sts sts.test 1/0",
			"stsbad.test":    "sts stsbad.test 0/1 certificate-host-mismatch:1", "stsfail.test": "sts stsfail.test 0/1 sts-webpki-invalid:1",
			"stsnotls.test": "sts stsnotls.test 0/1 starttls-not-supported:1",
			// none.test: nothing was published and nothing failed (RPT-8).
			// The MX hosts are policy domains of their own (RPT-6).
			"mx.dane.test": "tlsa mx.dane.test 1/0", "mx.danebad.test": "tlsa mx.danebad.test 0/1 certificate-not-trusted:1",
			"mx.danenotls.test": "tlsa mx.danenotls.test 0/1 starttls-not-supported:1",
		})
	})
}

// rua answers every TLSRPT lookup below test with an address at the domain.
type rua struct{ dnstest.Resolver }

func (r *rua) LookupTXT(_ context.Context, n dns.Name) (dns.Answer[string], error) {
	domain := strings.TrimPrefix(n.ASCII(), "_smtp._tls.")
	return dns.Answer[string]{Name: n, Records: []string{"v=TLSRPTv1; rua=mailto:tls@" + domain}}, nil
}

// signer signs for sender.test, without a key.
type signer struct{}

func (signer) Sign(context.Context, dns.Name, []byte, []string) ([]byte, error) {
	return []byte("DKIM-Signature: v=1; d=sender.test\r\n"), nil
}

func (signer) Keys(_ context.Context, d dns.Name) ([]signing.Key, error) {
	return []signing.Key{{Domain: d, State: signing.Active, Told: true}}, nil
}

// checkReports makes yesterday's reports as they would be sent and compares
// them with what they should say, by policy domain.
func checkReports(t *testing.T, s *store.Store, now time.Time, want map[string]string) {
	t.Helper()
	service := tlsreport.New(&outbox.Box{Store: s, DNS: &rua{dnstest.Resolver{T: t}}, Signer: signer{}, Hostname: dns.MustParse("mx.sender.test"),
		Hosted: func(_ context.Context, d dns.Name) (bool, error) { return d.ASCII() == "sender.test", nil },
		Now:    func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}, tlsreport.Service{})
	sum, err := service.SendDay(context.Background(), outbox.SendOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range sum.Made {
		if len(m.Text) == 0 {
			continue
		}
		rep, err := tlsrpt.Stored(m.Text)
		if err == nil {
			err = rep.Check()
		}
		if err != nil {
			t.Fatal(err)
		}
		got := reportLine(rep)
		if got != want[m.PolicyDomain] {
			t.Errorf("report to %s (MX host: %v):\n got %s\nwant %s", m.PolicyDomain, m.Host, got, want[m.PolicyDomain])
		}
		delete(want, m.PolicyDomain)
	}
	for d, w := range want {
		t.Errorf("no report to %s: want %s", d, w)
	}
}

func reportLine(r *tlsrpt.Report) string {
	var parts []string
	for _, p := range r.Policies {
		s := fmt.Sprintf("%s %s %d/%d", p.Type, p.Domain, p.Success, p.Failed)
		for _, d := range p.Details {
			s += fmt.Sprintf(" %s:%d", d.Type, d.Sessions)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

func success(domain string) string {
	return `{"d":"` + domain + `","policies":[{"policy-type":2,"policy-domain":"` + domain + `","policy-string":["mode: enforce"],"f":0}]}`
}

// CMP-2: a burst is stored to the last datagram, and hostile ones among it hurt nobody.
func TestBurst(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	c := collect(t, s, nil)
	const senders, each = 8, 500
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			var ds []string
			for j := range each {
				ds = append(ds, success("a.test"))
				if j%100 == 0 {
					ds = append(ds, "", "\x00\xff", "{", strings.Repeat("[", 50_000), fmt.Sprintf(`{"d":"%d"}`, i))
				}
			}
			send(t, c.path, ds...)
		})
	}
	wg.Wait()
	c.stop()
	rows := dayRows(t, s, noon)
	if len(rows) != 1 || rows[0].OK != senders*each {
		t.Errorf("rows %+v, want %d sessions", rows, senders*each)
	}
	if c.counted(stored) != senders*each || c.counted(malformed) != senders*each/100*5 {
		t.Errorf("stored %d, malformed %d", c.counted(stored), c.counted(malformed))
	}
}

// While the store does not answer, the reader reads on, and what finds no room
// is counted.
func TestDropsAreCounted(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	c := collect(t, s, func(c *Collector) { c.Queue = 10 })
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // somebody else's transaction holds the one writer
		err := s.Write(context.Background(), func(*store.Tx) error {
			close(inside)
			<-leave
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	for range 300 {
		send(t, c.path, success("a.test"))
	}
	eventually(t, "drops", func() bool { return c.counted(queueFull) > 0 })
	close(leave)
	wg.Wait()
	c.stop()
	rows := dayRows(t, s, noon)
	if len(rows) != 1 || int(rows[0].OK) != c.counted(stored) || c.counted(stored)+c.counted(queueFull) != 300 {
		t.Errorf("rows %+v; stored %d, dropped %d", rows, c.counted(stored), c.counted(queueFull))
	}
}

// What is too long for the buffer is dropped as a whole, never half read.
func TestTruncated(t *testing.T) {
	t.Parallel()
	c := collect(t, storetest.Open(t), nil)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	const sndbufForce = 32
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, sndbufForce, 4*maxDatagram); err != nil {
		t.Skip("a datagram beyond the kernel's limit takes root")
	}
	long := []byte(success("a.test") + strings.Repeat(" ", maxDatagram))
	if err := syscall.Sendto(fd, long, 0, &syscall.SockaddrUnix{Name: c.path}); err != nil {
		t.Fatal(err)
	}
	fits := success("b.test") + strings.Repeat(" ", 150_000) // more than any datagram that was seen to pass
	send(t, c.path, fits)
	c.stop()
	if c.counted(truncated) != 1 || c.counted(stored) != 1 {
		t.Errorf("truncated %d, stored %d; want 1 and 1", c.counted(truncated), c.counted(stored))
	}
}

// Who writes falsehoods cannot make rows without end.
func TestPoliciesOfADay(t *testing.T) {
	t.Parallel()
	var p policies
	o, err := observe([]byte(success("a.test")), noFault)
	if err != nil {
		t.Fatal(err)
	}
	other, err := observe([]byte(success("b.test")), noFault)
	if err != nil {
		t.Fatal(err)
	}
	if !p.admit(1, o.observations) {
		t.Fatal("the first policy of a day was refused")
	}
	for i := range maxKeys - 1 {
		p.seen[[16]byte{1, byte(i), byte(i >> 8), byte(i >> 16)}] = struct{}{}
	}
	if p.admit(1, other.observations) || !p.admit(1, o.observations) || !p.admit(2, other.observations) {
		t.Error("new policies are refused when there are too many, old ones and the next day's are not")
	}
}

// tlsrpt.send = false: read, so that Postfix does not complain, and forget.
func TestOff(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	c := collect(t, s, func(c *Collector) { c.Off = true })
	send(t, c.path, success("a.test"))
	c.stop()
	if rows := dayRows(t, s, noon); len(rows) != 0 {
		t.Errorf("rows %+v", rows)
	}
}

// TestBind (CMP-1): the datagram socket that Postfix writes to.
func TestBind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	first, err := Bind(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o666 {
		t.Errorf("mode %v, %v: Postfix must be able to write", fi.Mode(), err)
	}
	if _, err := Bind(path, ""); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second collector: %v", err)
	}
	first.Close() // the file stays, as after a crash
	second, err := Bind(path, "root")
	if err != nil {
		t.Skipf("giving the socket to a group: %v", err)
	}
	defer second.Close()
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}

// TestGroup: a group is given by name or number; own is one that who runs the test may use.
func TestGroup(t *testing.T) {
	t.Parallel()
	own := os.Getgid()
	path := filepath.Join(t.TempDir(), "s")
	c, err := Bind(path, strconv.Itoa(own))
	if err != nil {
		t.Fatalf("group by number: %v", err)
	}
	defer c.Close()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !ok || int(st.Gid) != own || fi.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %+v", fi.Mode(), fi.Sys())
	}
	for _, bad := range []string{"-1", "4294967296", "1x", "no-such-group-here"} {
		if id, err := groupID(bad); err == nil {
			t.Errorf("%q is group %d", bad, id)
		}
	}
}

func TestBindFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                            "is there and no socket",
		filepath.Join(dir, "none", "s"): "install -d -o USER",
		"/" + strings.Repeat("x", 107):  "longer than 107 octets",
	} {
		if _, err := Bind(path, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
		if _, err := Listen(path, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if _, err := Bind(filepath.Join(dir, "g"), "no-such-group-here"); err == nil || !strings.Contains(err.Error(), "no-such-group-here") {
		t.Errorf("an unknown group: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Error("a file that is no socket was touched")
	}
}

// A socket that is closed under the collector ends it with an error.
func TestSocketLost(t *testing.T) {
	t.Parallel()
	conn, err := Bind(filepath.Join(t.TempDir(), "s"), "")
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{Conn: conn, Store: storetest.Open(t)}
	conn.Close()
	if err := c.Run(context.Background()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	var none *Faults
	bad := &delivery.TLSFailure{Type: tlsrpt.STSWebPKIInvalid}
	none.note(example, bad, noon)
	if none.of(example, noon) != nil {
		t.Error("nil knows a fault")
	}
	var f Faults
	f.note(example, bad, noon)
	if f.of(example, noon.Add(time.Hour)) != bad || f.of(example, noon.Add(faultLasts)) != nil || f.of(dns.MustParse("other.example"), noon) != nil {
		t.Error("a fault is known for a day, of its domain")
	}
	if f.note(example, nil, noon); f.of(example, noon) != nil {
		t.Error("a fault that was mended is known")
	}
	for i := range maxFaults + 10 {
		f.note(dns.MustParse(fmt.Sprintf("d%d.example", i)), bad, noon)
	}
	if len(f.m) > maxFaults {
		t.Errorf("%d faults kept", len(f.m))
	}
}
