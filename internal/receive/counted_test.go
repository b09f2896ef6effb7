package receive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/mailboxes"
	"waxwing/internal/queue"
	"waxwing/internal/rejects"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/tlsresult"
	"waxwing/internal/verify"
)

// counting is a door whose messages go into a queue and are counted for DMARC reports, both in s.
// Mail in the name of good.test is authenticated; the others publish a policy alone.
func counting(t *testing.T, s *store.Store) *MX {
	t.Helper()
	const rua = "; rua=mailto:r@"
	zones := []dnstest.Zone{
		{Name: "good.test", Records: []string{`@ TXT "v=spf1 ip4:127.0.0.1 -all"`, `_dmarc TXT "v=DMARC1; p=reject` + rua + `good.test"`}},
		{Name: "aside.test", Records: []string{`_dmarc TXT "v=DMARC1; p=quarantine` + rua + `aside.test"`}},
		{Name: "forged.test", Records: []string{`_dmarc TXT "v=DMARC1; p=reject` + rua + `forged.test"`}},
		{Name: "silent.test", Records: []string{`_dmarc TXT "v=DMARC1; p=none"`}},
		{Name: "dark.test", Security: dns.Bogus},
		{Name: "test", Security: dns.Secure},
	}
	now := func() time.Time { return noon }
	r := &dns.Client{Servers: []dns.Server{{Addr: dnstest.Serve(t, zones...).Addr(), Trusted: true}}, Timeout: 5 * time.Second}
	results := &dmarcresult.Recorder{Store: s, Now: now}
	mx := &MX{Door: common(nil), DNS: r, Reports: &sink{}, IsReport: func(_ context.Context, local string, _ dns.Name) bool { return local == "reports" },
		Auth: &Authentication{Verifier: &verify.Verifier{DNS: r, Hostname: "mx.here.test", Now: now}, Results: results,
			PutOff: func(context.Context, string, string) (bool, error) { return false, nil }}}
	mx.Queue = &queue.Queue{Store: s, Hostname: "mx.here.test", Now: now, Accepted: func(tx *store.Tx, env *delivery.Envelope) error { return results.Save(tx, env.Evaluations) }}
	return mx
}

