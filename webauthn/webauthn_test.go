package webauthn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

var (
	site      = Party{ID: "mail.example.org", Origin: "https://mail.example.org"}
	challenge = []byte("thirty-two octets of a challenge")
)

// authenticator makes what a browser would say with a key.
type authenticator struct {
	key   crypto.Signer
	id    []byte
	count uint32
}

func clientData(kind, origin string, challenge []byte, more string) []byte {
	return []byte(`{"type":"` + kind + `","challenge":"` + base64.RawURLEncoding.EncodeToString(challenge) + `","origin":"` + origin + `"` + more + `}`)
}

func (a *authenticator) data(host string, flags byte) []byte {
	sum := sha256.Sum256([]byte(host))
	out := binary.BigEndian.AppendUint32(append(sum[:], flags), a.count)
	if flags&hasKey != 0 {
		out = append(out, make([]byte, 16)...)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(a.id))), a.id...)
	}
	return out
}

func (a *authenticator) public(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(a.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (a *authenticator) sign(t *testing.T, client, data []byte) Signed {
	t.Helper()
	sum := sha256.Sum256(client)
	signed := append(append([]byte(nil), data...), sum[:]...)
	digest, hash := signed, crypto.Hash(0)
	if _, ok := a.key.(ed25519.PrivateKey); !ok {
		sum := sha256.Sum256(signed)
		digest, hash = sum[:], crypto.SHA256
	}
	sig, err := a.key.Sign(rand.Reader, digest, hash)
	if err != nil {
		t.Fatal(err)
	}
	return Signed{ID: a.id, Client: client, Authenticator: data, Signature: sig}
}

func keys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r, err2 := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, err3 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"ES256": ec, "RS256": r, "EdDSA": ed}
}

// WEB-3: a passkey of each sort is made and signs; whatever is changed of what the browser says, it does not.
func TestPasskey(t *testing.T) {
	t.Parallel()
	for name, key := range keys(t) {
		a := &authenticator{key: key, id: []byte("an id"), count: 1}
		c, err := site.Register(challenge, Made{clientData("webauthn.create", site.Origin, challenge, ""), a.data(site.ID, userPresent|hasKey), a.public(t)})
		if err != nil || string(c.ID) != "an id" || c.Count != 1 {
			t.Fatalf("%s: %+v, %v", name, c, err)
		}
		a.count = 2
		good := a.sign(t, clientData("webauthn.get", site.Origin+":443", challenge, `,"crossOrigin":false,"extra":1`), a.data(site.ID, userPresent))
		if n, err := site.Verify(challenge, c, good); err != nil || n != 2 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		sign := func(client, data []byte) Signed { return a.sign(t, client, data) }
		right := good.Client
		cases := map[string]Signed{
			"of another host":      sign(right, a.data("evil.example", userPresent)),
			"with nobody present":  sign(right, a.data(site.ID, 0)),
			"of another origin":    sign(clientData("webauthn.get", "https://mail.example.org.evil.example", challenge, ""), a.data(site.ID, userPresent)),
			"of another port":      sign(clientData("webauthn.get", site.Origin+":444", challenge, ""), a.data(site.ID, userPresent)),
			"without TLS":          sign(clientData("webauthn.get", "http://mail.example.org", challenge, ""), a.data(site.ID, userPresent)),
			"in a frame of others": sign(clientData("webauthn.get", site.Origin, challenge, `,"crossOrigin":true`), a.data(site.ID, userPresent)),
			"of another challenge": sign(clientData("webauthn.get", site.Origin, challenge[1:], ""), a.data(site.ID, userPresent)),
			"made, not signed":     sign(clientData("webauthn.create", site.Origin, challenge, ""), a.data(site.ID, userPresent)),
			"that is no JSON":      sign([]byte("{"), a.data(site.ID, userPresent)),
			"that is too long":     sign(clientData("webauthn.get", site.Origin, challenge, `,"x":"`+strings.Repeat("x", maxClient)+`"`), a.data(site.ID, userPresent)),
			"with data cut off":    sign(right, a.data(site.ID, userPresent)[:36]),
			"of another id":        {[]byte("another"), good.Client, good.Authenticator, good.Signature},
			"without signature":    {good.ID, good.Client, good.Authenticator, nil},
			"of changed data":      {good.ID, good.Client, a.data(site.ID, userPresent|4), good.Signature},
		}
		for what, s := range cases {
			if _, err := site.Verify(challenge, c, s); !errors.Is(err, ErrWrong) {
				t.Errorf("%s: one %s is taken: %v", name, what, err)
			}
		}
		if _, err := site.Verify(nil, c, sign(clientData("webauthn.get", site.Origin, nil, ""), a.data(site.ID, userPresent))); !errors.Is(err, ErrWrong) {
			t.Errorf("%s: without a challenge: %v", name, err)
		}
		c.Count = 2
		if _, err := site.Verify(challenge, c, good); !errors.Is(err, ErrWrong) {
			t.Errorf("%s: a copy is taken: %v", name, err)
		}
		a.count, c.Count = 0, 0
		if _, err := site.Verify(challenge, c, sign(right, a.data(site.ID, userPresent))); err != nil {
			t.Errorf("%s: an authenticator that does not count: %v", name, err)
		}
	}
}

// What is registered is a key of a sort that is known, in data that has it.
func TestRegister(t *testing.T) {
	t.Parallel()
	weak, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authenticator{key: keys(t)["ES256"], id: []byte("an id")}
	client := clientData("webauthn.create", site.Origin, challenge, "")
	whole := a.data(site.ID, userPresent|hasKey)
	for what, m := range map[string]Made{
		"with another curve": {client, whole, (&authenticator{key: weak}).public(t)},
		"without a key":      {client, whole, nil},
		"without a flag":     {client, a.data(site.ID, userPresent), a.public(t)},
		"cut off":            {client, whole[:len(whole)-1], a.public(t)},
		"without an id":      {client, (&authenticator{}).data(site.ID, userPresent|hasKey), a.public(t)},
		"for something else": {clientData("webauthn.get", site.Origin, challenge, ""), whole, a.public(t)},
	} {
		if _, err := site.Register(challenge, m); !errors.Is(err, ErrWrong) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, s := range []string{site.ToCreate(challenge, "joe", [][]byte{[]byte("an id")}), site.ToGet(challenge, [][]byte{[]byte("an id")})} {
		var o map[string]any
		if err := json.Unmarshal([]byte(s), &o); err != nil || o["challenge"] != base64.RawURLEncoding.EncodeToString(challenge) || !strings.Contains(s, `"YW4gaWQ"`) {
			t.Errorf("%s, %v", s, err)
		}
	}
}

// FuzzPasskey: nothing that a browser says ends in a panic, or is taken.
func FuzzPasskey(f *testing.F) {
	a := &authenticator{id: []byte("an id")}
	f.Add(clientData("webauthn.get", site.Origin, challenge, ""), a.data(site.ID, userPresent|hasKey), []byte("signature"))
	f.Add([]byte("{}"), []byte{}, []byte{})
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, client, data, third []byte) {
		if _, err := site.Verify(challenge, Credential{ID: a.id, Public: der}, Signed{a.id, client, data, third}); err == nil {
			t.Errorf("%q, %x, %x is taken", client, data, third)
		}
		if c, err := site.Register(challenge, Made{client, data, third}); err == nil && (len(c.ID) == 0 || len(c.ID) > maxID) {
			t.Errorf("an id of %d octets", len(c.ID))
		}
	})
}
