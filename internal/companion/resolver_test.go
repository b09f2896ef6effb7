package companion

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"waxwing/internal/delivery"
	"waxwing/internal/freeport"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/smtp"
	"waxwing/socketmap"
)

// published is what the domains of the recording have published, as far as our
// resolver would find it.
type published struct{}

func (published) Find(_ context.Context, d delivery.RecipientDomain) delivery.Destination {
	switch d.Name.ASCII() {
	case "dane.test", "danebad.test", "danenotls.test":
		return destinationOf(true, usable)
	case "temp.test":
		return destinationOf(true, broken)
	}
	return destinationOf(true, bare)
}

type publishedSTS struct{}

func (publishedSTS) Find(_ context.Context, d delivery.RecipientDomain) delivery.Finding {
	mx := "mx." + d.Name.ASCII()
	switch d.Name.ASCII() {
	case "sts.test", "stsbad.test":
		return finding(policyOf(mtasts.ModeEnforce, mx), "")
	case "stsnotls.test":
		return finding(policyOf(mtasts.ModeEnforce, mx), "")
	case "ststesting.test":
		return finding(policyOf(mtasts.ModeTesting, mx), "")
	case "stsfail.test":
		return finding(nil, reason.STSWebPKI)
	}
	return delivery.Finding{}
}

// recordedQueries are the contents of the netstrings that Postfix sent.
func recordedQueries(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, l := range recorded(t, queriesFile) {
		_, q, ok := strings.Cut(l, "' b'")
		content, err := strconv.Unquote(`"` + strings.TrimSuffix(q, "'") + `"`)
		length, lerr := strconv.Atoi(strings.TrimPrefix(l[:strings.Index(l, "' ")], "b'"))
		content, comma := strings.CutSuffix(content, ",")
		if !ok || err != nil || lerr != nil || !comma || len(content) != length {
			t.Fatalf("%s: %v", l, err)
		}
		out = append(out, content)
	}
	return out
}

func stsAnswer(level, mode, domain string) string {
	mx := "mx." + domain
	s := "OK " + level
	if level == "secure" {
		s += " match=" + mx + " servername=hostname"
	}
	s += " policy_type=sts policy_domain=" + domain + " mx_host_pattern=" + mx
	for _, l := range stsStrings(mode, mx) {
		s += " { policy_string = " + l + " }"
	}
	return s
}

// The recorded lookups over a real socket: what each is answered.
func TestRecordedQueries(t *testing.T) {
	t.Parallel()
	const notFound = "NOTFOUND "
	want := map[string]string{
		"dane.test": "OK dane-only", "danebad.test": "OK dane-only", "danenotls.test": "OK dane-only",
		"sts.test": stsAnswer("secure", "enforce", "sts.test"), "stsbad.test": stsAnswer("secure", "enforce", "stsbad.test"),
		"stsnotls.test":   stsAnswer("secure", "enforce", "stsnotls.test"),
		"Sts.TEST":        stsAnswer("secure", "enforce", "sts.test"), // the case is no other domain
		"ststesting.test": stsAnswer("may", "testing", "ststesting.test"),
		"stsfail.test":    "OK may policy_type=sts policy_domain=stsfail.test policy_failure=sts-webpki-invalid",
		"temp.test":       "TEMP whether mx has TLSA records cannot be found out",
	}
	m := NewMetrics(prometheus.NewRegistry())
	r := &Resolver{Finder: published{}, STS: publishedSTS{}, Metrics: m}
	l, err := Listen(filepath.Join(t.TempDir(), "s"), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- (&socketmap.Server{Lookup: r.Lookup}).Serve(ctx, l) }()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range recordedQueries(t) {
		req, err := socketmap.ParseRequest([]byte(q))
		if err != nil {
			t.Fatal(err)
		}
		w, ok := want[req.Key]
		if !ok {
			w = notFound
		}
		got, err := socketmap.Ask(c, req)
		if err != nil || got.String() != w {
			t.Errorf("%s:\n got %s, %v\nwant %s", q, got, err, w)
		}
	}
	c.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	for word, n := range map[string]float64{"dane-only": 3, "secure": 4, "may": 2, "temp": 1, "notfound": 15} {
		if got := testutil.ToFloat64(m.answers.WithLabelValues(word)); got != n {
			t.Errorf("metric: %v answers %s, want %v", got, word, n)
		}
	}
}

// STS-13: what the operator sets aside counts for Postfix as well, and MTA-STS that is
// off is not asked.
func TestExceptions(t *testing.T) {
	t.Parallel()
	off := map[string]delivery.Exception{
		"dane.test": {DANEOff: true}, "temp.test": {DANEOff: true}, "sts.test": {STS: delivery.STSOff}, "stsbad.test": {STS: delivery.STSTolerated},
	}
	asked := 0
	r := &Resolver{Finder: published{}, STS: counted{&asked}, Exception: func(d delivery.RecipientDomain) delivery.Exception { return off[d.Name.ASCII()] }}
	for domain, want := range map[string]string{
		"dane.test": "OK may", "temp.test": "OK may", "sts.test": "NOTFOUND ", "danebad.test": "OK dane-only",
		"stsbad.test": stsAnswer("secure", "enforce", "stsbad.test"), // tolerance is for a lookup that fails
	} {
		name := PlainMap
		if domain == "stsbad.test" {
			name = TLSRPTMap
		}
		if got := r.Lookup(t.Context(), socketmap.Request{Map: name, Key: domain}).String(); got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
	}
	if asked != 4 {
		t.Errorf("MTA-STS was asked for %d of 5 domains", asked)
	}
	// Postfix's own level may be dane, whichever map it asks.
	if got := r.Lookup(t.Context(), socketmap.Request{Map: TLSRPTMap, Key: "dane.test"}).String(); got != "OK may" {
		t.Errorf("with TLSRPT: %s", got)
	}
}

