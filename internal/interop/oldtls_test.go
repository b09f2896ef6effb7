//go:build linux

package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/session"
	"waxwing/smtpclient"
)

// oldTLS is a mail host whose TLS is OpenSSL's, of another time or of another taste
// (POL-10).
type oldTLS struct {
	name string
	key  []string // openssl genpkey's arguments
	req  []string // openssl req's, beyond the usual ones
	// edit changes the finished certificate; nil: not.
	edit func([]byte) []byte
	args []string // openssl s_server's
	any  string   // version, cipher and key exchange of an opportunistic session; "": plaintext
	// without is why there is no TLS, where any is "".
	without reason.Word
	// required: with DANE-EE and plaintext forbidden; "": the mail goes, else the reason word.
	required reason.Word
}

func oldTLSHosts() []oldTLS {
	rsaKey := func(bits int) []string {
		return []string{"-algorithm", "RSA", "-pkeyopt", fmt.Sprintf("rsa_keygen_bits:%d", bits)}
	}
	ec := func(curve string) []string {
		return []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + curve}
	}
	suite := func(version, name string) []string {
		return []string{version, "-cipher", name + ":@SECLEVEL=0"}
	}
	const alert40 = "tls-alert-handshake-failure"
	return []oldTLS{
		{"RSA key exchange, AES-GCM", rsaKey(2048), nil, nil, suite("-tls1_2", "AES128-GCM-SHA256"), "TLS1.2 TLS_RSA_WITH_AES_128_GCM_SHA256 RSA", "", ""},
		{"RSA key exchange, AES-CBC", rsaKey(2048), nil, nil, suite("-tls1_2", "AES256-SHA"), "TLS1.2 TLS_RSA_WITH_AES_256_CBC_SHA RSA", "", ""},
		{"CBC only", rsaKey(2048), nil, nil, suite("-tls1_2", "ECDHE-RSA-AES128-SHA256"), "TLS1.2 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 X25519", "", ""},
		{"TLS 1.0", rsaKey(2048), nil, nil, suite("-tls1", "ALL"), "TLS1.0 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA X25519", "", "tls-version"},
		{"TLS 1.1, RSA key exchange", rsaKey(2048), nil, nil, suite("-tls1_1", "AES128-SHA"), "TLS1.1 TLS_RSA_WITH_AES_128_CBC_SHA RSA", "", "tls-version"},
		{"RSA 1024", rsaKey(1024), nil, nil, suite("-tls1_2", "ALL"), "TLS1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 X25519", "", ""},
		{"RSA 512", rsaKey(512), nil, nil, suite("-tls1_2", "ALL"), "TLS1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 X25519", "", "cert-weak-key"},
		{"signed with SHA-1", rsaKey(2048), nil, nil, append(suite("-tls1_2", "ECDHE-RSA-AES128-GCM-SHA256"), "-sigalgs", "RSA+SHA1"), "TLS1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 X25519", "", "tls-weak-signature"},
		{"ECDSA P-521", ec("P-521"), nil, nil, []string{"-curves", "P-521"}, "TLS1.3 TLS_AES_128_GCM_SHA256 CurveP521", "", ""},
		{"no curve in common, RSA key exchange", rsaKey(2048), nil, nil, append(suite("-tls1_2", "ECDHE-RSA-AES128-SHA:AES128-SHA"), "-curves", "brainpoolP256r1"), "TLS1.2 TLS_RSA_WITH_AES_128_CBC_SHA RSA", "", ""},
		{"negative serial number", ec("P-256"), []string{"-set_serial", "-77"}, nil, nil, "TLS1.3 TLS_AES_128_GCM_SHA256 X25519", "", ""},
		{"certificate of version 1", ec("P-256"), []string{"-config", "/dev/null"}, nil, nil, "TLS1.3 TLS_AES_128_GCM_SHA256 X25519", "", ""},
		// What crypto/tls cannot be brought to do: docs/rfc-notes.md.
		{"DHE only", rsaKey(2048), nil, nil, suite("-tls1_2", "DHE-RSA-AES256-GCM-SHA384"), "", alert40, alert40},
		{"Camellia only", rsaKey(2048), nil, nil, suite("-tls1_2", "CAMELLIA256-SHA"), "", alert40, alert40},
		{"without a certificate", rsaKey(2048), nil, nil, suite("-tls1_2", "AECDH-AES256-SHA"), "", alert40, alert40},
		{"no curve in common", ec("P-256"), nil, nil, append(suite("-tls1_2", "ALL"), "-curves", "brainpoolP256r1"), "", alert40, alert40},
		{"brainpool key", ec("brainpoolP256r1"), nil, nil, suite("-tls1_2", "ALL"), "", alert40, alert40},
		{"Ed448 key", []string{"-algorithm", "ED448"}, nil, nil, nil, "", alert40, alert40},
		{"bad encoding of a name", ec("P-256"), nil, misprint, nil, "", "cert-malformed", "cert-malformed"},
	}
}

