//go:build linux

package companion_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"waxwing/internal/companion"
	"waxwing/socketmap"
)

// recording is the policy server and the datagram reader that stood beside
// Postfix when it was recorded, with what they hear this time.
type recording struct {
	mu        sync.Mutex
	queries   []string
	datagrams []string
}

func (r *recording) heard() (queries, datagrams []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.queries), slices.Clone(r.datagrams)
}

// lookup answers as the recording's policy server did: with a refusal, with what
// is no policy at all, and for the rest with the policies it had. It knew one
// case of each name and no U-labels.
func (r *recording) lookup(_ context.Context, req socketmap.Request) socketmap.Reply {
	r.mu.Lock()
	r.queries = append(r.queries, req.String())
	r.mu.Unlock()
	full := func(level, mode string) string {
		mx := "mx." + req.Key
		return level + " policy_type=sts policy_domain=" + req.Key + " mx_host_pattern=" + mx + " { policy_string = version: STSv1 } { policy_string = mode: " + mode +
			" } { policy_string = mx: " + mx + " } { policy_string = max_age: 604800 }"
	}
	secure := "secure match=mx." + req.Key
	switch req.Key {
	case "temp.test":
		return socketmap.Temp("lookup failed")
	case "perm.test":
		return socketmap.Perm("no")
	case "garbage.test":
		return socketmap.Found("secure nosuchattr=1")
	case "badlevel.test":
		return socketmap.Found("bogus")
	case "dane.test", "danebad.test", "danenotls.test":
		return socketmap.Found("dane-only")
	case "sts.test", "stsbad.test":
		return socketmap.Found(full(secure+" servername=hostname", "enforce"))
	case "ststesting.test":
		return socketmap.Found(full("may", "testing"))
	case "stsfail.test":
		return socketmap.Found(secure + " policy_type=sts policy_domain=stsfail.test policy_failure=sts-webpki-invalid")
	case "stsnotls.test":
		return socketmap.Found(secure + " servername=hostname policy_type=sts policy_domain=stsnotls.test mx_host_pattern=mx.stsnotls.test { policy_string = version: STSv1 }")
	}
	return socketmap.NotFound()
}

// record starts both.
func record(t *testing.T, policies, datagrams string) *recording {
	t.Helper()
	r := &recording{}
	l, err := net.Listen("tcp", policies)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := companion.Bind(datagrams, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := (&socketmap.Server{Lookup: r.lookup}).Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		buf := make([]byte, 1<<20)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return // closed at the end
			}
			r.mu.Lock()
			r.datagrams = append(r.datagrams, string(buf[:n]))
			r.mu.Unlock()
		}
	})
	t.Cleanup(func() { cancel(); conn.Close(); wg.Wait() })
	return r
}

// recordedDeliveries are those of the recording, in its order, with what Postfix
// logs of each.
func recordedDeliveries() [][3]string {
	const config, utf8 = "client TLS configuration problem", "SMTPUTF8 is required, but was not offered"
	return [][3]string{
		{"dane.test", "sent", ""}, {"danebad.test", "deferred", "Server certificate not verified"}, {"danenotls.test", "deferred", "TLS is required, but was not offered"},
		{"plain.test", "sent", ""}, {"none.test", "sent", ""}, {"sts.test", "sent", ""}, {"stsbad.test", "deferred", "Server certificate not verified"},
		{"ststesting.test", "sent", ""}, {"stsfail.test", "deferred", ""}, {"stsnotls.test", "deferred", "TLS is required, but was not offered"},
		{"notlsrpt.test", "sent", ""}, {"temp.test", "deferred", config}, {"perm.test", "deferred", config}, {"badlevel.test", "deferred", config},
		{"garbage.test", "deferred", config}, {"nh.test", "sent", ""}, {"nh2.test", "sent", ""}, {"bücher.test", "bounced", utf8}, {"Sts.TEST", "sent", ""},
	}
}

// replay makes every recorded delivery again as it was recorded, beside the
// recording's own policy server: Postfix asks the same questions and sends the
// same datagrams, byte for byte but for the key of the mail hosts.
func (w *world) replay(t *testing.T) {
	const policies = "127.0.0.1:18642"
	r := record(t, policies, filepath.Join(spool, "run/tlsrpt/recorder.sock"))
	w.run(t, nil, "/usr/sbin/postconf", "-e", "smtp_tls_policy_maps=socketmap:inet:"+policies+":QUERYwithTLSRPT", "smtp_tlsrpt_socket_name=run/tlsrpt/recorder.sock")
	w.restartPostfix(t)
	for _, d := range recordedDeliveries() {
		to := "again@" + d[0]
		w.send(t, to)
		if got := w.status(t, to); got != d[1] || !strings.Contains(w.log("to=<"+to), d[2]) {
			t.Errorf("%s: %s, want %s and %q\n%s", to, got, d[1], d[2], w.log(d[0]))
		}
	}
	want := companion.RecordedDatagramsForTest(t, w.key)
	companion.EventuallyTest(t, "datagrams", func() bool { _, d := r.heard(); return len(d) >= len(want) })
	queries, datagrams := r.heard()
	compare(t, "datagrams", datagrams, want)
	compare(t, "queries", queries, companion.RecordedQueriesForTest(t))
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := at(got, i), at(want, i)
		if g != w {
			t.Errorf("%s differ at %d:\n got %s\nwant %s\nall:\n%s", what, i+1, g, w, strings.Join(got, "\n"))
			return
		}
	}
}

func at(s []string, i int) string {
	if i < len(s) {
		return s[i]
	}
	return fmt.Sprintf("nothing; there are %d", len(s))
}
