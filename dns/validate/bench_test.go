//go:build linux

package validate_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
	"waxwing/dns/validate/prooftest"
)

// BenchmarkDomain proves what a delivery asks of a domain: MX, no MTA-STS, A, no AAAA, TLSA. New: names that were
// never asked for, of a zone whose keys are known. Known: the same again after their TTL, with the signatures that
// they had. Signatures are by ECDSA P-256, denials NSEC3; verify is seven such signatures, as a new domain needs them, and nothing else.
// The processor's time counts, not the clock's, so that other work on the machine matters less.
func BenchmarkDomain(b *testing.B) {
	const domains = 200
	var records []string
	for i := range domains {
		records = append(records, fmt.Sprintf("d%d MX 10 mx%d", i, i), fmt.Sprintf("mx%d A 192.0.2.1", i), fmt.Sprintf("_25._tcp.mx%d TLSA 3 1 1 aa", i))
	}
	w, err := prooftest.New(new(prooftest.Keys), now, prooftest.Zone{Name: ".", Records: []string{"test. NS ns.test."}}, prooftest.Zone{Name: "test.", NSEC3: true, Records: records})
	if err != nil {
		b.Fatal(err)
	}
	answers := map[proof.Question][]byte{}
	at := now
	fresh := func() *validate.Validator {
		return &validate.Validator{Mode: validate.Always, Anchors: []proof.Anchor{{Zone: ".", DS: []*wire.DS{w.Anchor()}}}, Now: func() time.Time { return at },
			Fetch: func(_ context.Context, name string, qtype uint16, _ int) (*wire.Msg, error) {
				q := proof.Question{Name: name, Type: qtype}
				if answers[q] == nil {
					answers[q], _ = w.Answer(name, qtype).Pack()
				}
				m := new(wire.Msg)
				return m, m.Unpack(answers[q])
			}}
	}
	look := func(v *validate.Validator, i int) {
		for _, q := range []proof.Question{{Name: fmt.Sprintf("d%d.test.", i), Type: wire.TypeMX}, {Name: fmt.Sprintf("_mta-sts.d%d.test.", i), Type: wire.TypeTXT},
			{Name: fmt.Sprintf("mx%d.test.", i), Type: wire.TypeA}, {Name: fmt.Sprintf("mx%d.test.", i), Type: wire.TypeAAAA}, {Name: fmt.Sprintf("_25._tcp.mx%d.test.", i), Type: wire.TypeTLSA}} {
			if p, err := v.Lookup(b.Context(), q.Name, q.Type); err != nil || p.Security.String() != "secure" {
				b.Fatalf("%s: %+v, %v", q, p.Security, err)
			}
		}
	}
	all := func(v *validate.Validator) {
		for i := range domains {
			look(v, i)
		}
	}
	all(fresh()) // the answers are made
	b.Run("new", func(b *testing.B) { perDomain(b, domains, func() func() { v := fresh(); return func() { all(v) } }) })
	b.Run("known", func(b *testing.B) {
		v := fresh()
		all(v)
		perDomain(b, domains, func() func() { at = at.Add(10 * time.Second); return func() { all(v) } })
	})
	b.Run("verify", func(b *testing.B) {
		key := w.Zones["test."].Key
		msg := w.Answer("d1.test.", wire.TypeMX)
		sig := msg.Answer[1].(*wire.RRSIG)
		data, err := proof.SignedData(msg.Answer[:1], sig)
		if err != nil {
			b.Fatal(err)
		}
		public, signature := unbase64(key.PublicKey), unbase64(sig.Signature)
		verify := proof.Standard()[sig.Algorithm]
		perDomain(b, domains, func() func() {
			return func() {
				for range 7 * domains {
					if !verify(public, data, signature) {
						b.Fatal("wrong")
					}
				}
			}
		})
	})
}

// perDomain reports the processor's time that what prepare returns takes for each domain.
func perDomain(b *testing.B, domains int, prepare func() func()) {
	b.Helper()
	spent, n := time.Duration(0), 0
	for b.Loop() {
		run := prepare()
		before := used(b)
		run()
		spent += used(b) - before
		n += domains
	}
	b.ReportMetric(float64(spent.Microseconds())/float64(n), "cpu-µs/domain")
}

// used is the time of the processor that this process has had.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func unbase64(s string) []byte {
	out, _ := base64.StdEncoding.DecodeString(s)
	return out
}
