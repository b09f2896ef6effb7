package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
	"waxwing/dns/validate/prooftest"
	"waxwing/internal/anchors"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/resolver"
	"waxwing/internal/store"
)

// signedWorld is a resolver over UDP and TCP that does not validate, and at will leaves signatures out.
type signedWorld struct {
	*prooftest.World
	addr   string
	strips atomic.Bool
}

func startSigned(t *testing.T) *signedWorld {
	t.Helper()
	w, err := prooftest.New(new(prooftest.Keys), time.Now(), prooftest.Zone{Name: ".", Records: []string{"test. NS ns.test."}},
		prooftest.Zone{Name: "test.", Records: []string{"signed MX 10 mx.signed", "signed A 192.0.2.1"}})
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out := &signedWorld{World: w, addr: pc.LocalAddr().String()}
	l, err := net.Listen("tcp", out.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*wire.Server{{PacketConn: pc, Handler: out}, {Listener: l, Handler: out}} {
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	return out
}

func (w *signedWorld) ServeDNS(rw wire.ResponseWriter, q *wire.Msg) {
	m := w.Answer(q.Question[0].Name, q.Question[0].Qtype)
	m.Id = q.Id
	if w.strips.Load() {
		for _, section := range []*[]wire.RR{&m.Answer, &m.Ns} {
			*section = slices.DeleteFunc(*section, func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeRRSIG })
		}
	}
	_ = rw.WriteMsg(m)
}

// VAL-2: with a running server it is noticed both ways that resolvers begin to leave DNSSEC records out, and pass them
// again; status, log and metrics say so, and answers count for what they are worth then.
func TestChangeOfResolvers(t *testing.T) {
	t.Parallel()
	w := startSigned(t)
	cfg := parse(t, config.MX)
	cfg.Resolver.Servers, cfg.Resolver.DNSSEC, cfg.Resolver.Selftest.Signed = []string{w.addr}, config.DNSSECAuto, dns.MustParse("signed.test")
	cfg.Resolver.Anchors = filepath.Join(t.TempDir(), "anchor")
	if err := os.WriteFile(cfg.Resolver.Anchors, []byte(w.Anchor().String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := datadir.InitStore(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	log, start := &lines{}, time.Now()
	var later atomic.Int64
	b, err := newBuilder(Options{Config: cfg, Log: slog.New(slog.NewTextHandler(log, nil)), Now: func() time.Time { return start.Add(time.Duration(later.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.server(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	settles := func(strips bool, source dns.Source, security dns.Security, said string) {
		t.Helper()
		w.strips.Store(strips)
		later.Add(int64(11 * time.Minute)) // the answers before are over too
		for end := time.Now().Add(10 * time.Second); string(source) != s.Rooms.dnssec(t.Context()).Source; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the source stays %+v, want %s", s.Rooms.dnssec(t.Context()), source)
			}
		}
		a, err := s.Rooms.DNS.LookupMX(t.Context(), dns.MustParse("signed.test"))
		if err != nil || a.Security != security || len(a.Records) != 1 {
			t.Errorf("%s: %+v, %v", source, a, err)
		}
		if metric := fmt.Sprint(sources(t, s.Rooms)); metric != fmt.Sprint([]string{string(source)}) {
			t.Errorf("%s: the metric says %s", source, metric)
		}
		if !strings.Contains(log.String(), said) {
			t.Errorf("%s: no %q in the log:\n%s", source, said, log.String())
		}
	}
	settles(false, dns.SourceOwn, dns.Secure, "answers are validated by DNSSEC here")
	settles(true, dns.SourceResolver, dns.Insecure, "leaves DNSSEC records out")
	settles(false, dns.SourceOwn, dns.Secure, "answers are validated by DNSSEC here")
	if n := strings.Count(log.String(), "answers are validated by DNSSEC here"); n != 2 {
		t.Errorf("it is said %d times that answers are validated", n)
	}
}

// sources are those of which the metric says that they count.
func sources(t *testing.T, r *Rooms) (out []string) {
	t.Helper()
	families, err := r.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "waxwing_dnssec_source" && m.Gauge.GetValue() == 1 {
				out = append(out, m.Label[0].GetValue())
			}
		}
	}
	return out
}

// VAL-3: commands believe the anchors that the store has come to, and not those of the configuration that were revoked.
func TestStoredAnchors(t *testing.T) {
	t.Parallel()
	w := startSigned(t)
	cfg := parse(t, config.MX)
	cfg.Resolver.Servers, cfg.Resolver.DNSSEC = []string{w.addr}, config.DNSSECValidate
	cfg.Resolver.Anchors = filepath.Join(t.TempDir(), "anchor")
	old := wire.Copy(w.Anchor()).(*wire.DS)
	old.KeyTag++ // of a key that is no more
	if err := os.WriteFile(cfg.Resolver.Anchors, []byte(old.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	security := func(learn resolver.Learn) string {
		t.Helper()
		c, err := resolver.New(cfg, learn)
		if err != nil {
			t.Fatal(err)
		}
		chains, err := resolver.Chains(cfg, c, learn)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := chains(t.Context(), "signed.test.", wire.TypeMX)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.LookupMX(t.Context(), dns.MustParse("signed.test"))
		if (err == nil) != (a.Security == dns.Secure) || chain.Security != a.Security.String() {
			t.Errorf("the chain is %s, the lookup %s, %v", chain.Security, a.Security, err)
		}
		return chain.Security
	}
	if got := security(datadir.Anchors(cfg)); got != "bogus" {
		t.Errorf("without a store: %s", got)
	}
	if _, err := datadir.InitStore(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	if got := security(datadir.Anchors(cfg)); got != "bogus" {
		t.Errorf("with a store that knows nothing: %s", got)
	}
	db, err := datadir.OpenStore(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	roll(t, db, w)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := security(datadir.Anchors(cfg)); got != "secure" {
		t.Errorf("with a store that has followed the roll-over: %s", got)
	}
	if got := security(nil); got != "bogus" {
		t.Errorf("without a look into the store: %s", got)
	}
}

// roll has the store follow a roll-over to the key of w.
func roll(t *testing.T, db *store.Store, w *signedWorld) {
	t.Helper()
	room := &anchors.Room{DB: db, Base: []proof.Anchor{{Zone: ".", DS: []*wire.DS{w.Anchor()}}}, Now: time.Now, Set: func([]proof.Anchor) {},
		Fetch: func(_ context.Context, name string, qtype uint16, _ int) (*wire.Msg, error) {
			return w.Answer(name, qtype), nil
		}}
	if err := room.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tracked, err := room.Tracked(t.Context(), "."); err != nil || len(tracked.Keys) != 1 || tracked.Keys[0].State != validate.KeyValid {
		t.Fatalf("%+v, %v", tracked, err)
	}
}
