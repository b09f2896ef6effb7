package dmarcfailure

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/arf"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/message"
	"waxwing/tlsrpt"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

type zone struct {
	dns.Resolver
	txt map[string]string // "!": the lookup fails
}

func (z zone) LookupTXT(_ context.Context, n dns.Name) (dns.Answer[string], error) {
	text, ok := z.txt[n.ASCII()]
	switch {
	case text == "!":
		return dns.Answer[string]{}, &dns.Error{Type: "TXT", RCode: "SERVFAIL"}
	case !ok:
		return dns.Answer[string]{Name: n}, nil
	}
	return dns.Answer[string]{Name: n, Records: []string{text}}, nil
}

type rig struct {
	*Service
	zone  zone
	clock *outboxtest.Clock
	out   *outboxtest.Queue
}

func newRig(s *store.Store, clock *outboxtest.Clock, out *outboxtest.Queue) *rig {
	r := &rig{zone: zone{txt: map[string]string{}}, clock: clock, out: out}
	log := slog.New(slog.DiscardHandler)
	box := &outbox.Box{Store: s, DNS: r.zone, Enqueuer: out, Signer: outboxtest.Signer{"sender.example"}, Hostname: dns.MustParse("mx.sender.example"), Now: clock.Now, Log: log,
		Hosted: func(_ context.Context, d dns.Name) (bool, error) { return d.ASCII() == "sender.example", nil },
		Family: outbox.Family{Name: "DMARC report", Noun: "dmarc", Kinds: []outbox.Kind{3, Kind}, OneKind: Kind, Purpose: delivery.DMARCReport, Local: "dmarc-reports",
			Address: func(uri string) (outbox.Address, error) {
				u, err := tlsrpt.ParseURI(uri)
				return outbox.Address(u), err
			}}}
	r.Service = &Service{Box: box, Recorder: &Recorder{Store: s, Hostname: "mx.sender.example", Redactor: Redactor{Key: []byte("k")}, Most: 3, Now: clock.Now}}
	return r
}

func (r *rig) step(t *testing.T) {
	t.Helper()
	if _, err := r.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func header(t *testing.T) message.Header {
	t.Helper()
	h, _, err := message.SplitHeader([]byte("From: Joe <joe@a.example>\r\nSubject: hello\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const record = "v=DMARC1; p=reject; ruf=mailto:f@a.example"

// DMR-4: messages alike of a quarter of an hour are one report, which goes out once, whichever
// machine sends it, and in which no person is named.
func TestSend(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		clock, out := &outboxtest.Clock{}, &outboxtest.Queue{}
		clock.Set(noon)
		one, two := newRig(s, clock, out), newRig(s, clock, out)
		for i, r := range []*rig{one, two} {
			r.zone.txt["_dmarc.a.example"], r.zone.txt["sub.a.example"] = record, "v=spf1 -all"
			for range i + 1 {
				r.Note(factsOf(record, false, false), header(t), false)
			}
			r.Note(factsOf(record, false, false), header(t), true) // a report
			r.step(t)
		}
		if len(out.All()) != 0 {
			t.Fatal("sent before the period is over")
		}
		clock.Set(noon.Add(period + settling))
		one.step(t)
		two.step(t)
		all := out.All()
		if len(all) != 1 {
			t.Fatalf("%d mails", len(all))
		}
		m := all[0]
		r, err := arf.Parse([]byte(m.Data))
		if err != nil {
			t.Fatal(err)
		}
		if m.Env.Purpose != delivery.DMARCReport || m.Env.Recipients[0].Address != "f@a.example" || r.Incidents != 3 || r.SPFRecord != `txt : sub.a.example : "v=spf1 -all"` || r.Signature.Selector != "s1" {
			t.Errorf("%+v, %+v", m.Env, r)
		}
		if text := string(m.Data); strings.Contains(text, "joe") || strings.Contains(text, "Joe") || strings.Contains(text, "hello") {
			t.Error(text)
		}
		sent, err := one.Box.Sent(t.Context(), outbox.Filter{})
		if err != nil || len(sent) != 1 || !sent[0].Single || sent[0].Failed != 3 {
			t.Errorf("%+v, %v", sent, err)
		}
	})
}

// Where no report may go, or none is wanted any more, nothing is sent; where DNS does not answer,
// it waits, for a day. Of one organisation there are so many a day.
func TestNotSent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		clock, out := &outboxtest.Clock{}, &outboxtest.Queue{}
		clock.Set(noon)
		r := newRig(s, clock, out)
		for domain, now := range map[string]string{"ext.example": "v=DMARC1; p=reject; ruf=mailto:f@third.example", "psd.example": record + "; psd=y", "gone.example": "v=DMARC1; p=reject", "none.example": "", "dark.example": "!"} {
			if r.zone.txt["_dmarc."+domain] = now; now == "" {
				delete(r.zone.txt, "_dmarc."+domain)
			}
			f := factsOf(record, false, false)
			f.DMARC[0].From, f.DMARC[0].At = dns.MustParse(domain), dns.MustParse(domain)
			r.Note(f, header(t), false)
		}
		r.zone.txt["_dmarc.many.example"] = "v=DMARC1; p=reject; ruf=mailto:f@many.example"
		for i := range 5 {
			f := factsOf(record, false, false)
			f.DMARC[0].From, f.DMARC[0].At = dns.MustParse(fmt.Sprintf("s%d.many.example", i)), dns.MustParse("many.example")
			r.Note(f, header(t), false)
		}
		r.step(t)
		clock.Set(noon.Add(period + settling))
		r.step(t)
		to := []string{}
		for _, m := range out.All() {
			to = append(to, m.Env.Recipients[0].Address)
		}
		if want := slices.Repeat([]string{"f@many.example"}, 3); !slices.Equal(to, want) {
			t.Errorf("sent to %v", to)
		}
		left := func() (n int) {
			if err := s.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM dmarc_failures`).Scan(&n) }); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := left(); n != 1 {
			t.Errorf("%d are left, want the one that could not be looked up", n)
		}
		clock.Set(noon.Add(26 * time.Hour))
		r.step(t)
		if n := left(); n != 0 {
			t.Errorf("%d are left after a day", n)
		}
		if err := r.Tidy(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
