//go:build unix

package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/delivery"
	"waxwing/internal/server"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

const (
	envWorld    = "WAXWING_BENCH_WORLD"    // set in the process that stands for the rest of the internet: the number of domains
	envMessages = "WAXWING_BENCH_MESSAGES" // messages of a run, each to a domain of its own; 1,000 if empty
)

// BenchmarkRecording says what recording TLS results costs (RPT-1): a queue of
// messages to as many domains with DANE, a TLS connection each, delivered by the
// whole server with tlsrpt.send on and off in turn. The mail hosts and DNS are a
// process of their own, so that the processor time is the server's. One op is a
// pair; the percentages are the medians of the pairs.
func BenchmarkRecording(b *testing.B) {
	messages := 1000
	if n, err := strconv.Atoi(os.Getenv(envMessages)); err == nil {
		messages = n
	}
	w := startBenchWorld(b, messages)
	w.run(b, messages, true) // warms up
	var cpu, rate, perMessage []float64
	for i := range b.N {
		first := i%2 == 0 // what runs first has the colder machine
		x, y := w.run(b, messages, first), w.run(b, messages, !first)
		with, without := x, y
		if !first {
			with, without = y, x
		}
		cpu = append(cpu, 100*(with.cpu.Seconds()/without.cpu.Seconds()-1))
		rate = append(rate, 100*(1-without.time.Seconds()/with.time.Seconds()))
		perMessage = append(perMessage, float64(without.cpu.Microseconds())/float64(messages))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(cpu), "%more-cpu")
	b.ReportMetric(median(rate), "%less-throughput")
	b.ReportMetric(median(perMessage), "cpu-µs/message")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

// cost is what a run took.
type cost struct{ cpu, time time.Duration }

// benchWorld is where DNS and the mail hosts are.
type benchWorld struct {
	dns  string
	port int
}

func (w benchWorld) run(b *testing.B, messages int, record bool) cost {
	b.Helper()
	cfg, err := config.Parse("bench.toml", fmt.Appendf(nil, `hostname = "mail.bench.test"
data_dir = %q
[[listen]]
address = "127.0.0.1:0"
kind = "mx"
[resolver]
servers = [%q]
trusted = true
selftest = { signed = "", bogus = "", large = "" }
[delivery]
allow_private = true
port = %d
[tlsrpt]
send = %v
`, b.TempDir(), w.dns, w.port, record))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	if _, err := datadir.InitStore(ctx, cfg, nil); err != nil {
		b.Fatal(err)
	}
	s, err := server.New(ctx, server.Options{Config: cfg})
	if err != nil {
		b.Fatal(err)
	}
	fillQueue(b, s, messages)
	began, spent := time.Now(), cpuTime()
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for {
		counts, err := spool.Count(ctx, s.Queue.Store)
		if err != nil {
			b.Fatal(err)
		}
		if counts[spool.Failed] > 0 {
			b.Fatal("some were not delivered")
		}
		if counts[spool.Delivered] == messages {
			break
		}
		if time.Since(began) > 2*time.Minute {
			b.Fatalf("not done in time: %v", counts)
		}
		time.Sleep(10 * time.Millisecond)
	}
	c := cost{cpuTime() - spent, time.Since(began)}
	recorded := 0
	err = s.Store.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT coalesce(sum(ok), 0) FROM tls_rows WHERE type = 'tlsa'`).Scan(&recorded)
	})
	if want := map[bool]int{true: messages}[record]; err != nil || recorded != want {
		b.Fatalf("%d sessions were recorded, want %d: %v", recorded, want, err)
	}
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return c
}

func fillQueue(b *testing.B, s *server.Server, messages int) {
	b.Helper()
	text := delivery.Bytes("From: <a@bench.test>\r\nSubject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 131))
	for i := 0; i < messages; {
		err := s.Store.Write(b.Context(), func(tx *store.Tx) error {
			for end := min(i+100, messages); i < end; i++ {
				d := delivery.RecipientDomain{Name: dns.MustParse(fmt.Sprintf("d%d.dest.test", i))}
				env := &delivery.Envelope{ID: store.NewID(), Sender: "a@bench.test", Accepted: time.Now(), Size: int64(len(text)),
					Recipients: []delivery.Recipient{{ID: store.NewID(), Address: "x@" + d.String(), Domain: d}}}
				if err := s.Queue.EnqueueTx(tx, env, text); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func startBenchWorld(b *testing.B, domains int) benchWorld {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBenchWorld$", "-test.timeout=1h")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", envWorld, domains))
	in, err := cmd.StdinPipe() // closed: it ends
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	var w benchWorld
	if _, err := fmt.Fscan(bufio.NewReader(out), &w.dns, &w.port); err != nil {
		b.Fatalf("the process of mail hosts and DNS: %v", err)
	}
	return w
}

// TestBenchWorld is that process.
func TestBenchWorld(t *testing.T) {
	domains, err := strconv.Atoi(os.Getenv(envWorld))
	if err != nil {
		t.Skip("the other process of BenchmarkRecording")
	}
	dir := t.TempDir()
	if err := certs.MakeLocal(certs.LocalFiles{CA: dir + "/ca.pem", Cert: dir + "/cert.pem", Key: dir + "/key.pem"}, time.Now(), "mx.dest.test"); err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(dir+"/cert.pem", dir+"/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	z := dnstest.Zone{Name: "dest.test", Security: dns.Secure}
	tlsa := dane.Generate(cert.Leaf, dane.UsageEE, 1, 1).String()
	for i := range domains {
		z.Records = append(z.Records, fmt.Sprintf("d%d MX 10 mx%d", i, i), fmt.Sprintf("mx%d A 127.64.%d.%d", i, i>>8&255, i&255),
			fmt.Sprintf("_25._tcp.mx%d TLSA %s", i, tlsa), fmt.Sprintf("_%d._tcp.mx%d TLSA %s", port, i, tlsa))
	}
	zones, err := dnstest.Start(z)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	srv := &smtpserver.Server{Hostname: "mx.dest.test", TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Backend: benchSink{},
		Limits: smtpserver.Limits{Connections: 10_000, ConnectionsPerAddr: 10_000}}
	go srv.Serve(ctx, l)
	fmt.Println(zones.Addr(), port)
	io.Copy(io.Discard, os.Stdin)
}

type benchSink struct{}

func (s benchSink) NewSession(context.Context, smtpserver.Conn) (smtpserver.Session, error) {
	return s, nil
}
func (benchSink) Mail(context.Context, smtp.MailParams) error { return nil }
func (benchSink) Rcpt(context.Context, smtp.RcptParams) error { return nil }
func (benchSink) Reset()                                      {}
func (benchSink) Close()                                      {}

func (benchSink) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
	_, err := io.Copy(io.Discard, r)
	return smtp.NewReply(250, smtp.Enhanced{}, "taken"), err
}
