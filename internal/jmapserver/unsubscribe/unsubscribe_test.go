package unsubscribe

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/guard"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/mailbox"
	"waxwing/internal/verify"
	"waxwing/jmap"
	"waxwing/message"
)

const (
	both     = "from:subject:list-unsubscribe:List-Unsubscribe-Post"
	oneClick = "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
)

// signature is a DKIM-Signature field that covers fields.
func signature(headers, start string) string {
	return "DKIM-Signature: v=1; a=rsa-sha256; d=list.test; s=k; h=" + headers + ";\r\n bh=AAAA; b=" + start + "AAAA"
}

func passed(start string) verify.Signature {
	return verify.Signature{Domain: dns.MustParse("list.test"), Selector: "k", Result: dkim.Pass, Start: start}
}

func header(t *testing.T, fields ...string) message.Header {
	t.Helper()
	h, _, err := message.SplitHeader([]byte(strings.Join(fields, "\r\n") + "\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// MAIL-2: it is one click only where a valid signature covers both fields, and each is there once (RFC 8058 §4).
func TestDecide(t *testing.T) {
	t.Parallel()
	const https, mailto = "List-Unsubscribe: <https://leave.test/?x=1>", "List-Unsubscribe: <mailto:leave@list.test?subject=out>"
	failed, other := passed("abcdefgh"), passed("abcdefgh")
	failed.Result = dkim.Fail
	other.Domain = dns.MustParse("other.test")
	good := []verify.Signature{passed("abcdefgh")}
	for _, tt := range []struct {
		what   string
		fields []string
		valid  []verify.Signature
		way    Way
		why    string
	}{
		{"all is there", []string{signature(both, "abcdefgh"), https, oneClick}, good, OneClick, ""},
		{"the second address is https", []string{signature(both, "abcdefgh"), "List-Unsubscribe: <mailto:x@list.test>, <http://leave.test/>,\r\n <https://leave.test/>", oneClick}, good, OneClick, ""},
		{"the port is named", []string{signature(both, "abcdefgh"), "List-Unsubscribe: <https://leave.test:443/>", oneClick}, good, OneClick, ""},
		{"no mail of a list", []string{"Subject: x"}, good, None, ""},
		{"no post field", []string{signature(both, "abcdefgh"), https}, good, ByPage, "no-post"},
		{"another post field", []string{signature(both, "abcdefgh"), https, "List-Unsubscribe-Post: yes"}, good, ByPage, "no-post"},
		{"no signature", []string{https, oneClick}, good, ByPage, "unsigned"},
		{"nobody looked", []string{signature(both, "abcdefgh"), https, oneClick}, nil, ByPage, "unsigned"},
		{"it failed", []string{signature(both, "abcdefgh"), https, oneClick}, []verify.Signature{failed}, ByPage, "unsigned"},
		{"another one passed", []string{signature(both, "abcdefgh"), https, oneClick}, []verify.Signature{passed("hgfedcba")}, ByPage, "unsigned"},
		{"of another domain", []string{signature(both, "abcdefgh"), https, oneClick}, []verify.Signature{other}, ByPage, "unsigned"},
		{"one field is covered", []string{signature("from:list-unsubscribe", "abcdefgh"), https, oneClick}, good, ByPage, "unsigned"},
		{"a field was put before", []string{"List-Unsubscribe: <https://evil.test/>", signature(both, "abcdefgh"), https, oneClick}, good, ByPage, "several"},
		{"two post fields", []string{signature(both, "abcdefgh"), https, oneClick, oneClick}, good, ByPage, "several"},
		{"http alone", []string{signature(both, "abcdefgh"), "List-Unsubscribe: <http://leave.test/>", oneClick}, good, ByPage, "address"},
		{"another port", []string{signature(both, "abcdefgh"), "List-Unsubscribe: <https://leave.test:8443/>", oneClick}, good, ByPage, "address"},
		{"a password", []string{signature(both, "abcdefgh"), "List-Unsubscribe: <https://a:b@leave.test/>", oneClick}, good, None, ""},
		{"a script", []string{signature(both, "abcdefgh"), "List-Unsubscribe: <javascript:alert(1)>", oneClick}, good, None, ""},
		{"too long", []string{signature(both, "abcdefgh"), "List-Unsubscribe: <https://leave.test/" + strings.Repeat("x", maxURL) + ">", oneClick}, good, None, ""},
		{"a mail", []string{signature(both, "abcdefgh"), mailto, oneClick}, good, ByMail, ""},
		{"a mail before an unsigned page", []string{"List-Unsubscribe: <https://leave.test/>, <mailto:leave@list.test>", oneClick}, good, ByMail, "unsigned"},
	} {
		o := decide(header(t, tt.fields...), tt.valid)
		if o.Way != tt.way || o.Why != tt.why {
			t.Errorf("%s: %s, %q; want %s, %q", tt.what, o.Way, o.Why, tt.way, tt.why)
		}
	}
}

// list is a mail of a list in you's mailbox, whose host answers as status says.
type list struct {
	t      *testing.T
	r      *Room
	url    string
	status int
	posted []string
	dialed []string
}

func (l *list) Blob(context.Context, string, jmap.ID) (io.ReadCloser, string, error) {
	return io.NopCloser(strings.NewReader(signature(both, "abcdefgh") + "\r\nList-Unsubscribe: <" + l.url + ">\r\n" + oneClick + "\r\n\r\nhello")), "", nil
}

func (l *list) Find(_ context.Context, id int64) ([]mailbox.Message, error) {
	facts, err := json.Marshal(verify.Facts{DKIM: []verify.Signature{passed("abcdefgh")}})
	return []mailbox.Message{{Mail: mailbox.Mail{ID: id, Account: "you", Facts: facts}}}, err
}

func (l *list) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		l.t.Error(err)
	}
	l.posted = append(l.posted, fmt.Sprintf("%s %s %s %s %q", r.Method, r.URL, r.Header.Get("Content-Type"), b, r.Header.Get("Cookie")+r.Header.Get("Authorization")))
	if l.status == http.StatusFound {
		w.Header().Set("Location", "https://elsewhere.test/")
	}
	w.WriteHeader(l.status)
}

func newList(t *testing.T) *list {
	t.Helper()
	l := &list{t: t, url: "https://leave.test/list?who=7", status: 200}
	srv := httptest.NewUnstartedServer(l)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	addrs := func(some ...string) (a dns.Answer[netip.Addr]) {
		for _, s := range some {
			a.Records = append(a.Records, netip.MustParseAddr(s))
		}
		return a
	}
	names := &dnstest.Resolver{T: t, Replies: map[string]any{"A leave.test": addrs("8.8.8.8"), "AAAA leave.test": addrs(), "A inside.test": addrs("10.0.0.1"), "AAAA inside.test": addrs("::1"), "A example.com": addrs("8.8.8.8"), "AAAA example.com": addrs()}}
	l.r = &Room{Mails: l, Boxes: l, DNS: names, Roots: roots, Now: time.Now, Log: slog.New(slog.DiscardHandler), Guard: &guard.Guard{Log: slog.New(slog.DiscardHandler)},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			l.dialed = append(l.dialed, address)
			return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
		}}
	return l
}

