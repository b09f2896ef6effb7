package rspamd

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/internal/config"
)

var mail = Message{ID: "m1", IP: netip.MustParseAddr("::ffff:192.0.2.1"), HELO: "far.test", Name: "name.far.test", Sender: "x@far.test",
	Recipients: []string{"joe@here.test", "ann@here.test"}, Whole: []byte("Subject: x\r\n\r\nbody\r\n")}

// TestCheck (JNK-3): what Rspamd is told, over TCP and over a socket of this machine, and what
// becomes of its answers.
func TestCheck(t *testing.T) {
	t.Parallel()
	answer, status := "", 200
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		told := fmt.Sprint(r.Method, r.URL.Path, r.Header["Ip"], r.Header["Helo"], r.Header["From"], r.Header["Rcpt"], r.Header["Queue-Id"], r.Header["Mta-Name"], r.Header["Hostname"], r.Header["Password"], string(body))
		if want := fmt.Sprint("POST", "/checkv2", "[192.0.2.1] [far.test] [x@far.test] [joe@here.test ann@here.test] [m1] [mx.here.test] [name.far.test] [secret]", string(mail.Whole)); told != want {
			t.Errorf("%s\nwant %s", told, want)
		}
		w.WriteHeader(status)
		io.WriteString(w, answer)
	})
	web := httptest.NewServer(h)
	defer web.Close()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	local := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	local.Start()
	defer local.Close()
	for _, url := range []string{web.URL, web.URL + "/", "unix:" + path} {
		c := New(config.Rspamd{URL: url, Password: "secret", Timeout: time.Minute, MaxSize: 1000}, "mx.here.test")
		for _, s := range []struct {
			answer string
			status int
			want   string
		}{
			{`{"score":4.5,"required_score":15,"action":"add header"}`, 200, "{4.5 15 add header} false <nil>"},
			{`{"score":1,"required_score":15,"action":"greylist"}`, 200, "{1 15 greylist} true <nil>"},
			{`{"score":1,"required_score":15,"action":"soft reject"}`, 200, "{1 15 soft reject} true <nil>"},
			{`{"score":1}`, 200, "has no action"}, {`{"score":1e999,"action":"x"}`, 200, "no answer of Rspamd's"},
			{"<html>", 200, "no answer of Rspamd's"}, {"busy\r\nnow", 503, "answers 503: busy"}, {"", 302, "answers 302"},
			{strings.Repeat(" ", maxAnswer+1), 200, "answers more than"},
		} {
			answer, status = s.answer, s.status
			got, wait, err := c.Check(t.Context(), mail)
			if said := fmt.Sprint(got, wait, err); !strings.Contains(said, s.want) {
				t.Errorf("%s: %s; want %s", url, said, s.want)
			}
		}
		big := mail
		big.Whole = make([]byte, 1001)
		if _, _, err := c.Check(t.Context(), big); err != ErrTooLarge {
			t.Errorf("%v", err)
		}
	}
}

// TestSilence: who does not answer in its time is silent.
func TestSilence(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := New(config.Rspamd{URL: "http://" + l.Addr().String(), Timeout: 50 * time.Millisecond, MaxSize: 1000}, "mx.here.test")
	if _, _, err := c.Check(t.Context(), mail); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("%v", err)
	}
	if New(config.Rspamd{}, "") != nil {
		t.Error("a client of nobody")
	}
}

// TestLearn: what accounts teach is passed on where the configuration says so.
func TestLearn(t *testing.T) {
	t.Parallel()
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.Path) }))
	defer web.Close()
	for _, learn := range []bool{false, true} {
		c := New(config.Rspamd{URL: web.URL, Learn: learn, Timeout: time.Minute, MaxSize: 1000}, "")
		for _, good := range []bool{true, false} {
			if err := c.Learn(t.Context(), mail.Whole, good); err != nil {
				t.Error(err)
			}
		}
	}
	if got := strings.Join(asked, " "); got != "/learnham /learnspam" {
		t.Error(got)
	}
}

// FuzzRead: no answer makes a panic.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"score":4.5,"required_score":15,"action":"add header"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, _, err := read(b); err == nil && len(a.Action) > 4*maxAction {
			t.Errorf("%+v", a)
		}
	})
}
