package session

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/message"
)

var longLine = delivery.Bytes("Subject: x\r\n\r\n" + strings.Repeat("x", 999) + "\r\n")

// SES-8.
func TestLowerOffers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		ext    []string
		change func(*rig)
		want   delivery.Outcome
		enh    string // of a Pending one: the host is unfit for it (SES-14)
		mail   string // begins the MAIL command
	}{
		{"size told", []string{"SIZE"}, func(*rig) {}, delivery.Delivered, "", "MAIL FROM:<from@sender.test> SIZE=25"},
		{"size exceeded", []string{"SIZE 10"}, func(*rig) {}, delivery.Pending, "5.3.4", ""},
		{"8bit", []string{"8BITMIME"}, func(r *rig) { r.req.Job.EightBit = true }, delivery.Delivered, "", "MAIL FROM:<from@sender.test> BODY=8BITMIME"},
		{"8bit missing", nil, func(r *rig) { r.req.Job.EightBit = true }, delivery.Pending, "5.6.3", ""},
		{"8bit converted", nil, func(r *rig) {
			r.req.Job.EightBit = true
			r.client.Convert = func(c delivery.Content, n message.Need) (delivery.Content, error) {
				if n != (message.Need{SevenBit: true}) {
					return nil, errors.New("another need")
				}
				return c, nil
			}
		}, delivery.Delivered, "", "MAIL FROM:<from@sender.test>"},
		// INB-13: what came with long lines is mended where it travels on, if it can be.
		{"long line", nil, func(r *rig) { r.req.Content = longLine }, delivery.Failed, "5.6.0", ""},
		{"long line converted", nil, func(r *rig) {
			r.req.Content = longLine
			r.client.Convert = func(_ delivery.Content, n message.Need) (delivery.Content, error) {
				if n != (message.Need{ShortLines: true}) {
					return nil, errors.New("another need")
				}
				return delivery.Bytes("Subject: x\r\n\r\nshort\r\n"), nil
			}
		}, delivery.Delivered, "", "MAIL FROM:<from@sender.test>"},
		{"long line of a signed message", nil, func(r *rig) {
			r.req.Content = longLine
			r.client.Convert = func(delivery.Content, message.Need) (delivery.Content, error) { return nil, message.ErrSigned }
		}, delivery.Failed, "5.6.0", ""},
		{"utf8", []string{"SMTPUTF8", "8BITMIME"}, func(r *rig) { r.req.Job.SMTPUTF8 = true }, delivery.Delivered, "", "MAIL FROM:<from@sender.test> SMTPUTF8"},
		{"utf8 missing", nil, func(r *rig) {
			r.req.Job.SMTPUTF8, r.req.Content = true, delivery.Bytes("Subject: ä\r\n\r\nx\r\n")
		}, delivery.Pending, "5.6.7", ""},
		{"utf8 in the header of a part", []string{"8BITMIME"}, func(r *rig) {
			r.req.Job.SMTPUTF8, r.req.Job.EightBit = true, true
			r.req.Content = delivery.Bytes("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Description: ä\r\n\r\nx\r\n--b--\r\n")
		}, delivery.Pending, "5.6.7", ""},
		// SES-17: what only a body holds is for 8BITMIME.
		{"utf8 in a body", []string{"8BITMIME"}, func(r *rig) {
			r.req.Job.SMTPUTF8, r.req.Job.EightBit = true, true
			r.req.Job.Sender, r.req.Recipients[0].Address = "from@bücher.test", "to@bücher.test"
			r.req.Content = delivery.Bytes("Subject: x\r\n\r\nä\r\n")
		}, delivery.Delivered, "", "MAIL FROM:<from@xn--bcher-kva.test> BODY=8BITMIME"},
		{"utf8 allowed and not needed", nil, func(r *rig) { r.req.Job.SMTPUTF8 = true }, delivery.Delivered, "", "MAIL FROM:<from@sender.test>"},
		{"utf8 address", nil, func(r *rig) { r.req.Recipients[0].Address = "ä@rcpt.test" }, delivery.Pending, "5.6.7", ""},
		{"utf8 domains", nil, func(r *rig) {
			r.req.Job.Sender, r.req.Recipients[0].Address, r.req.Job.SMTPUTF8 = "from@bücher.test", "to@bücher.test", true
		}, delivery.Delivered, "", "MAIL FROM:<from@xn--bcher-kva.test>"},
		// QUE-12: a notification in two forms.
		{"two forms, the first fits", []string{"SMTPUTF8", "8BITMIME"}, twoForms, delivery.Delivered, "", "MAIL FROM:<> BODY=8BITMIME SMTPUTF8"},
		{"two forms, no SMTPUTF8", []string{"8BITMIME"}, twoForms, delivery.Delivered, "", "MAIL FROM:<>"},
		{"two forms, no 8BITMIME", []string{"SMTPUTF8"}, twoForms, delivery.Delivered, "", "MAIL FROM:<>"},
		{"two forms, none of them", nil, twoForms, delivery.Delivered, "", "MAIL FROM:<>"},
		{"two forms, too large", []string{"SIZE 10"}, twoForms, delivery.Pending, "5.3.4", ""},
		{"utf8 sender", nil, func(r *rig) { r.req.Job.Sender = "ä@sender.test" }, delivery.Pending, "5.6.7", ""},
		{"control in address", nil, func(r *rig) { r.req.Recipients[0].Address = "a@b>\r\nDATA" }, delivery.Failed, "5.5.4", ""},
		{"control in sender", nil, func(r *rig) { r.req.Job.Sender = "a@b>\r\nDATA" }, delivery.Failed, "5.5.4", ""},
	} {
		mx := &peer{ext: tt.ext}
		r := newRig(t, network{addr1: mx})
		tt.change(r)
		res := r.carry().Recipients[0]
		if res.Outcome != tt.want || res.Unfit != (tt.want == delivery.Pending) || tt.enh != "" && res.Enhanced.String() != tt.enh {
			t.Errorf("%s: %v %s %s", tt.name, res.Outcome, res.Enhanced, res.Text)
		}
		if tt.mail != "" && mx.saw(tt.mail) != 1 || tt.mail == "" && mx.saw("MAIL") != 0 {
			t.Errorf("%s: peer saw %q", tt.name, mx.lines())
		}
		if two, ok := r.req.Content.(delivery.TwoForms); ok && tt.want == delivery.Delivered {
			want := two.ASCII
			if len(tt.ext) == 2 {
				want = two.Content
			}
			if got := mx.received()[0].data; got != string(want.(delivery.Bytes)) || len(tt.ext) < 2 && strings.ContainsAny(mx.lines()[1], "8") {
				t.Errorf("%s: %q arrived, announced as %q", tt.name, got, mx.lines()[1])
			}
		}
	}
}