// call is a method's answer, as JSON.
func (l *list) call(name, args string) string {
	l.t.Helper()
	var a call.Args
	if err := json.Unmarshal([]byte(args), &a); err != nil {
		l.t.Fatal(err)
	}
	got, fault := l.r.Served().Methods[name](&call.Call{Ctx: l.t.Context(), Name: "you", ID: "a", Log: slog.New(slog.DiscardHandler)}, a)
	if fault != nil {
		return fault.Type
	}
	b, err := json.Marshal(got)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

const one, postOne = `{"accountId": "a", "ids": ["E1"]}`, `"posted":{"E1":{"host":"leave.test"}}`

// MAIL-2: what is posted is what RFC 8058 §3.1 has, and nothing that tells who asks.
func TestPost(t *testing.T) {
	t.Parallel()
	l := newList(t)
	// The certificate is that of example.com, as httptest makes it.
	l.url = "https://example.com/list?who=7"
	if got := l.call("Unsubscribe/get", one); !strings.Contains(got, `"way":"one-click","host":"example.com"`) {
		t.Error(got)
	}
	if got := l.call("Unsubscribe/post", one); !strings.Contains(got, strings.ReplaceAll(postOne, "leave.test", "example.com")) {
		t.Error(got)
	}
	if got := fmt.Sprint(l.posted); got != `[POST /list?who=7 application/x-www-form-urlencoded List-Unsubscribe=One-Click ""]` {
		t.Error(got)
	}
	for _, status := range []int{http.StatusFound, http.StatusNotFound, http.StatusInternalServerError} {
		l.status = status
		if got := l.call("Unsubscribe/post", one); !strings.Contains(got, fmt.Sprintf("it answered %d", status)) {
			t.Error(got)
		}
	}
	if len(l.posted) != 4 || len(l.dialed) != 4 {
		t.Errorf("a redirect was followed: %v", l.dialed)
	}
	l.status = 200
	for range anHour - 4 {
		l.call("Unsubscribe/post", one)
	}
	if got := l.call("Unsubscribe/post", one); !strings.Contains(got, "rateLimit") || len(l.posted) != anHour {
		t.Errorf("%d posts, and then %s", len(l.posted), got)
	}
	now := time.Now().Add(61 * time.Minute)
	l.r.Now = func() time.Time { return now }
	if !l.r.may("you") || len(l.r.posted) != 1 {
		t.Error("an hour later nothing can be left")
	}
}

// DST-4: no mail leads into a private network, and none without a certificate for its name is posted to.
func TestNowhereElse(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"inside.test", "127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1"} {
		l := newList(t)
		l.url = "https://" + host + "/"
		if got := l.call("Unsubscribe/post", one); !strings.Contains(got, "no address that may be dialled") || len(l.dialed) != 0 {
			t.Errorf("%s: %s, dialled %v", host, got, l.dialed)
		}
	}
	l := newList(t)
	if got := l.call("Unsubscribe/post", one); !strings.Contains(got, "certificate") || len(l.posted) != 0 {
		t.Errorf("a wrong certificate: %s, %v", got, l.posted)
	}
	l.url = "http://leave.test/"
	if got := l.call("Unsubscribe/post", one); !strings.Contains(got, "forbidden") || len(l.posted) != 0 {
		t.Errorf("http: %s", got)
	}
	if got := l.call("Unsubscribe/post", `{"accountId": "a", "ids": ["T1", "x"]}`); strings.Count(got, "notFound") != 2 {
		t.Error(got)
	}
	if got := l.call("Unsubscribe/get", `{"accountId": "a", "ids": ["`+strings.Repeat(`x","`, maxMails)+`E1"]}`); got != "requestTooLarge" && !strings.Contains(got, "E1") {
		t.Error(got)
	}
	l.r.Boxes = others{}
	if got := l.call("Unsubscribe/get", one); !strings.Contains(got, `"notFound":["E1"]`) {
		t.Errorf("another account's mail: %s", got)
	}
}

// others has mails of others.
type others struct{}

func (others) Find(context.Context, int64) ([]mailbox.Message, error) {
	return []mailbox.Message{{Mail: mailbox.Mail{Account: "eve"}}}, nil
}
