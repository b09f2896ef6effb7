package sound

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is a self-signed certificate.
func pair(t *testing.T, isRSA bool) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"mx.example.test"}}
	if isRSA {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}

// shake makes a handshake over a pipe.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go func() {
		c := tls.Server(a, server)
		if c.HandshakeContext(t.Context()) == nil {
			c.Write([]byte("x"))
		}
		a.Close()
	}()
	client.InsecureSkipVerify = true
	c := tls.Client(b, client)
	err := c.HandshakeContext(t.Context())
	if err == nil {
		c.Read(make([]byte, 1)) // tickets come with the first octets
	}
	return c.ConnectionState(), err
}

// TestServer makes a real handshake for every version, cipher suite and kind of
// listener (CRT-4).
func TestServer(t *testing.T) {
	t.Parallel()
	for _, fromServers := range []bool{false, true} {
		for _, isRSA := range []bool{false, true} {
			server := Server(fromServers)
			server.Certificates = []tls.Certificate{pair(t, isRSA)}
			for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
				_, err := shake(t, server, &tls.Config{MinVersion: v, MaxVersion: v})
				if (err == nil) != (v >= tls.VersionTLS12) {
					t.Errorf("from servers %v, %s: %v", fromServers, tls.VersionName(v), err)
				}
			}
			for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
				if !slices.Contains(s.SupportedVersions, uint16(tls.VersionTLS12)) {
					continue
				}
				_, err := shake(t, server, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{s.ID}})
				forKey := strings.Contains(s.Name, "_RSA_WITH") == isRSA
				modern := strings.HasPrefix(s.Name, "TLS_ECDHE_") && !s.Insecure
				cbc := strings.Contains(s.Name, "_CBC_")
				if want := forKey && modern && (fromServers || !cbc); (err == nil) != want {
					t.Errorf("from servers %v, RSA %v, %s: %v", fromServers, isRSA, s.Name, err)
				}
			}
		}
	}
}

// A client that has CBC and something better gets the better one, whatever it prefers;
// the key exchange is post-quantum where both can; tickets are for mail programs only.
func TestServerPrefers(t *testing.T) {
	t.Parallel()
	for _, fromServers := range []bool{false, true} {
		server := Server(fromServers)
		server.Certificates = []tls.Certificate{pair(t, true)}
		cs, err := shake(t, server, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}})
		if err != nil || cs.CipherSuite != tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 {
			t.Errorf("from servers %v: %s, %v", fromServers, tls.CipherSuiteName(cs.CipherSuite), err)
		}
		tickets := &noted{}
		cs, err = shake(t, server, &tls.Config{ServerName: "mx.example.test", ClientSessionCache: tickets})
		if err != nil || cs.CurveID != tls.X25519MLKEM768 {
			t.Errorf("from servers %v: key exchange %s, %v", fromServers, cs.CurveID, err)
		}
		if tickets.put == fromServers {
			t.Errorf("from servers %v: a ticket was given: %v", fromServers, tickets.put)
		}
	}
}

type noted struct{ put bool }

func (n *noted) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (n *noted) Put(_ string, s *tls.ClientSessionState)    { n.put = n.put || s != nil }
