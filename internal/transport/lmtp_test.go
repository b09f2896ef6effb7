package transport

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/account"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/internal/session"
	"waxwing/smtp"
)

// mailboxProgram is a program on a unix socket that keeps mailboxes and speaks LMTP. Its answer
// for a recipient after the message is the local part's.
func mailboxProgram(t *testing.T) (path string, heard func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "lmtp")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	lines := make(chan string, 1000)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			nc.SetDeadline(time.Now().Add(time.Minute))
			speakLMTP(nc, lines)
			nc.Close()
		}
	}()
	return path, func() string {
		var all []string
		for len(lines) > 0 {
			all = append(all, <-lines)
		}
		return strings.Join(all, "\n")
	}
}

func speakLMTP(nc net.Conn, heard chan<- string) {
	answers := map[string]string{"ok": "250 2.0.0 kept", "full": "552 5.2.2 full", "later": "451 4.2.0 later"}
	var to []string
	say := func(s string) { fmt.Fprint(nc, s+"\r\n") }
	say("220 dovecot ready")
	data := false
	for in := bufio.NewScanner(nc); in.Scan(); {
		line := strings.TrimSuffix(in.Text(), "\r")
		heard <- line
		verb, _, _ := strings.Cut(line, " ")
		switch {
		case data && line == ".":
			data = false
			for _, local := range to {
				say(answers[local])
			}
		case data:
		case verb == "LHLO":
			say("250-dovecot\r\n250-8BITMIME\r\n250 PIPELINING")
		case verb == "RCPT" && strings.Contains(line, "<nobody@"):
			say("550 5.1.1 nobody")
		case verb == "RCPT":
			local, _, _ := strings.Cut(line[strings.IndexByte(line, '<')+1:], "@")
			to = append(to, local)
			say("250 2.1.5 ok")
		case verb == "DATA":
			data = true
			say("354 go")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func lmtpBuilder(t *testing.T) *Builder {
	return &Builder{DNS: dnstest.Client(t, dnstest.Serve(t)), Session: func() *session.Client { return &session.Client{HELO: "mx.test"} }}
}

// TestLMTP (INB-14): by LMTP each recipient is settled by its own reply, and a message under
// REQUIRETLS goes to a program of this machine over its socket: there is no hop in between.
func TestLMTP(t *testing.T) {
	t.Parallel()
	path, heard := mailboxProgram(t)
	tr := route.Transport{Name: "dovecot", Kind: route.LMTP, Host: route.Host{Socket: path}}
	if err := tr.Check(); err != nil {
		t.Fatal(err)
	}
	d, err := lmtpBuilder(t).Make(tr)
	if err != nil {
		t.Fatal(err)
	}
	for _, need := range []delivery.TLSNeed{delivery.FollowPolicy, delivery.RequireTLS} {
		j := job("ok@b.test", "nobody@b.test", "full@b.test", "later@b.test")
		j.Need = need
		res := d.Deliver(context.Background(), j, delivery.Bytes("Subject: x\r\n\r\ny\r\n"))
		want := []struct {
			o delivery.Outcome
			e smtp.Enhanced
		}{{delivery.Delivered, smtp.Enhanced{Class: 2}}, {delivery.Failed, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}},
			{delivery.Failed, smtp.Enhanced{Class: 5, Subject: 2, Detail: 2}}, {delivery.Deferred, smtp.Enhanced{Class: 4, Subject: 2}}}
		for i, w := range want {
			if rr := res.Recipients[i]; rr.Outcome != w.o || rr.Enhanced != w.e {
				t.Errorf("%s, need %v: %+v", j.Recipients[i].Address, need, rr)
			}
		}
		if said := heard(); !strings.Contains(said, "LHLO mx.test") || strings.Contains(said, "EHLO") || strings.Count(said, "DATA") != 1 {
			t.Errorf("said:\n%s", said)
		}
	}
}

// away are accounts of which some have their mailboxes elsewhere.
type away struct{ users }

func (a away) Resolve(ctx context.Context, local string, d dns.Name) (account.Target, error) {
	t, err := a.users.Resolve(ctx, local, d)
	if local == "ok" || local == "full" {
		t.Transport = "dovecot"
	}
	return t, err
}

// TestElsewhere (INB-14): recipients whose mailboxes another program keeps are taken there, the
// others of the message into mailboxes here; and nobody is dialled for a message that is not
// stored yet.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	path, heard := mailboxProgram(t)
	l := &Local{Accounts: away{users{"ok": nil, "bob": nil, "full": nil}}, Elsewhere: func(_ context.Context, name string) (Deliverer, error) {
		if name != "dovecot" {
			t.Errorf("transport %q", name)
		}
		return lmtpBuilder(t).Make(route.Transport{Name: name, Kind: route.LMTP, Host: route.Host{Socket: path}})
	}}
	j := job("ok@b.test", "bob@b.test", "full@b.test")
	res := l.Deliver(context.Background(), j, delivery.Bytes("Subject: x\r\n\r\ny\r\n"))
	if said := heard(); said != "" {
		t.Errorf("dialled before it was stored: %s", said)
	}
	j.Lease = holding{}
	outcomes := func(res delivery.Result) string {
		by := map[int64]delivery.Outcome{}
		for _, rr := range res.Recipients {
			by[rr.ID] = rr.Outcome
		}
		return fmt.Sprint(by[1], by[2], by[3], len(res.Recipients), len(res.Copies))
	}
	if got := outcomes(res); got != "deferred delivered deferred 3 1" {
		t.Error(got)
	}
	res = l.Deliver(context.Background(), j, delivery.Bytes("Subject: x\r\n\r\ny\r\n"))
	if got := outcomes(res); got != "delivered delivered failed 3 1" {
		t.Error(got)
	}
	if said := heard(); strings.Contains(said, "bob") || !strings.Contains(said, "RCPT TO:<ok@b.test>") {
		t.Errorf("said:\n%s", said)
	}
}

// stuck takes mail and does not answer until it is let go.
type stuck struct{ begun, free chan struct{} }

func (s stuck) Deliver(context.Context, *delivery.Job, delivery.Content) delivery.Result {
	s.begun <- struct{}{}
	<-s.free
	return delivery.Result{Recipients: []delivery.RecipientResult{{Outcome: delivery.Delivered}}}
}

// INB-14: a program that does not answer holds up a bounded number of deliveries; those beyond come
// again, and mail for mailboxes here and for another program goes on.
func TestSlowProgram(t *testing.T) {
	t.Parallel()
	s := stuck{make(chan struct{}), make(chan struct{})}
	l := &Local{AwayAtOnce: 1, Accounts: away{users{"ok": nil, "bob": nil, "full": nil}}, Elsewhere: func(context.Context, string) (Deliverer, error) { return s, nil }}
	deliver := func(to string) delivery.Result {
		j := job(to)
		j.Lease = holding{}
		return l.Deliver(context.Background(), j, delivery.Bytes("Subject: x\r\n\r\ny\r\n"))
	}
	first := make(chan delivery.Result, 1)
	go func() { first <- deliver("ok@b.test") }()
	<-s.begun
	if rr := deliver("full@b.test").Recipients[0]; rr.Outcome != delivery.Deferred || rr.Word != reason.ProgramBusy {
		t.Errorf("%+v", rr)
	}
	if rr := deliver("bob@b.test").Recipients[0]; rr.Outcome != delivery.Delivered {
		t.Errorf("%+v", rr)
	}
	s.free <- struct{}{}
	if rr := (<-first).Recipients[0]; rr.Outcome != delivery.Delivered {
		t.Errorf("%+v", rr)
	}
	go func() { <-s.begun; s.free <- struct{}{} }()
	if rr := deliver("ok@b.test").Recipients[0]; rr.Outcome != delivery.Delivered {
		t.Errorf("the place was not given back: %+v", rr)
	}
}

// holding is a lease that lasts.
type holding struct{}

func (holding) Extend(context.Context, time.Duration) error { return nil }

// TestLMTPSettings (INB-14): what cannot be meant is refused.
func TestLMTPSettings(t *testing.T) {
	t.Parallel()
	host := func(s string) route.Host {
		h, err := route.ParseHost(s)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, c := range []struct {
		t  route.Transport
		ok bool
	}{
		{route.Transport{Kind: route.LMTP, Host: host("/run/dovecot/lmtp")}, true},
		{route.Transport{Kind: route.LMTP, Host: host("mail.b.test")}, true},
		{route.Transport{Kind: route.LMTP, Host: host("127.0.0.1"), Security: route.SecurityAny}, true},
		{route.Transport{Kind: route.LMTP, Host: host("127.0.0.1")}, false},
		{route.Transport{Kind: route.LMTP}, false},
		{route.Transport{Kind: route.LMTP, Host: host("mail.b.test"), Port: 25}, false},
		{route.Transport{Kind: route.LMTP, Host: host("mail.b.test"), Port: 465}, false},
		{route.Transport{Kind: route.LMTP, Host: host("mail.b.test"), User: "me", Password: "x"}, false},
		{route.Transport{Kind: route.LMTP, Host: host("/run/lmtp"), Port: 24}, false},
		{route.Transport{Kind: route.LMTP, Host: host("/run/lmtp"), Security: route.SecurityTLS}, false},
		{route.Transport{Kind: route.LMTP, Host: host("/" + strings.Repeat("x", 200))}, false},
		{route.Transport{Kind: route.Smarthost, Host: host("/run/lmtp")}, false},
	} {
		c.t.Name = "x"
		if err := c.t.Check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.t, err)
		}
	}
}