// misprint gives the common name of a certificate a type whose letters it does not keep to.
func misprint(der []byte) []byte {
	return bytes.ReplaceAll(der, []byte("\x0c\x0emx_old.example"), []byte("\x13\x0emx_old.example"))
}

// TestOldTLS: real OpenSSL hosts with what old and odd mail hosts have. Where nothing is
// required any TLS that crypto/tls can be brought to speak is used; where DANE requires
// it, TLS 1.2 and up and nothing that is broken.
func TestOldTLS(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	for _, h := range oldTLSHosts() {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			port, der := h.serve(t)
			opportunistic := delivery.Plan{Offer: delivery.OfferAny, SmallHello: true, PlaintextFallback: true}
			s, res := h.mail(t, port, opportunistic)
			used := ""
			if f := s.TLS; f != nil {
				used = fmt.Sprintf("%s %s %s", f.Version, f.Cipher, f.KeyExchange)
			}
			if res.Outcome != delivery.Delivered || used != h.any {
				t.Fatalf("opportunistic: %v by %q, want %q; failed before: %v", res.Outcome, used, h.any, res.Text)
			}
			if h.any != "" && (s.TLS.Weak == nil) != (h.required == "") {
				t.Errorf("weak: %+v", s.TLS.Weak)
			}
			leaf := &x509.Certificate{Raw: der}
			rr := dane.Generate(leaf, dane.UsageEE, dane.SelectorCert, dane.MatchingSHA256)
			name := dns.MustParse("mx.old.example")
			required := delivery.Plan{TLS: delivery.TLSRequired, SmallHello: true, DANE: delivery.CheckRequire, TLSA: []dane.Record{dane.Record(rr)}, DANENames: []dns.Name{name}}
			_, res = h.mail(t, port, required)
			switch {
			case h.required == "" && (res.Outcome != delivery.Delivered || res.TLS != "dane"):
				t.Errorf("with DANE: %v over %q, %s: %s", res.Outcome, res.TLS, res.Word, res.Text)
			case h.required != "" && (res.Outcome != delivery.Pending || res.Word != h.required):
				t.Errorf("with DANE: %v, %s: %s; want %s", res.Outcome, res.Word, res.Text, h.required)
			}
		})
	}
}

