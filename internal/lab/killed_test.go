package lab

import (
	"crypto"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"waxwing/dane"
	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/reportbox"
	"waxwing/internal/spool"
)

// sums are what a report counts, or what there is to count.
type sums struct{ ok, failed int64 }

// reports is a family of reports in the three days: who counts and reports, to whom, and what.
type reports struct {
	name     string
	from, to func(*pair) *mortal
	box      func(*Machine) *outbox.Box
	intake   func(*Machine) *reportbox.Box
	address  string
	publish  func(*pair)
	// traffic is the mail of a day, the nth. It returns how often the answer to a message that is
	// refused was not heard, by policy domain: it may have been counted.
	traffic func(p *pair, n int) map[string]int64
	truth   func(*pair) map[string]sums // what was counted since the beginning, by policy domain, as the stores of mail know it
}

// TestThreeDaysKilled (RPT-1, RPT-5, RPT-11, RPT-17, DMR-1, DMR-2): two whole Waxwings, one of
// which reports to the other, live through three days. Both are killed at commits of their
// stores, whatever these are for: after one of them, two, and up to eight, each time before the
// commit and then right after it, and started again from what is on disk. Each report of each day
// is made once, queued once and kept once, and counts what was really settled, accepted and
// refused on its day. Under -short and the race detector it is one day.
func TestThreeDaysKilled(t *testing.T) {
	t.Parallel()
	for _, f := range []reports{tlsReports(), dmarcReports()} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			days := 1
			if !outboxtest.Sample() {
				days = 3
				t.Run("undisturbed", func(t *testing.T) { live(t, &f, days, 0) })
			}
			t.Run("killed", func(t *testing.T) { live(t, &f, days, 8) })
		})
	}
}

// live has two machines live through days, in lives of up to so many commits; 0: nobody is killed.
func live(t *testing.T, f *reports, days, longest int) {
	t.Helper()
	n, err := NewInternet()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	n.Clock.NextDay()
	p := &pair{Internet: n, t: t, ctx: t.Context(), day: n.Clock.Now().UTC().Truncate(24 * time.Hour)}
	p.receiver = n.newMortal(p.ctx, t, "receiver.test", "bob", "bad.test")
	p.sender = n.newMortal(p.ctx, t, "sender.test", "alice", "shop.test")
	f.publish(p)
	for _, m := range []*mortal{p.sender, p.receiver} {
		if longest > 0 {
			kills := rand.IntN(2 * longest)
			m.doom(func() (int, bool) {
				kills++
				return 1 + kills/2%longest, kills%2 == 0
			})
		}
	}
	truth, unheard := map[string]map[string]sums{}, map[string]map[string]int64{}
	before := map[string]sums{}
	for i := range days {
		day := p.day.Format(time.DateOnly)
		unheard[day] = f.traffic(p, i+1)
		p.until("the end of the day's mail", p.quiet)
		now := f.truth(p)
		truth[day] = map[string]sums{}
		for name, s := range now {
			truth[day][name] = sums{s.ok - before[name].ok, s.failed - before[name].failed}
		}
		before = now
		if late := p.Clock.Now().UTC().Sub(p.day); late > 24*time.Hour {
			t.Fatalf("the mail of %s took %v", day, late)
		}
		p.night(f, len(now))
	}
	f.compare(p, truth, unheard)
	if longest > 0 && p.sender.lives+p.receiver.lives < 3 { // each begins with the second
		t.Error("nobody was killed")
	}
	t.Logf("%d commits, %d and %d lives, %v", p.commits(), p.sender.lives+1, p.receiver.lives+1, truth)
}

// quiet says whether no mail is on its way.
func (p *pair) quiet() bool {
	for _, m := range []*mortal{p.sender, p.receiver} {
		left, err := spool.List(p.ctx, m.Queue.Store, spool.Filter{})
		if !p.lived(m, err) || len(left) > 0 {
			return false
		}
	}
	return true
}

// night goes over midnight, until all reports of the day before have arrived.
func (p *pair) night(f *reports, units int) {
	p.t.Helper()
	day := p.day
	p.Clock.Advance(p.day.Add(24*time.Hour + 3*time.Minute).Sub(p.Clock.Now()))
	p.day = p.day.Add(24 * time.Hour)
	m := f.from(p)
	p.until("the reports of "+day.Format(time.DateOnly), func() bool {
		box := f.box(m.Machine)
		if _, err := box.Step(p.ctx); !p.lived(m, err) {
			return false
		}
		sent, err := box.Sent(p.ctx, outbox.Filter{})
		if !p.lived(m, err) {
			return false
		}
		arrived := 0
		for _, s := range sent {
			if s.State == "failed" {
				p.t.Fatalf("%+v", s)
			}
			if s.Day == day.Format(time.DateOnly) && s.State == "delivered" {
				arrived++
			}
		}
		return arrived >= units && p.quiet()
	})
}

