package dnsupdate

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/internal/freeport"
)

const secret = "c2VjcmV0IG9mIHRoZSB0ZXN0cyBvbmx5"

// primary is a name server that notes the updates it is sent.
func primary(t *testing.T, answer int) (addr string, got chan *wire.Msg) {
	t.Helper()
	got = make(chan *wire.Msg, 10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &wire.Server{Listener: l, TsigSecret: map[string]string{"waxwing.": secret}, MsgAcceptFunc: func(wire.Header) wire.MsgAcceptAction { return wire.MsgAccept },
		Handler: wire.HandlerFunc(func(w wire.ResponseWriter, q *wire.Msg) {
			r := new(wire.Msg)
			r.SetReply(q)
			switch {
			case q.IsTsig() == nil || w.TsigStatus() != nil:
				r.Rcode = wire.RcodeNotAuth
			default:
				r.Rcode = answer
				r.SetTsig("waxwing.", wire.HmacSHA256, 300, time.Now().Unix())
				got <- q
			}
			w.WriteMsg(r)
		})}
	go srv.ActivateAndServe()
	t.Cleanup(func() { srv.Shutdown() })
	return l.Addr().String(), got
}

func change(was, wanted []string) Change {
	return Change{Zone: dns.MustParse("example.test"), Name: dns.MustParse("mx.example.test"), Type: "TXT", TTL: 60, Was: was, Values: wanted}
}

// TestDynamic: an update says what the set must still be, and what it is to be, and is
// signed (RFC 2136 §2.4, §2.5, RFC 8945).
func TestDynamic(t *testing.T) {
	t.Parallel()
	addr, got := primary(t, wire.RcodeSuccess)
	d := &Dynamic{Server: addr, KeyName: "Waxwing", Secret: secret, Now: time.Now}
	long := strings.Repeat("x", 300)
	if err := d.Update(t.Context(), []Change{change([]string{"old", "kept"}, []string{"kept", long})}); err != nil {
		t.Fatal(err)
	}
	m := <-got
	text := func(rrs []wire.RR) string {
		var all []string
		for _, rr := range rrs {
			all = append(all, strings.Join(strings.Fields(rr.String()), " "))
		}
		slices.Sort(all)
		return strings.Join(all, "; ")
	}
	if m.Question[0].Name != "example.test." || m.Opcode != wire.OpcodeUpdate {
		t.Errorf("the update is of %s", m.Question[0].Name)
	}
	if s := text(m.Answer); strings.Count(s, "mx.example.test. 0 IN TXT") != 2 {
		t.Errorf("what must still be there: %s", s)
	}
	if s := text(m.Ns); !strings.Contains(s, "CLASS255 TXT") || !strings.Contains(s, `60 IN TXT "kept"`) || !strings.Contains(s, long[:255]+`" "`+long[255:]) {
		t.Errorf("what is to be: %s", s)
	}
	if err := d.Update(t.Context(), []Change{change(nil, []string{"new"})}); err != nil {
		t.Fatal(err)
	}
	if s := text((<-got).Answer); !strings.Contains(s, "NONE TXT") {
		t.Errorf("where there must be none yet: %s", s)
	}
	wrong := &Dynamic{Server: addr, KeyName: "waxwing", Secret: "d3Jvbmc=", Now: time.Now}
	if err := wrong.Update(t.Context(), []Change{change(nil, []string{"new"})}); err == nil {
		t.Error("a wrong secret was taken")
	}
	if err := d.Update(t.Context(), nil); err != nil {
		t.Errorf("no change: %v", err)
	}
}

// TestUnsigned: an answer without a signature is none (RFC 8945 §5.3): whoever is on the way
// could give it, and keep the update.
func TestUnsigned(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &wire.Server{Listener: l, MsgAcceptFunc: func(wire.Header) wire.MsgAcceptAction { return wire.MsgAccept },
		Handler: wire.HandlerFunc(func(w wire.ResponseWriter, q *wire.Msg) {
			r := new(wire.Msg)
			w.WriteMsg(r.SetReply(q))
		})}
	go srv.ActivateAndServe()
	t.Cleanup(func() { srv.Shutdown() })
	d := &Dynamic{Server: l.Addr().String(), KeyName: "waxwing", Secret: secret, Now: time.Now}
	if err := d.Update(t.Context(), []Change{change(nil, []string{"x"})}); err == nil || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("an answer that anybody may have given: %v", err)
	}
	if err := (&Dynamic{Server: l.Addr().String(), Now: time.Now}).Update(t.Context(), []Change{change(nil, []string{"x"})}); err != nil {
		t.Errorf("without a key: %v", err)
	}
}

// What a server refuses is told with what to do.
func TestRefused(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{wire.RcodeRefused: "does not let this key", wire.RcodeNXRrset: "changed meanwhile", wire.RcodeNotZone: "not the primary", wire.RcodeServerFailure: "SERVFAIL"} {
		addr, _ := primary(t, code)
		err := (&Dynamic{Server: addr, KeyName: "waxwing", Secret: secret, Now: time.Now}).Update(t.Context(), []Change{change(nil, []string{"x"})})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", wire.RcodeToString[code], err)
		}
	}
}

// The zone's own records are never touched, nor another zone's (CRT-5).
func TestForbidden(t *testing.T) {
	t.Parallel()
	for _, u := range []Updater{&Dynamic{Server: "127.0.0.1:1", Now: time.Now}, &Command{Path: "/bin/false"}} {
		for _, kind := range []string{"SOA", "NS", "DS", "DNSKEY"} {
			c := change(nil, []string{"x"})
			c.Type = kind
			if err := u.Update(t.Context(), []Change{c}); err == nil || !strings.Contains(err.Error(), "never written") {
				t.Errorf("%s: %v", kind, err)
			}
		}
		c := change(nil, []string{"x"})
		c.Name = dns.MustParse("example.net")
		if err := u.Update(t.Context(), []Change{c}); err == nil || !strings.Contains(err.Error(), "not in the zone") {
			t.Errorf("another zone: %v", err)
		}
	}
}

// TestCommand: the program reads the sets as JSON, and its word is told where it fails.
func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, script := filepath.Join(dir, "out"), filepath.Join(dir, "provider")
	freeport.Executable(t, script, strings.NewReader("#!/bin/sh\ncat >\""+out+"\"\n[ \"$1\" = good ] || { echo no such zone >&2; exit 3; }\n"))
	if err := (&Command{Path: script, Args: []string{"good"}}).Update(t.Context(), []Change{change([]string{"a"}, nil)}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	want := `{"version":1,"zone":"example.test.","sets":[{"name":"mx.example.test.","type":"TXT","ttl":60,"was":["\"a\""],"records":[],"add":[],"delete":["\"a\""]}]}`
	if err != nil || string(text) != want {
		t.Errorf("the program read %s, %v", text, err)
	}
	if err := (&Command{Path: script}).Update(t.Context(), []Change{change(nil, []string{"x"})}); err == nil || !strings.Contains(err.Error(), "no such zone") {
		t.Errorf("a program that fails: %v", err)
	}
}
