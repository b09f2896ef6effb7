package sasl

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
)

func joeOnly(user, password string) (string, error) {
	if user == "joe" && password == "secret" {
		return "joe-account", nil
	}
	return "", ErrFailed
}

// run plays client against server and returns what both came to.
func run(t *testing.T, c Client, s Server, initial bool) (serverErr, clientErr error) {
	t.Helper()
	_, ir, err := c.Start()
	if err != nil {
		return nil, err
	}
	response, held := ir, []byte(nil)
	if !initial {
		response, held = nil, ir
	}
	for range 10 {
		ch, done, err := s.Next(response)
		if done || err != nil {
			return err, nil
		}
		if held != nil && len(ch) == 0 {
			response, held = held, nil
			continue
		}
		if response, err = c.Next(ch); err != nil {
			return nil, err
		}
		if response == nil {
			response = []byte{}
		}
	}
	t.Fatal("the exchange does not end")
	return nil, nil
}

func TestPlain(t *testing.T) {
	t.Parallel()
	var syntax *SyntaxError
	for _, tt := range []struct {
		response string
		ok       bool
		syntax   bool
	}{
		{"\x00joe\x00secret", true, false},
		{"joe\x00joe\x00secret", true, false},
		{"joe-account\x00joe\x00secret", true, false},
		{"ann\x00joe\x00secret", false, false},
		{"\x00joe\x00wrong", false, false},
		{"\x00ann\x00secret", false, false},
		{"", false, true},
		{"joe\x00secret", false, true},
		{"\x00joe\x00secret\x00", false, true},
		{"\x00\x00secret", false, true},
		{"\x00joe\x00", false, true},
		{"\x00joe\x00" + strings.Repeat("x", 2000), false, true},
	} {
		s := NewPlainServer(joeOnly)
		_, done, err := s.Next([]byte(tt.response))
		if done != tt.ok || errors.As(err, &syntax) != tt.syntax || !tt.ok && !tt.syntax && !errors.Is(err, ErrFailed) {
			t.Errorf("%q: done %v, %v", tt.response, done, err)
		}
		if want := map[bool]string{true: "joe-account"}[tt.ok]; s.Identity() != want {
			t.Errorf("%q: identity %q", tt.response, s.Identity())
		}
	}
}

func TestExchanges(t *testing.T) {
	t.Parallel()
	for _, initial := range []bool{true, false} {
		for _, password := range []string{"secret", "wrong"} {
			for name, pair := range exchanges(t, password) {
				serverErr, clientErr := run(t, pair.c, pair.s, initial && name != Login)
				if clientErr != nil {
					t.Errorf("%s %s: client: %v", name, password, clientErr)
				}
				if ok := password == "secret"; ok != (serverErr == nil) || !ok && !errors.Is(serverErr, ErrFailed) {
					t.Errorf("%s %s: server: %v", name, password, serverErr)
				}
				if c, checked := pair.c.(Checked); checked && (c.Done() == nil) != (password == "secret") {
					t.Errorf("%s %s: Done: %v", name, password, c.Done())
				}
			}
		}
	}
}

type pair struct {
	c Client
	s Server
}

