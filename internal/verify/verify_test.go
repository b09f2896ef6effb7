package verify

import (
	"context"
	"encoding/base64"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waxwing/dkim"
	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/message"
	"waxwing/spf"
)

// silent never answers; broken panics where SPF asks.
type silent struct{ dns.Resolver }

func (silent) LookupTXT(ctx context.Context, _ dns.Name) (a dns.Answer[string], err error) {
	<-ctx.Done()
	return a, ctx.Err()
}

type broken struct{ dns.Resolver }

func (broken) LookupTXT(_ context.Context, n dns.Name) (a dns.Answer[string], err error) {
	if !strings.HasPrefix(n.ASCII(), "_dmarc") {
		panic("TXT")
	}
	return a, nil
}

const mail = "From: joe@example.org\r\n\r\nbody\r\n"

func read(t *testing.T, text string) *dkim.Message {
	t.Helper()
	m, err := dkim.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func finish(t *testing.T, r *Run) *Facts {
	t.Helper()
	h, _, err := message.SplitHeader([]byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	return r.Finish(t.Context(), h, read(t, mail))
}

var client = Client{IP: netip.MustParseAddr("::ffff:192.0.2.1"), HELO: "mail.example.org", Sender: "joe@example.org"}

// AUT-6: what is not known after 20 s is a temperror.
func TestLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &Verifier{DNS: silent{}}
		began := time.Now()
		f := finish(t, v.Begin(t.Context(), client))
		if took := time.Since(began); took > 2*budget {
			t.Errorf("it took %s", took)
		}
		for _, s := range f.SPF {
			if s.Result != spf.TempError {
				t.Errorf("%+v", s)
			}
		}
		if len(f.DMARC) != 1 || f.DMARC[0].Result != dmarc.TempError || !f.Late || len(f.SPF) == 0 {
			t.Errorf("%+v", f)
		}
	})
}

// slow answers for nobody below slow.test, and has a DMARC policy for example.org.
type slow struct{ silent }

func (s slow) LookupTXT(ctx context.Context, n dns.Name) (a dns.Answer[string], err error) {
	if n.Under(dns.MustParse("slow.test")) {
		return s.silent.LookupTXT(ctx, n)
	}
	if n.ASCII() == "_dmarc.example.org" {
		a.Records = []string{"v=DMARC1; p=reject"}
	}
	return a, nil
}

// A forger whose own name servers are slow uses up none of the time in which the author's
// policy is found: SPF, eight signatures and a second author are of no help.
func TestSlowForger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("DKIM-Signature: v=1; a=rsa-sha256; d=slow.test; s=s; h=From; bh=YWJj; b=YWJj\r\n", 8) +
			"From: x@slow.test, joe@example.org\r\n\r\nbody\r\n"
		h, _, err := message.SplitHeader([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		run := (&Verifier{DNS: slow{}}).Begin(t.Context(), Client{IP: client.IP, HELO: "slow.test", Sender: "x@slow.test"})
		f := run.Finish(t.Context(), h, read(t, text))
		if len(f.DKIM) != 8 || len(f.DMARC) != 2 || f.DMARC[1].Result != dmarc.Fail || f.DMARC[1].Apply != dmarc.PolicyReject {
			t.Errorf("%+v", f)
		}
	})
}

// keyed has a key for slow.test, and like a server answers nobody whose time is over.
type keyed struct{ slow }

func (k keyed) LookupTXT(ctx context.Context, n dns.Name) (a dns.Answer[string], err error) {
	if ctx.Err() != nil {
		return a, ctx.Err()
	}
	if n.ASCII() == "s._domainkey.slow.test" {
		a.Records = []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(make([]byte, 32))}
		return a, nil
	}
	return k.slow.LookupTXT(ctx, n)
}

// long is a message that takes a minute to read behind its header.
type long struct{ text string }

func (l long) ReadAt(b []byte, at int64) (int, error) {
	if at > 0 {
		time.Sleep(time.Minute)
	}
	return strings.NewReader(l.text).ReadAt(b, at)
}

