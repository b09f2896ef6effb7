package explain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
	"waxwing/internal/explain"
	"waxwing/internal/reason"
	"waxwing/internal/store/storetest"
	"waxwing/internal/stspolicy"
	"waxwing/internal/transport"
	"waxwing/mtasts"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt")

// webs stands for the policy hosts: the text by domain.
type webs map[string]string

func (w webs) Fetch(_ context.Context, domain dns.Name) (*mtasts.Policy, []byte, *mtasts.Error) {
	text, ok := w[domain.ASCII()]
	if !ok {
		return nil, nil, &mtasts.Error{Word: reason.STSFetch, Detail: "no policy host"}
	}
	p, err := mtasts.ParsePolicy([]byte(text))
	return p, []byte(text), err
}

const tlsa = "_25._tcp.mx TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func zones() []dnstest.Zone {
	return []dnstest.Zone{
		{Name: "dane.test", Security: dns.Secure, Records: []string{"@ MX 10 mx", "mx A 192.0.2.1", "mx AAAA 2001:db8::1", tlsa}},
		{Name: "tlsa-fails.test", Security: dns.Secure, Records: []string{"@ MX 10 mx", "mx A 192.0.2.1", tlsa},
			PerName: map[string]dns.Security{"_25._tcp.mx.tlsa-fails.test": dns.Bogus}},
		{Name: "bogus.test", Security: dns.Bogus, Records: []string{"@ MX 10 mx", "mx A 192.0.2.1"}},
		{Name: "enforce.test", Security: dns.Insecure, Records: []string{"@ MX 10 mx", "@ MX 20 other.mx", "mx A 192.0.2.2", "other.mx A 192.0.2.3",
			`_mta-sts TXT "v=STSv1; id=20260101;"`}},
		{Name: "testing.test", Security: dns.Insecure, Records: []string{"@ MX 10 mx", "mx A 192.0.2.2", `_mta-sts TXT "v=STSv1; id=1;"`}},
		{Name: "lost.test", Security: dns.Insecure, Records: []string{"@ MX 10 mx", "mx A 192.0.2.2", `_mta-sts TXT "v=STSv1; id=1;"`}},
		{Name: "null.test", Security: dns.Insecure, Records: []string{"@ MX 0 ."}},
		{Name: "plain.test", Security: dns.Insecure, Records: []string{"@ MX 10 mx", "mx A 192.0.2.4"}},
	}
}

func explainer(t *testing.T) *explain.Explainer {
	resolver := dnstest.Client(t, dnstest.Serve(t, zones()...))
	fetch := webs{
		"enforce.test": "version: STSv1\nmode: enforce\nmx: mx.enforce.test\nmax_age: 604800\n",
		"testing.test": "version: STSv1\nmode: testing\nmx: *.testing.test\nmax_age: 604800\n",
	}
	now := func() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) }
	return &explain.Explainer{DNS: resolver, Now: now, Planner: &transport.Direct{
		Finder: &destination.Finder{DNS: resolver, AllowPrivate: true, Shuffle: func(int, func(int, int)) {}},
		STS:    &stspolicy.Cache{Store: storetest.Open(t), DNS: resolver, Fetcher: fetch, Now: now},
		Now:    now,
	}}
}

// TestGolden holds what people read against testdata, and what programs read
// against what people read.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, domain string
		need         delivery.TLSNeed
		must         string // what the text may not lose, -update or not
	}{
		{"dane", "dane.test", delivery.FollowPolicy, "verified by DANE, or it would wait"},
		{"dane-fails", "tlsa-fails.test", delivery.FollowPolicy, "The mail would wait"},
		{"dane-optional", "dane.test", delivery.TLSOptional, "else in plaintext"},
		{"bogus", "bogus.test", delivery.FollowPolicy, "The mail would wait"},
		{"sts-enforce", "enforce.test", delivery.FollowPolicy, "verified by PKIX, or it would wait"},
		{"sts-testing", "testing.test", delivery.FollowPolicy, "mode testing"},
		{"sts-lost", "lost.test", delivery.FollowPolicy, "no policy host"},
		{"null-mx", "null.test", delivery.FollowPolicy, "returned at once"},
		{"no-domain", "nowhere.null.test", delivery.FollowPolicy, "does not exist"},
		{"plain", "plain.test", delivery.FollowPolicy, "MTA-STS: none"},
		{"plain-required", "plain.test", delivery.RequireTLS, "returned at once"},
		{"literal", "[192.0.2.9]", delivery.FollowPolicy, "192.0.2.9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, err := delivery.ParseRecipientDomain(c.domain)
			if err != nil {
				t.Fatal(err)
			}
			x := explainer(t).Domain(t.Context(), explain.Request{Domain: d, Need: c.need})
			var text bytes.Buffer
			x.Print(&text)
			if !strings.Contains(text.String(), c.must) {
				t.Errorf("no %q in\n%s", c.must, text.String())
			}
			golden(t, c.name, text.Bytes())
			agree(t, x, text.String())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s (-update rewrites it):\n%s\nwant:\n%s", path, got, want)
	}
}