// counts are the messages that were counted, by policy domain and what was done: all, and those
// that were no reports.
func counts(t *testing.T, s *store.Store) map[string][2]int64 {
	t.Helper()
	out := map[string][2]int64{}
	err := s.Read(t.Context(), func(tx *store.Tx) error {
		rows, err := dmarcresult.Rows(tx, tlsresult.Day(noon), "", 100)
		for _, r := range rows {
			key := r.Domain + " " + r.Record.Disposition
			out[key] = [2]int64{out[key][0] + r.Record.Count, out[key][1] + r.Mail}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// DMR-1: each message that comes to an end here is counted once for each author domain that asks
// for reports, be it taken, put aside, refused, or taken as a report, however many recipients it
// has; one that is put off comes again and is counted then.
func TestCounted(t *testing.T) {
	t.Parallel()
	const both = "<joe@here.test> <ann@here.test>"
	for _, tt := range []struct {
		name, reply, from, to, text string
		want                        map[string][2]int64
	}{
		{"taken", "250", "<x@good.test>", "<joe@here.test>", "From: x@good.test\r\n\r\nhi", map[string][2]int64{"good.test pass": {1, 1}}},
		{"for two", "250", "<x@good.test>", both, "From: x@good.test\r\n\r\nhi", map[string][2]int64{"good.test pass": {1, 1}}},
		{"below the domain", "250", "<x@good.test>", "<joe@here.test>", "From: x@a.good.test\r\n\r\nhi", map[string][2]int64{"good.test pass": {1, 1}}},
		{"put aside", "250", "<x@other.test>", "<joe@here.test>", "From: x@aside.test\r\n\r\nhi", map[string][2]int64{"aside.test quarantine": {1, 1}}},
		{"refused", "550 5.7.1", "<x@other.test>", both, "From: x@forged.test\r\n\r\nhi", map[string][2]int64{"forged.test reject": {1, 1}}},
		{"two authors, one forged", "550 5.7.1", "<x@good.test>", "<joe@here.test>", "From: x@good.test, y@forged.test\r\n\r\nhi",
			map[string][2]int64{"good.test reject": {1, 1}, "forged.test reject": {1, 1}}},
		{"asks for none", "250", "<x@other.test>", "<joe@here.test>", "From: x@silent.test\r\n\r\nhi", map[string][2]int64{}},
		{"no policy", "250", "<x@other.test>", "<joe@here.test>", "From: x@other.test\r\n\r\nhi", map[string][2]int64{}},
		{"put off", "451 4.7.5", "<x@good.test>", "<joe@here.test>", "From: x@good.test, y@dark.test\r\n\r\nhi", map[string][2]int64{}},
		{"a report, taken", "250", "<x@good.test>", "<reports@here.test>", "From: x@good.test\r\nSubject: a report\r\n\r\nhi", map[string][2]int64{"good.test pass": {1, 0}}},
		{"a report, and a mail", "250", "<x@good.test>", "<reports@here.test> <joe@here.test>", "From: x@good.test\r\nSubject: a report\r\n\r\nhi", map[string][2]int64{"good.test pass": {1, 1}}},
		{"not taken as a report", "250", "<x@good.test>", "<reports@here.test>", "From: x@good.test\r\nSubject: Report Domain: a\r\n\r\nhi", map[string][2]int64{"good.test pass": {1, 0}}},
		{"a report that waits its turn", "451", "<x@good.test>", "<reports@here.test>", "From: x@good.test\r\nSubject: crowd\r\n\r\nhi", map[string][2]int64{}},
		{"a report, forged", "550 5.7.1", "<x@other.test>", "<reports@here.test>", "From: x@forged.test\r\nSubject: a report\r\n\r\nhi", map[string][2]int64{"forged.test reject": {1, 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			serve(t, counting(t, s), nil).send(tt.reply, tt.from, tt.to, tt.text)
			if got := counts(t, s); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// JNK-4: a message that is refused is kept for its account once it is counted. One that cannot be
// counted comes again, and is not kept before.
func TestCountedBeforeKept(t *testing.T) {
	t.Parallel()
	s, gone := storetest.Open(t), storetest.Open(t)
	gone.Close()
	kept := &rejects.Store{DB: s, Boxes: &mailboxes.Store{DB: s, Now: func() time.Time { return noon }}, Now: func() time.Time { return noon }}
	if err := errors.Join((&accounts.Store{DB: s, Now: kept.Now}).AddAccount(t.Context(), "joe", "a-good-password"), kept.Want(t.Context(), "joe", true)); err != nil {
		t.Fatal(err)
	}
	mx := counting(t, s)
	mx.Rejects = kept
	messages := func() (n int) {
		if err := s.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM mails`).Scan(&n) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	results := mx.Auth.Results
	mx.Auth.Results = &dmarcresult.Recorder{Store: gone, Now: results.Now}
	serve(t, mx, nil).send("451", "<x@other.test>", "<joe@here.test>", "From: x@forged.test\r\n\r\nhi")
	if n := messages(); n != 0 {
		t.Errorf("%d are kept of a message that comes again", n)
	}
	mx.Auth.Results = results
	serve(t, mx, nil).send("550 5.7.1", "<x@other.test>", "<joe@here.test>", "From: x@forged.test\r\n\r\nhi")
	if n := messages(); n != 1 {
		t.Errorf("%d are kept", n)
	}
}

// dying lets so many commits be made; then the machine is dead, before the next one is made or
// right after it.
type dying struct {
	left  int
	after bool
	dead  bool
}

var errDead = errors.New("dead")

func (d *dying) commit(commit func() error) error {
	if d.dead {
		return errDead
	}
	if d.left--; d.left >= 0 {
		return commit()
	}
	d.dead = true
	if d.after {
		return errors.Join(commit(), errDead)
	}
	return errDead
}

// DMR-1: wherever the machine dies, as many messages are counted as were accepted: the two are one
// transaction. A client that heard nothing sends again; what that gives twice is counted twice.
// One that is refused is counted before it hears so, and put off where that cannot be.
func TestCountedCrash(t *testing.T) {
	t.Parallel()
	storetest.EachDatabase(t, func(t *testing.T, open func(func(*store.Options)) *store.Store) {
		for _, after := range []bool{false, true} {
			for n, died := 0, true; died; n++ {
				d := &dying{left: n, after: after}
				died = countCrashing(t, open, d)
				if !died && n < 1 {
					t.Error("accepting takes no commit: does the test still see it?")
				}
			}
		}
	})
}

// countCrashing has a message accepted, and one refused, by a machine that may die meanwhile, and
// by one that lives; it says whether the first died.
func countCrashing(t *testing.T, open func(func(*store.Options)) *store.Store, d *dying) bool {
	t.Helper()
	refusedBefore := int64(0)
	for _, o := range []func(*store.Options){func(o *store.Options) { o.Commit = d.commit }, nil} {
		s := open(o)
		mx := counting(t, s)
		c := serve(t, mx, nil)
		taken := c.try("<x@good.test>", "From: x@good.test\r\n\r\nhi")
		refused := c.try("<x@other.test>", "From: x@forged.test\r\n\r\nhi")
		if o == nil && (!strings.HasPrefix(taken, "250") || !strings.HasPrefix(refused, "550")) {
			t.Errorf("%q, %q", taken, refused)
		}
		s.Close()

		s = open(nil)
		got, kept := counts(t, s), int64(0)
		err := s.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM messages`).Scan(&kept) })
		if err != nil {
			t.Fatal(err)
		}
		if good := got["good.test pass"]; good != [2]int64{kept, kept} || strings.HasPrefix(taken, "250") && kept == 0 {
			t.Errorf("dying at commit %d, after it: %v: %d messages are kept, %v counted; %q", d.left, d.after, kept, good, taken)
		}
		n := got["forged.test reject"][0] - refusedBefore
		if heard := strings.HasPrefix(refused, "550"); n > 1 || heard && n != 1 {
			t.Errorf("dying at commit %d, after it: %v: %d messages are counted as refused; %q", d.left, d.after, n, refused)
		}
		refusedBefore += n
		if o == nil {
			err = s.Write(t.Context(), func(tx *store.Tx) error {
				for _, table := range []string{"messages", "recipients", "bodies", "dmarc_rows", "dmarc_policies", "dmarc_room"} {
					if _, err := tx.Exec(`DELETE FROM ` + table); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		s.Close()
	}
	return d.dead
}

// try sends a message to joe, and returns what the end of it was answered with.
func (c *client) try(from, text string) string {
	c.t.Helper()
	c.do("250", "MAIL FROM:"+from)
	c.do("250", "RCPT TO:<joe@here.test>")
	c.do("354", "DATA")
	return c.do("", text+"\r\n.")
}