// SES-14: among several recipients only those whose address needs SMTPUTF8 are left
// to the next host, with that reason, whatever becomes of the others.
func TestUnfitRecipients(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"", drop, "450 4.2.0 later", "550 5.0.0 no"} {
		r := newRig(t, network{addr1: {answer: to(".", how)}})
		r.rcpts(2)
		r.req.Recipients[0].Address = "ä@rcpt.test"
		res := r.carry().Recipients
		if res[0].Outcome != delivery.Pending || !res[0].Unfit || res[0].Word != reason.SMTPUTF8NotOffered || res[1].Unfit {
			t.Errorf("%q: %+v", how, res)
		}
	}
	// A host that lacks it at one address and puts off at another is no host that cannot.
	one := &peer{ext: []string{"SIZE 100"}, step: func(_, _ int, verb string) string {
		if verb == "RCPT" {
			return "450 4.2.0 later"
		}
		if verb == "." || verb == "DATA" {
			return drop
		}
		return ""
	}}
	r := newRig(t, network{addr1: one, addr2: {ext: []string{"SIZE 10"}}})
	r.addrs(addr1, addr2)
	r.rcpts(1)
	if res := r.carry().Recipients[0]; res.Outcome != delivery.Pending || res.Unfit {
		t.Errorf("%+v", res)
	}
}

// twoForms makes the request that of a notification.
func twoForms(r *rig) {
	r.req.Job.Sender, r.req.Job.SMTPUTF8, r.req.Job.EightBit = "", true, true
	r.req.Content = delivery.TwoForms{Content: delivery.Bytes("Subject: ä\r\n\r\nä\r\n"), ASCII: delivery.Bytes("Subject: x\r\n\r\nplain\r\n")}
}