type counted struct{ n *int }

func (c counted) Find(ctx context.Context, d delivery.RecipientDomain) delivery.Finding {
	*c.n++
	return publishedSTS{}.Find(ctx, d)
}

func TestMapNames(t *testing.T) {
	t.Parallel()
	r := &Resolver{Finder: published{}, STS: publishedSTS{}}
	for name, want := range map[string]string{
		"QUERY": "OK secure match=mx.sts.test servername=hostname", "query": "OK secure match=mx.sts.test servername=hostname",
		"QUERYwithTLSRPT": stsAnswer("secure", "enforce", "sts.test"), "querywithtlsrpt": stsAnswer("secure", "enforce", "sts.test"),
		"postfix": "PERM there is no map of this name here: in main.cf, end the table's name in QUERYwithTLSRPT (Postfix 3.10 and later) or QUERY",
	} {
		if got := r.Lookup(context.Background(), socketmap.Request{Map: name, Key: "sts.test"}).String(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestNextHop(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"example.org": "example.org", "EXAMPLE.org": "example.org", "example.org.": "example.org", "bücher.test": "xn--bcher-kva.test", "BÜCHER.test": "xn--bcher-kva.test",
		"example.org:25": "example.org", "example.org:smtp": "example.org", "under_score.example": "under_score.example", "localhost": "localhost",
		"example.org:587": "", ".example.org": "", "[mx.example.org]": "", "[mx.example.org]:25": "", "[192.0.2.1]": "", "192.0.2.1": "", "": "", ".": "",
		"a b": "", "a\x00b": "", "\xff.test": "", "-": "", "example..org": "", strings.Repeat("a.", 200) + "a": "", "::1": "",
	} {
		n, ok := nextHop(key)
		if n.ASCII() != want && ok || ok != (want != "") {
			t.Errorf("%q: %q, %v; want %q", key, n, ok, want)
		}
	}
}

// slow never finds anything in time.
type slow struct{}

func (slow) Find(ctx context.Context, _ delivery.RecipientDomain) delivery.Finding {
	<-ctx.Done()
	return delivery.Finding{}
}

// A lookup that takes too long is answered TEMP, not what is known so far.
func TestLookupTakesTooLong(t *testing.T) {
	t.Parallel()
	r := &Resolver{Finder: published{}, STS: slow{}}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if got := r.Lookup(ctx, socketmap.Request{Map: TLSRPTMap, Key: "none.test"}); got.Status != socketmap.StatusTemp {
		t.Errorf("got %v", got)
	}
}

// FuzzLookup: any request gets an answer that Postfix takes.
func FuzzLookup(f *testing.F) {
	for _, s := range []string{"QUERYwithTLSRPT sts.test", "QUERY dane.test", "query [x]", "x y", "QUERY b\xc3\xbccher.test"} {
		f.Add([]byte(s))
	}
	r := &Resolver{Finder: published{}, STS: publishedSTS{}}
	f.Fuzz(func(t *testing.T, in []byte) {
		req, err := socketmap.ParseRequest(in)
		if err != nil {
			t.Skip()
		}
		text := r.Lookup(context.Background(), req).String()
		if strings.HasPrefix(text, "PERM ") {
			return
		}
		if _, _, err := parseAnswer(text); err != nil {
			t.Fatalf("%q was answered %q: %v", in, text, err)
		}
	})
}

func TestSendmail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "sendmail")
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" >" + dir + "/args\ncat >" + dir + "/mail\necho trouble >&2\nexit $(cat " + dir + "/exit)\n"
	freeport.Executable(t, program, strings.NewReader(script))
	job := &delivery.Job{Envelope: delivery.Envelope{Sender: "tls-reports@a.test", Purpose: delivery.TLSReport,
		Recipients: []delivery.Recipient{{ID: 7, Address: "-oQ@b.test"}}}}
	for _, tt := range []struct {
		exit    string
		outcome delivery.Outcome
		class   int
	}{{"0", delivery.Delivered, 0}, {"75", delivery.Deferred, 4}, {"1", delivery.Deferred, 4}, {"67", delivery.Failed, 5}, {"65", delivery.Failed, 5}} {
		if err := os.WriteFile(filepath.Join(dir, "exit"), []byte(tt.exit), 0o644); err != nil {
			t.Fatal(err)
		}
		res := (&Sendmail{Path: program}).Deliver(context.Background(), job, delivery.Bytes("A: b\r\n\r\n.\r\nx\r\n"))
		rr := res.Recipients[0]
		if len(res.Recipients) != 1 || rr.ID != 7 || rr.Outcome != tt.outcome || int(rr.Enhanced.Class) != tt.class {
			t.Errorf("exit %s: %+v", tt.exit, res.Recipients)
		}
		if tt.outcome != delivery.Delivered && !strings.Contains(rr.Text, "trouble") {
			t.Errorf("exit %s: %q does not say what the program said", tt.exit, rr.Text)
		}
	}
	args, _ := os.ReadFile(filepath.Join(dir, "args"))
	mail, _ := os.ReadFile(filepath.Join(dir, "mail"))
	if string(args) != "-i\n-f\ntls-reports@a.test\n--\n-oQ@b.test\n" || string(mail) != "A: b\n\n.\nx\n" {
		t.Errorf("args %q, mail %q", args, mail)
	}
	res := (&Sendmail{Path: filepath.Join(dir, "none")}).Deliver(context.Background(), job, delivery.Bytes(""))
	if rr := res.Recipients[0]; rr.Outcome != delivery.Deferred || rr.Enhanced == (smtp.Enhanced{}) {
		t.Errorf("no such program: %+v", rr)
	}
}
