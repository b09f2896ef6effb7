package routes

import (
	"strings"
	"testing"
)

func TestTyped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typed  Typed
		faults string // the flags at fault, in order
	}{
		{Typed{Kind: "submission", Host: "smtp.isp.example", Port: 587, Source: "192.0.2.1, 2001:db8::1", Mechanisms: "plain,scram-sha-256"}, ""},
		{Typed{Port: 65535}, ""},
		{Typed{Port: 65536}, "--port"},
		{Typed{EHLO: "-.", Host: "a b"}, "--ehlo --host"},
		{Typed{Enhanced: "9.9"}, "--enhanced"},
		{Typed{Source: "192.0.2.1,x", Public: "192.0.2.1,"}, "--source --public"},
	} {
		tr, err := c.typed.Transport("isp")
		var flags []string
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				flag, _, _ := strings.Cut(line, ":")
				flags = append(flags, flag)
			}
		}
		if got := strings.Join(flags, " "); got != c.faults {
			t.Errorf("%+v: faults of %q, want %q: %v", c.typed, got, c.faults, err)
		}
		if tr.Name != "isp" {
			t.Errorf("%+v has the name %q", c.typed, tr.Name)
		}
	}
	tr, err := (&Typed{Source: "192.0.2.1, ::ffff:192.0.2.2", Mechanisms: "plain,login"}).Transport("isp")
	if err != nil || len(tr.Sources) != 2 || tr.Sources[1].String() != "192.0.2.2" || strings.Join(tr.Mechanisms, " ") != "PLAIN LOGIN" {
		t.Errorf("%+v, %v", tr, err)
	}
}

func TestTried(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tried         Tried
		address, want string // of the error
	}{
		{Tried{Account: "joe", From: "joe@example.org", Attempts: 2, Need: "require-tls", Transport: "isp"}, "them@example.net", ""},
		{Tried{}, "example.net", "is no address"},
		{Tried{From: "joe"}, "them@example.net", "--from: "},
		{Tried{Need: "some"}, "them@example.net", "--need: "},
	} {
		s, err := c.tried.Subject(c.address)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v to %s: %v, want %q", c.tried, c.address, err, c.want)
		}
		if err == nil && (s.Account != "joe" || s.Sender.ASCII() != "example.org" || s.Attempts != 2 || s.Own != "isp" || s.Recipient.String() != "example.net" || s.Need.String() != c.tried.Need) {
			t.Errorf("%+v makes %+v", c.tried, s)
		}
	}
}