// compare holds what was sent and what was kept against what there was to count.
func (f *reports) compare(p *pair, truth map[string]map[string]sums, unheard map[string]map[string]int64) {
	p.t.Helper()
	var sent []outbox.Sent
	var kept []reportbox.Received
	mails := map[string]bool{}
	p.until("a look at the reports", func() bool {
		from, to := f.from(p), f.to(p)
		var err, failed error
		sent, err = f.box(from.Machine).Sent(p.ctx, outbox.Filter{})
		kept, failed = f.intake(to.Machine).Reports(p.ctx, outbox.Filter{})
		queued, lost := spool.List(p.ctx, from.Queue.Store, spool.Filter{Address: f.address, States: everyState()})
		for _, q := range queued {
			mails[q.Envelope.Ref] = true
			if q.State != spool.Delivered {
				p.t.Errorf("the report mail %s is %s", q.Envelope.Ref, q.State)
			}
		}
		return p.lived(from, err) && p.lived(to, failed) && p.lived(from, lost) && len(mails) == len(queued)
	})
	want := 0
	for day, all := range truth {
		for name, s := range all {
			want++
			if s.ok+s.failed == 0 {
				p.t.Errorf("%s: nothing was counted of %s", day, name)
			}
		}
	}
	if len(sent) != want || len(kept) != want || len(mails) != want {
		p.t.Errorf("%d reports were made, %d mails queued, %d reports kept; want %d each", len(sent), len(mails), len(kept), want)
	}
	ids := map[string]sums{}
	for _, s := range sent {
		if _, twice := ids[s.ReportID]; twice || len(s.Deliveries) != 1 || s.State != "delivered" {
			p.t.Errorf("made twice, or not delivered: %+v", s)
		}
		ids[s.ReportID] = sums{s.OK, s.Failed}
	}
	for _, k := range kept {
		day := k.Begin.UTC().Format(time.DateOnly)
		got, real := sums{k.OK, k.Failed}, truth[day][k.PolicyDomain]
		if made, ok := ids[k.ReportID]; !ok || made != got {
			p.t.Errorf("%s was kept with %+v, and made with %+v", k.ReportID, got, made)
		}
		delete(ids, k.ReportID) // a second one is an error
		if got.ok != real.ok || got.failed < real.failed || got.failed > real.failed+unheard[day][k.PolicyDomain] {
			p.t.Errorf("%s of %s counts %+v; there were %+v, and %d whose answer was not heard", k.PolicyDomain, day, got, real, unheard[day][k.PolicyDomain])
		}
	}
}

// hand does what hands a message in, again and again until it is answered for good: refused says
// how. unheard is how often the machine died over it.
func (p *pair) hand(m *mortal, send func(*Machine) error) (refused bool, unheard int64) {
	p.t.Helper()
	p.until("an answer of "+m.Domain.ASCII(), func() bool {
		err := send(m.Machine)
		no, is := asRefusal(err)
		refused = is && no.reply.Code >= 500
		if err != nil && !refused {
			unheard++
		}
		return err == nil || refused
	})
	return refused, unheard
}

func asRefusal(err error) (*refusal, bool) {
	r, ok := err.(*refusal)
	return r, ok
}

// tlsReports: the sender reports on its sessions with the receiver. Those with bad.test fail DANE,
// and its mail goes all the same, since it says so itself.
func tlsReports() reports {
	return reports{
		name: "TLS reports", address: "tls-reports@receiver.test",
		from:   func(p *pair) *mortal { return p.sender },
		to:     func(p *pair) *mortal { return p.receiver },
		box:    func(m *Machine) *outbox.Box { return m.TLSReport.Box },
		intake: func(m *Machine) *reportbox.Box { return m.TLSIntake.Box },
		publish: func(p *pair) {
			const record = `_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls-reports@receiver.test"`
			p.must(p.DNS.Add("receiver.test", record))
			p.must(p.DNS.Set(dnstest.Zone{Name: "bad.test", Security: dns.Secure, Records: []string{"@ MX 10 mx", "mx A " + p.receiver.addr.String(), record,
				fmt.Sprintf("_25._tcp.mx TLSA %s", dane.Generate(p.Unknown.Cert, dane.UsageEE, 1, 1))}}))
			p.must(p.receiver.Accounts.AddAddress(p.ctx, "bob@bad.test", "bob"))
		},
		traffic: func(p *pair, n int) map[string]int64 {
			for i := range n {
				for to, need := range map[string]delivery.TLSNeed{"bob@receiver.test": delivery.FollowPolicy, "bob@bad.test": delivery.TLSOptional} {
					p.hand(p.sender, func(m *Machine) error {
						return m.Submit(p.ctx, Mail{From: m.Address(), To: to, Need: need, Body: fmt.Sprint("number ", i)})
					})
				}
				p.until("the delivery", p.quiet)
				p.Clock.Advance(time.Hour) // no connection is kept for so long
			}
			return nil
		},
		truth: (*pair).sessions,
	}
}