// agree: every word of the JSON stands in the text, and no list is null.
func agree(t *testing.T, x explain.Explanation, text string) {
	b, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(":null")) {
		t.Errorf("a null in %s", b)
	}
	for _, h := range x.Hosts {
		for _, r := range h.Basis {
			if !strings.Contains(text, string(r.Word)) && r.Word != reason.Skipped {
				t.Errorf("%s is not in the text", r.Word)
			}
			if r.Meaning == "" {
				t.Errorf("%s has no meaning", r.Word)
			}
		}
		if h.Skip == nil && (h.TLS == "" || h.Verify == "") {
			t.Errorf("what is done with %s is not said", h.Name)
		}
		if h.Skip != nil && h.Plaintext {
			t.Errorf("%s is skipped and may have plaintext", h.Name)
		}
	}
	if x.Stop != nil && x.Stop.Meaning == "" {
		t.Errorf("%s has no meaning", x.Stop.Word)
	}
}

// TestNoResolver: a resolver that is not there is told as that, with what to do,
// and MTA-STS is not said to be absent.
func TestNoResolver(t *testing.T) {
	t.Parallel()
	p := &transport.Direct{Finder: &destination.Finder{DNS: &dns.Client{Servers: []dns.Server{{Addr: "127.0.0.1:1"}}}}}
	d, err := delivery.ParseRecipientDomain("example.test")
	if err != nil {
		t.Fatal(err)
	}
	x := (&explain.Explainer{Planner: p}).Domain(t.Context(), explain.Request{Domain: d})
	var text bytes.Buffer
	x.Print(&text)
	for _, want := range []string{"The mail would wait", "MTA-STS: not looked at", "waxwing dns selftest", "127.0.0.1:1"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if x.MTASTS.Looked {
		t.Error("MTA-STS counts as looked at")
	}
}

// TestLastFailure: the reason of the last failed delivery is repeated, and what
// cannot be read is said.
func TestLastFailure(t *testing.T) {
	t.Parallel()
	domain, _ := delivery.ParseRecipientDomain("plain.test")
	x := explainer(t)
	for _, tt := range []struct {
		failed *explain.Failed
		err    error
		want   string
	}{
		{&explain.Failed{Reason: explain.Reason{Word: "dane-no-match", Text: "none matches"}, At: time.Date(2026, 1, 30, 1, 2, 3, 0, time.UTC), Host: "mx.plain.test", Message: 36, State: "waiting"}, nil,
			"\nThe last delivery from here that failed, 2026-01-30 01:02:03Z at mx.plain.test: dane-no-match (none matches): the host's certificate matches none of its TLSA records\n  message 10 still waits\n"},
		{&explain.Failed{Reason: explain.Reason{Word: "remote-reply"}, Reply: "550 5.1.1 no such user\x1b[1m", Message: 1, State: "failed"}, nil,
			"  the host answered 550 5.1.1 no such user [1m\n  message 1 was returned to its sender\n"},
		{nil, errors.New("the store is gone"), "what deliveries have seen of the domain could not be read: the store is gone"},
		{nil, nil, ""},
	} {
		x.LastFailure = func(context.Context, delivery.RecipientDomain) (*explain.Failed, error) { return tt.failed, tt.err }
		var b bytes.Buffer
		x.Domain(t.Context(), explain.Request{Domain: domain}).Print(&b)
		if !strings.Contains(b.String(), tt.want) || (tt.failed == nil) == strings.Contains(b.String(), "The last delivery") {
			t.Errorf("%s\nlacks %s", b.String(), tt.want)
		}
	}
}
