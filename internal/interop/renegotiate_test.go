//go:build linux

package interop

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/smtpclient"
)

// TestRenegotiation: a host (OpenSSL's s_server, TLS 1.2) that asks for another
// handshake in the midst of the dialogue is refused and left at once: what was
// verified is what was presented first.
func TestRenegotiation(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	dir := t.TempDir()
	ca, err := newAuthority("Renegotiation Root", nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.leaf("mx.again.example")
	if err != nil {
		t.Fatal(err)
	}
	key, err := encodeKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "host.pem")
	if err := os.WriteFile(file, append(encodeChain(cert.Certificate), key...), 0o600); err != nil {
		t.Fatal(err)
	}
	const addr = "127.9.0.1:465"
	said := &process{name: "s_server"}
	cmd := exec.Command("openssl", "s_server", "-accept", addr, "-cert", file, "-tls1_2", "-crlf", "-client_renegotiation")
	cmd.Stdout, cmd.Stderr = said, said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	awaitSaid(t, said, "ACCEPT")
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := smtpclient.New(nc, smtpclient.Options{HELO: "client.example", Timeouts: smtpclient.Timeouts{Greeting: 10 * time.Second, Hello: 10 * time.Second}})
	defer c.Close()
	if err := c.ImplicitTLS(t.Context(), &tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(stdin, "220 mx.again.example\n")
	if _, err := c.Greeting(t.Context()); err != nil {
		t.Fatal(err, said.log())
	}
	began, ended := time.Now(), make(chan error, 1)
	go func() { ended <- c.Hello(t.Context()) }()
	awaitSaid(t, said, "EHLO client.example")
	io.WriteString(stdin, "R\n") // s_server's word for it
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "renegotiation") || c.Usable() || time.Since(began) > 8*time.Second {
		t.Errorf("after %v: %v\n%s", time.Since(began), err, said.log())
	}
}

func awaitSaid(t *testing.T, p *process, text string) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(p.log(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %q from %s: %s", text, p.name, p.log())
		}
	}
}