func TestDSN(t *testing.T) {
	t.Parallel()
	for _, offered := range []bool{true, false} {
		mx := &peer{}
		if offered {
			mx.ext = []string{"DSN"}
		}
		r := newRig(t, network{addr1: mx})
		r.rcpts(2)
		r.req.Job.EnvID, r.req.Job.Ret = "id+1", delivery.RetFull
		r.req.Recipients[0].Notify, r.req.Recipients[0].ORcpt = delivery.NotifySuccess|delivery.NotifyDelay, "rfc822;x@y.test"
		r.req.Recipients[1].Notify = delivery.NotifyNever
		rep := r.carry()
		got := mx.received()
		if len(got) != 1 || rep.Recipients[0].DSNRelayed != offered {
			t.Fatalf("offered %v: received %+v, relayed %v", offered, got, rep.Recipients[0].DSNRelayed)
		}
		want := mail{from: "FROM:<from@sender.test>", to: []string{"TO:<r0@rcpt.test>", "TO:<r1@rcpt.test>"}}
		if offered {
			want = mail{from: want.from + " RET=FULL ENVID=id+2B1",
				to: []string{"TO:<r0@rcpt.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y.test", "TO:<r1@rcpt.test> NOTIFY=NEVER"}}
		}
		if got[0].from != want.from || !slices.Equal(got[0].to, want.to) {
			t.Errorf("offered %v: received %+v, want %+v", offered, got[0], want)
		}
	}
}

type lease func(context.Context, time.Duration) error

func (l lease) Extend(ctx context.Context, d time.Duration) error { return l(ctx, d) }

func TestLease(t *testing.T) {
	t.Parallel()
	mx, second := &peer{}, &peer{}
	r := newRig(t, network{addr1: mx, addr2: second})
	r.addrs(addr1, addr2)
	var held time.Duration
	r.req.Job.Lease = lease(func(_ context.Context, d time.Duration) error { held = d; return nil })
	if rep := r.carry(); rep.Recipients[0].Outcome != delivery.Delivered || held < r.client.Timeouts.Settle() || held < 13*time.Minute {
		t.Fatalf("%v, lease held for %v", rep.Recipients[0].Outcome, held)
	}
	// QUE-2: without the lease the message is not completed, here or elsewhere.
	r.req.Job.Lease = lease(func(context.Context, time.Duration) error { return errors.New("taken over") })
	res := r.carry().Recipients[0]
	if res.Outcome != delivery.Deferred || res.Word != reason.LeaseLost || len(mx.received()) != 1 || second.connections() != 0 {
		t.Errorf("%v %s; %d messages, %d connections to the second address", res.Outcome, res.Word, len(mx.received()), second.connections())
	}
}

func TestContentFaults(t *testing.T) {
	t.Parallel()
	mx := &peer{}
	r := newRig(t, network{addr1: mx, addr2: mx})
	r.addrs(addr1, addr2)
	r.req.Content = delivery.Bytes("a\r\n\n.\r\nMAIL FROM:<evil@x.test>\r\n")
	if res := r.carry().Recipients[0]; res.Outcome != delivery.Failed || res.Word != reason.BareNewline {
		t.Errorf("bare LF: %v %s %s", res.Outcome, res.Word, res.Text)
	}
	r.req.Content = broken{}
	if res := r.carry().Recipients[0]; res.Outcome != delivery.Deferred || res.Word != reason.ContentUnreadable {
		t.Errorf("unreadable: %v %s %s", res.Outcome, res.Word, res.Text)
	}
	if len(mx.received()) != 0 {
		t.Errorf("received %+v", mx.received())
	}
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	mx := &peer{answer: to("RCPT", hang)}
	r := newRig(t, network{addr1: mx, addr2: mx})
	r.addrs(addr1, addr2)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	res := r.client.Carry(ctx, r.req).Recipients[0]
	if res.Outcome != delivery.Deferred || res.Word != reason.Canceled || time.Since(began) > 5*time.Second || mx.connections() != 1 {
		t.Errorf("%v %s after %v, %d connections", res.Outcome, res.Word, time.Since(began), mx.connections())
	}
}

// A large message arrives as it was, over TLS and with dots to stuff.
func TestLargeMessage(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	mx := &peer{cert: &p.good, ext: []string{"PIPELINING"}}
	r := newRig(t, network{addr1: mx})
	body := bytes.Repeat([]byte("..\r\n.\r\nsome text that is not a dot\r\n"), 100_000)
	r.req.Content = delivery.Bytes(body)
	if res := r.carry().Recipients[0]; res.Outcome != delivery.Delivered {
		t.Fatalf("%v %s", res.Outcome, res.Text)
	}
	if got := mx.received(); len(got) != 1 || got[0].data != string(body) {
		t.Error("the message changed on its way")
	}
}