func (p *pair) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// sessions counts the TLS sessions of the sender's mail in what its queue remembers of attempts.
func (p *pair) sessions() map[string]sums {
	var out map[string]sums
	p.until("a look at the attempts", func() bool {
		out = map[string]sums{"mx.receiver.test": {}, "mx.bad.test": {}}
		for domain := range out {
			items, err := spool.List(p.ctx, p.sender.Queue.Store, spool.Filter{Address: "bob@" + strings.TrimPrefix(domain, "mx."), States: everyState(), Limit: 1000})
			if !p.lived(p.sender, err) {
				return false
			}
			for _, it := range items {
				shown, err := spool.Show(p.ctx, p.sender.Queue.Store, it.Envelope.ID)
				if !p.lived(p.sender, err) {
					return false
				}
				for _, a := range shown.Attempts {
					out[domain] = out[domain].of(&a.Detail)
				}
			}
		}
		return true
	})
	return out
}

func (s sums) of(d *spool.Detail) sums {
	for _, h := range d.Hosts {
		for i, x := range h.Sessions {
			again := i+1 < len(h.Sessions) && h.Sessions[i+1].SmallHello && !x.SmallHello
			switch {
			case again || x.Reused || x.Plaintext || x.TLS == nil && x.TLSFailure == nil:
			case x.TLSFailure != nil || x.DANE == nil || !x.DANE.OK:
				s.failed++
			default:
				s.ok++
			}
		}
	}
	return s
}

// dmarcReports: the receiver reports to the sender, which hosts the domains that the mail is in
// the name of: sender.test, whose forged mail is refused, and shop.test, whose goes into Junk.
func dmarcReports() reports {
	var key crypto.Signer
	const shop = "shop.test"
	return reports{
		name: "DMARC reports", address: "dmarc-reports@sender.test",
		from:   func(p *pair) *mortal { return p.receiver },
		to:     func(p *pair) *mortal { return p.sender },
		box:    func(m *Machine) *outbox.Box { return m.DMARCReport.Box },
		intake: func(m *Machine) *reportbox.Box { return m.DMARCIntake.Box },
		publish: func(p *pair) {
			var record string
			var err error
			key, record, err = authorsKey()
			p.must(err)
			p.must(p.DNS.Set(dnstest.Zone{Name: "test", Security: dns.Secure}))
			p.must(p.DNS.Add("receiver.test", `_dmarc TXT "v=DMARC1; p=reject"`))
			p.must(p.DNS.Add("sender.test", `_dmarc TXT "v=DMARC1; p=reject; rua=mailto:dmarc-reports@sender.test"`, shop+`._report._dmarc TXT "v=DMARC1"`))
			p.must(p.DNS.Set(dnstest.Zone{Name: shop, Security: dns.Secure, Records: []string{record, `_dmarc TXT "v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@sender.test"`}}))
		},
		traffic: func(p *pair, n int) map[string]int64 {
			unheard := map[string]int64{}
			for i := range n {
				p.hand(p.sender, func(m *Machine) error {
					return m.Submit(p.ctx, Mail{From: m.Address(), To: "bob@receiver.test", Body: "Hello"})
				})
				p.forged += p.forgery(unheard, i)
				for _, sign := range []crypto.Signer{key, nil} {
					p.hand(p.receiver, func(m *Machine) error { return m.Hand(p.ctx, p.letter(shop, sign)) })
				}
			}
			return unheard
		},
		truth: func(p *pair) map[string]sums {
			good, junk := p.copies(mailbox.Inbox), p.copies(mailbox.Junk)
			return map[string]sums{"sender.test": {good["sender.test"], p.forged}, shop: {good[shop], junk[shop]}}
		},
	}
}

// forgery has a stranger write in the name of sender.test, which is refused.
func (p *pair) forgery(unheard map[string]int64, i int) int64 {
	refused, lost := p.hand(p.receiver, func(m *Machine) error { return m.Hand(p.ctx, p.letter("sender.test", nil)) })
	if !refused {
		p.t.Fatalf("forged mail %d was taken", i)
	}
	unheard["sender.test"] += lost
	return 1
}

// letter is a mail to bob in the name of a domain, signed with a key if there is one.
func (p *pair) letter(author string, key crypto.Signer) Mail {
	head := fmt.Sprintf("From: Joe <joe@%s>\r\nTo: <bob@receiver.test>\r\nSubject: hello\r\nDate: %s\r\nMessage-ID: <%d@%s>", author, p.Clock.Now().Format(time.RFC1123Z), rand.Int64(), author)
	m := Mail{From: "joe@" + author, To: "bob@receiver.test", Header: []string{head}, Body: "Hello"}
	if key != nil {
		field, err := dkim.Sign([]byte(m.text()), []dkim.Key{{Domain: dns.MustParse(author), Selector: "lab", Signer: key}}, dkim.SignOptions{Now: p.Clock.Now})
		p.must(err)
		m.Header = []string{strings.TrimSuffix(string(field), "\r\n"), head}
	}
	return m
}

// copies counts the mails in one of bob's mailboxes by the domain of their sender.
func (p *pair) copies(box string) (out map[string]int64) {
	p.until("a look at "+box, func() bool {
		list, err := p.receiver.Mailboxes.List(p.ctx, "bob", box, 1000)
		out = map[string]int64{}
		for _, m := range list {
			_, domain, _ := strings.Cut(m.Sender, "@")
			out[domain]++
		}
		return p.lived(p.receiver, err)
	})
	return out
}