// mail sends one message by the plan; the session is the last one.
func (h *oldTLS) mail(t *testing.T, port uint16, plan delivery.Plan) (delivery.Session, delivery.RecipientResult) {
	t.Helper()
	name := dns.MustParse("mx.old.example")
	plan.Host = delivery.Host{Name: delivery.MXHost{Name: name}, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	plan.SNI = name
	body := delivery.Bytes("Subject: old\r\n\r\nhello\r\n")
	wait := 20 * time.Second
	c := &session.Client{HELO: "client.example", Port: int(port), Timeouts: smtpclient.Timeouts{Greeting: wait, Hello: wait, StartTLS: wait, Mail: wait, Rcpt: wait, Data: wait, Final: wait}}
	rep := c.Carry(context.Background(), session.Request{Plan: plan, Content: body,
		Job:        &delivery.Job{Envelope: delivery.Envelope{Sender: "from@sender.example", Size: body.Size()}},
		Recipients: []delivery.Recipient{{ID: 1, Address: "to@old.example"}}})
	all := rep.Visit.Sessions
	last := all[len(all)-1]
	if h.any == "" && plan.TLS == delivery.TLSOpportunistic {
		if f := all[0].TLSFailure; f == nil || f.Word != h.without || !last.Plaintext {
			t.Errorf("without TLS because of %+v, want %s", f, h.without)
		}
	}
	return last, rep.Recipients[0]
}

// serve runs the host: SMTP up to STARTTLS here, and OpenSSL's s_server behind it. It
// returns its port and its certificate.
func (h *oldTLS) serve(t *testing.T) (uint16, []byte) {
	t.Helper()
	key, cert, der := h.certificate(t)
	behind := freeAddr(t)
	args := append([]string{"s_server", "-quiet", "-accept", behind, "-cert", cert, "-key", key}, h.args...)
	cmd := exec.Command("openssl", args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said := &process{name: "s_server"}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); answerMail(stdout, stdin) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-done; cmd.Wait() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go front(nc, behind)
		}
	}()
	return uint16(l.Addr().(*net.TCPAddr).Port), der
}

// certificate makes key and certificate with OpenSSL, which knows more kinds of both.
func (h *oldTLS) certificate(t *testing.T) (key, cert string, der []byte) {
	t.Helper()
	dir := t.TempDir()
	key, cert = filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	run := func(args ...string) {
		if said, err := output(dir, "openssl", args...); err != nil {
			t.Fatal(err, said)
		}
	}
	run(append([]string{"genpkey", "-out", key}, h.key...)...)
	req := []string{"req", "-x509", "-new", "-key", key, "-out", cert, "-days", "30", "-subj", "/CN=mx_old.example"}
	run(append(req, h.req...)...)
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no certificate: %s", text)
	}
	if h.edit == nil {
		return key, cert, block.Bytes
	}
	der = h.edit(block.Bytes)
	if bytes.Equal(der, block.Bytes) {
		t.Fatal("the certificate was not changed")
	}
	if err := os.WriteFile(cert, encodeChain([][]byte{der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return key, cert, der
}

// nextPort gives each host a port of its own, on an address that nobody else uses.
var nextPort atomic.Int32

func freeAddr(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.9.1.1:%d", 2000+nextPort.Add(1))
}

// front speaks SMTP until STARTTLS and then passes everything on; a client that asks
// for no TLS is served in plaintext.
func front(nc net.Conn, behind string) {
	defer nc.Close()
	br := bufio.NewReader(nc)
	io.WriteString(nc, "220 mx.old.example ESMTP\r\n")
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "EHLO"):
			io.WriteString(nc, "250-mx.old.example\r\n250 STARTTLS\r\n")
		case verb == "STARTTLS":
			io.WriteString(nc, "220 go on\r\n")
			splice(nc, behind)
			return
		default:
			if answerMail(io.MultiReader(strings.NewReader(line), br), nc); true {
				return
			}
		}
	}
}

func splice(nc net.Conn, behind string) {
	var up net.Conn
	var err error
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) { // s_server takes a moment
		if up, err = net.Dial("tcp", behind); err == nil {
			break
		}
		if time.Now().After(end) {
			return
		}
	}
	defer up.Close()
	go func() { io.Copy(up, nc); up.(*net.TCPConn).CloseWrite() }()
	io.Copy(nc, up)
}

// answerMail is the least of an SMTP server after STARTTLS, for any number of
// connections one after the other: each begins with EHLO.
func answerMail(r io.Reader, w io.Writer) {
	br, inData := bufio.NewReader(r), false
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		verb := strings.ToUpper(line[:min(4, len(line))])
		switch {
		case inData && line != ".":
			continue
		case inData:
			inData = false
			io.WriteString(w, "250 2.0.0 taken\r\n")
		case verb == "EHLO":
			io.WriteString(w, "250 mx.old.example\r\n")
		case verb == "DATA":
			inData = true
			io.WriteString(w, "354 go on\r\n")
		case verb == "QUIT": // nobody waits for an answer, and the next connection must not get it
		default:
			io.WriteString(w, "250 2.1.0 ok\r\n")
		}
	}
}