func exchanges(t *testing.T, password string) map[string]pair {
	all := map[string]pair{
		Plain: {NewPlainClient("", "joe", password), NewPlainServer(joeOnly)},
		Login: {NewLoginClient("joe", password), NewLoginServer(joeOnly)},
	}
	for _, m := range []string{ScramSHA1, ScramSHA256} {
		c, err := NewScramClient(ScramClient{Mechanism: m, User: "joe", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		all[m] = pair{c, scramFor(t, ScramServer{Mechanism: m}, "secret", true)}
	}
	return all
}

func scramFor(t testing.TB, s ScramServer, password string, known bool) Server {
	t.Helper()
	cred, err := NewCredentials(s.Mechanism, password, []byte("saltsaltsaltsalt"), 4096)
	if err != nil {
		t.Fatal(err)
	}
	s.Lookup = func(string) (Credentials, string, bool, error) { return cred, "joe-account", known, nil }
	srv, err := NewScramServer(s)
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// An unknown user goes through the same steps, and fails where a wrong password does,
// even if the made-up credentials would fit.
func TestScramUnknownUser(t *testing.T) {
	t.Parallel()
	c, err := NewScramClient(ScramClient{Mechanism: ScramSHA256, User: "nobody", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	s := scramFor(t, ScramServer{Mechanism: ScramSHA256}, "secret", false)
	serverErr, clientErr := run(t, c, s, true)
	if !errors.Is(serverErr, ErrFailed) || clientErr != nil || s.Identity() != "" {
		t.Errorf("server %v, client %v, identity %q", serverErr, clientErr, s.Identity())
	}
}

// RFC 5802 §6, §7: what a first message may not say.
func TestScramFirst(t *testing.T) {
	t.Parallel()
	bound := []Binding{{Type: "tls-exporter"}}
	bound[0].data.Type, bound[0].data.Data = "tls-exporter", []byte("exporter")
	for _, tt := range []struct {
		s     ScramServer
		first string
		ok    bool
	}{
		{ScramServer{Mechanism: ScramSHA256}, "n,,n=joe,r=abc", true},
		{ScramServer{Mechanism: ScramSHA256}, "y,,n=joe,r=abc", true},
		{ScramServer{Mechanism: ScramSHA256, Bindings: bound, PlusOffered: true}, "y,,n=joe,r=abc", false},
		{ScramServer{Mechanism: ScramSHA256, Bindings: bound, PlusOffered: true}, "n,,n=joe,r=abc", true},
		{ScramServer{Mechanism: ScramSHA256, Bindings: bound, PlusOffered: true}, "p=tls-exporter,,n=joe,r=abc", false},
		{ScramServer{Mechanism: ScramSHA256Plus, Bindings: bound}, "p=tls-exporter,,n=joe,r=abc", true},
		{ScramServer{Mechanism: ScramSHA256Plus, Bindings: bound}, "p=tls-unique,,n=joe,r=abc", false},
		{ScramServer{Mechanism: ScramSHA256Plus, Bindings: bound}, "n,,n=joe,r=abc", false},
		{ScramServer{Mechanism: ScramSHA256Plus}, "p=tls-exporter,,n=joe,r=abc", false},
		{ScramServer{Mechanism: ScramSHA256}, "", false},
		{ScramServer{Mechanism: ScramSHA256}, "n,,m=ext,n=joe,r=abc", false},
		{ScramServer{Mechanism: ScramSHA256}, "n,,n=jo=e,r=abc", false},
		{ScramServer{Mechanism: ScramSHA256}, "n,,n=" + strings.Repeat("x", 2000) + ",r=abc", false},
		{ScramServer{Mechanism: ScramSHA256}, strings.Repeat("x", 5000), false},
	} {
		ch, done, err := scramFor(t, tt.s, "secret", true).Next([]byte(tt.first))
		if done || (err == nil) != tt.ok || tt.ok && !strings.HasPrefix(string(ch), "r=abc") {
			t.Errorf("%s %q: %q %v", tt.s.Mechanism, clipped(tt.first), ch, err)
		}
		if err != nil && strings.Contains(err.Error(), "joe") {
			t.Errorf("%q: the error repeats what was sent: %v", clipped(tt.first), err)
		}
	}
}

func clipped(s string) string { return s[:min(len(s), 60)] }

// A hostile server must not buy our CPU, nor skip its own proof.
func TestScramClientBounds(t *testing.T) {
	t.Parallel()
	for _, iterations := range []string{"1", "4095", "1000001", "99999999999999999999", "x", ""} {
		c, err := NewScramClient(ScramClient{Mechanism: ScramSHA256, User: "joe", Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		_, first, err := c.Start()
		if err != nil {
			t.Fatal(err)
		}
		nonce := string(first)[strings.Index(string(first), "r=")+2:]
		if _, err := c.Next([]byte("r=" + nonce + "x,s=c2FsdA==,i=" + iterations)); err == nil {
			t.Errorf("i=%s was accepted", iterations)
		}
		if c.(Checked).Done() == nil {
			t.Errorf("i=%s: Done is content without the server's proof", iterations)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	a := Account{User: "joe", Password: "secret"}
	for _, tt := range []struct {
		offered string
		want    string
	}{
		{"PLAIN LOGIN", ""},
		{"plain scram-sha-1 SCRAM-SHA-256", ScramSHA256},
		{"PLAIN SCRAM-SHA-256-PLUS SCRAM-SHA-1", ScramSHA1}, // no TLS, nothing to bind to
		{"GSSAPI", ""},
	} {
		c, err := Choose(strings.Fields(tt.offered), nil, a)
		got := ""
		if err == nil {
			got, _, _ = c.Start()
		}
		if got != tt.want {
			t.Errorf("%s: %q %v, want %q", tt.offered, got, err, tt.want)
		}
	}
	a.AllowPlaintext = true
	if c, err := Choose([]string{"LOGIN"}, nil, a); err != nil {
		t.Error(err)
	} else if m, _, _ := c.Start(); m != Login {
		t.Error(m)
	}
}

// TRA-2: the configuration can name the mechanisms, and a password is handed
// over only where TLS says to whom.
func TestChooseAllowed(t *testing.T) {
	t.Parallel()
	cs := &tls.ConnectionState{}
	for _, tt := range []struct {
		offered, allowed string
		unverified       bool
		want             string
	}{
		{"PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1", "", true, ScramSHA1},
		{"PLAIN LOGIN CRAM-MD5", "", true, CramMD5},
		{"PLAIN LOGIN", "", true, ""},
		{"PLAIN LOGIN", "", false, Plain},
		{"PLAIN LOGIN", "login", false, Login},
		{"PLAIN SCRAM-SHA-256", "plain", false, Plain},
		{"PLAIN", "SCRAM-SHA-256", false, ""},
		{"", "", false, ""},
	} {
		got := ""
		c, err := Choose(strings.Fields(tt.offered), cs, Account{User: "joe", Password: "secret", Unverified: tt.unverified, Allowed: strings.Fields(tt.allowed)})
		if err == nil {
			got, _, _ = c.Start()
		}
		if got != tt.want {
			t.Errorf("%s of %s, unverified %v: %q %v, want %q", tt.allowed, tt.offered, tt.unverified, got, err, tt.want)
		}
	}
}

// The example of RFC 2195 §2.
func TestCramMD5(t *testing.T) {
	t.Parallel()
	c := NewCramMD5Client("tim", "tanstaaftanstaaf")
	if m, ir, err := c.Start(); m != "CRAM-MD5" || ir != nil || err != nil {
		t.Errorf("%s %q %v", m, ir, err)
	}
	got, err := c.Next([]byte("<1896.697170952@postoffice.reston.mci.net>"))
	if want := "tim b913a602c7eda7a495b4e6e7334d3890"; string(got) != want || err != nil {
		t.Errorf("%q %v, want %q", got, err, want)
	}
	if _, err := c.Next([]byte("again")); err == nil {
		t.Error("a second challenge was answered")
	}
}

func TestNewCredentials(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 4095, 1_000_001} {
		if _, err := NewCredentials(ScramSHA256, "x", []byte("salt"), n); err == nil {
			t.Errorf("%d iterations were accepted", n)
		}
	}
	if _, err := NewCredentials(Plain, "x", []byte("salt"), 4096); err == nil {
		t.Error("PLAIN has no SCRAM credentials")
	}
}

// FuzzServer gives three arbitrary responses to every mechanism: none may log
// anybody in, for the credentials hold a key that no password makes.
func FuzzServer(f *testing.F) {
	f.Add([]byte("n,,n=joe,r=abc"), []byte("c=biws,r=abc,p=AAAA"), []byte(""))
	f.Add([]byte("\x00joe\x00secret"), []byte("p=tls-exporter,,n=a,r=b"), []byte("y,a=b,n=c,r="))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		never := func(string, string) (string, error) { return "", ErrFailed }
		servers := []Server{NewPlainServer(never), NewLoginServer(never)}
		for _, m := range []string{ScramSHA1, ScramSHA256Plus} {
			bound := []Binding{{Type: "tls-exporter"}}
			bound[0].data.Type, bound[0].data.Data = "tls-exporter", []byte("exporter")
			s, err := NewScramServer(ScramServer{Mechanism: m, Bindings: bound, Lookup: func(string) (Credentials, string, bool, error) {
				return Credentials{Salt: []byte("salt"), Iterations: 4096, StoredKey: make([]byte, 32), ServerKey: make([]byte, 32)}, "x", true, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			servers = append(servers, s)
		}
		for _, s := range servers {
			for _, r := range [][]byte{a, b, c} {
				_, done, err := s.Next(r)
				if done || s.Identity() != "" {
					t.Fatalf("%T let %q %q %q in", s, a, b, c)
				}
				if err != nil {
					break
				}
			}
		}
	})
}

// FuzzClient: whatever a server says, the client never believes it.
func FuzzClient(f *testing.F) {
	f.Add([]byte("r=abc,s=c2FsdA==,i=4096"), []byte("v=AAAA"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		c, err := NewScramClient(ScramClient{Mechanism: ScramSHA256, User: "joe", Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		for _, ch := range [][]byte{a, b} {
			if _, err := c.Next(ch); err != nil {
				break
			}
		}
		if c.(Checked).Done() == nil {
			t.Fatal("the server was believed")
		}
	})
}