// Nor does a forger use that time up with a message that takes long to be read for its signature.
func TestLongForger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		text := "DKIM-Signature: v=1; a=ed25519-sha256; d=slow.test; s=s; h=From; bh=YWJj; b=YWJj\r\nFrom: joe@example.org\r\n\r\nbody\r\n"
		h, _, err := message.SplitHeader([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		msg, err := dkim.ReadFrom(io.NewSectionReader(long{text}, 0, int64(len(text))))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		f := (&Verifier{DNS: keyed{}}).Begin(t.Context(), client).Finish(t.Context(), h, msg)
		if time.Since(began) < time.Minute || len(f.DKIM) != 1 || f.DKIM[0].Result != dkim.Fail || len(f.DMARC) != 1 || f.DMARC[0].Apply != dmarc.PolicyReject {
			t.Errorf("after %s: %+v", time.Since(began), f)
		}
	})
}

// A run of which nobody wants to know any more asks no further.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := (&Verifier{DNS: silent{}}).Begin(t.Context(), client)
		began := time.Now()
		r.Stop()
		if <-r.done; time.Since(began) > 0 {
			t.Errorf("it went on for %s", time.Since(began))
		}
	})
}

// OPS-9: where SPF panics, it is a temperror, and the message gets its other facts.
func TestPanic(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	f := finish(t, (&Verifier{DNS: broken{}, Guard: &watch.Guard}).Begin(t.Context(), client))
	if len(f.SPF) != 1 || f.SPF[0].Result != spf.TempError || f.SPF[0].Domain != "example.org" || len(f.DMARC) != 1 {
		t.Errorf("%+v", f)
	}
	if !watch.Saw(guard.Verify, 1) {
		t.Fatalf("counted: %v", watch.Seen())
	}
}

// AUT-3: a sender is put off for a day, and remembered for a day and a half.
func TestPutOff(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Unix(1e9, 0)
		p := &PutOff{DB: db, Now: func() time.Time { return now }}
		for _, tt := range []struct {
			after time.Duration
			want  bool
		}{{0, false}, {23 * time.Hour, false}, {time.Hour, true}, {30 * time.Hour, true}, {37 * time.Hour, false}, {time.Hour, false}} {
			now = now.Add(tt.after)
			over, err := p.Note(t.Context(), "example.org", "joe@example.org")
			if err != nil || over != tt.want {
				t.Errorf("%s later: %v %v", tt.after, over, err)
			}
		}
		if over, err := p.Note(t.Context(), "example.org", "ann@example.org"); over || err != nil {
			t.Errorf("another sender: %v %v", over, err)
		}
		now = now.Add(8 * 24 * time.Hour)
		if err := p.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		left := 0
		err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM put_off`).Scan(&left) })
		if err != nil || left != 0 {
			t.Errorf("%d are left, %v", left, err)
		}
	})
}

// AUT-4, AUT-6: a key for TLS reports alone proves nothing of mail, and is yet known to whoever takes reports.
func TestSignaturesKept(t *testing.T) {
	t.Parallel()
	key, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.Record(key.Public(), "tlsrpt")
	if err != nil {
		t.Fatal(err)
	}
	domain := dns.MustParse("example.org")
	field, err := dkim.Sign([]byte(mail), []dkim.Key{{Domain: domain, Selector: "s1", Signer: key}}, dkim.SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := &dns.Client{Servers: []dns.Server{{Addr: dnstest.Serve(t, dnstest.Zone{Name: "example.org", Records: []string{"s1._domainkey TXT \"" + record + "\""}}, dnstest.Zone{Name: "org"}).Addr(), Trusted: true}}, Timeout: time.Minute}
	v := &Verifier{DNS: r, Guard: &guard.Guard{}}
	run := v.Begin(t.Context(), Client{IP: netip.MustParseAddr("192.0.2.1"), HELO: "mx.example.org", Sender: "joe@example.org"})
	h, _, err := message.SplitHeader([]byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	f := run.Finish(t.Context(), h, read(t, string(field)+mail))
	if len(f.DKIM) != 1 || f.DKIM[0].Result != dkim.PermError || len(f.Authenticated()) != 0 {
		t.Errorf("%+v", f.DKIM)
	}
	if len(f.Signatures) != 1 || f.Signatures[0].Result != dkim.Pass || !f.Signatures[0].Allows("tlsrpt") || f.Signatures[0].Domain != domain {
		t.Errorf("%+v", f.Signatures)
	}
}
