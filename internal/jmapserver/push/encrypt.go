package push

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// keys are a client's (RFC 8291 §2); none: nothing is encrypted.
type keys struct {
	public []byte // of P-256, uncompressed
	auth   []byte
}

const (
	authSize   = 16
	saltSize   = 16
	recordSize = 4096 // all that is posted is one record (RFC 8188 §2)
)

// errKeys is told the client.
var errKeys = errors.New("keys are p256dh, a point of P-256, and auth, 16 octets, both in base64url")

// parseKeys reads them; clients write base64url with and without padding.
func parseKeys(p256dh, auth string) (k keys, err error) {
	var bad error
	if k.public, bad = decode(p256dh); bad != nil {
		return k, errKeys
	}
	if k.auth, bad = decode(auth); bad != nil || len(k.auth) != authSize {
		return k, errKeys
	}
	if _, bad = ecdh.P256().NewPublicKey(k.public); bad != nil {
		return k, errKeys
	}
	return k, nil
}

func decode(s string) ([]byte, error) {
	if len(s) > 200 {
		return nil, errKeys
	}
	for len(s) > 0 && s[len(s)-1] == '=' {
		s = s[:len(s)-1]
	}
	return base64.RawURLEncoding.DecodeString(s)
}

// seal encrypts a message to a client (RFC 8291 §3).
func seal(k keys, message []byte) ([]byte, error) {
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return sealWith(k, message, own, salt)
}

// sealWith is seal with the key pair and the salt of this message.
func sealWith(k keys, message []byte, own *ecdh.PrivateKey, salt []byte) ([]byte, error) {
	const overhead = 1 + 16 // the delimiter and the tag
	if len(message) > recordSize-overhead {
		return nil, errors.New("what is to be posted is longer than one record")
	}
	to, err := ecdh.P256().NewPublicKey(k.public)
	if err != nil {
		return nil, err
	}
	shared, err := own.ECDH(to)
	if err != nil {
		return nil, err
	}
	ours := own.PublicKey().Bytes()
	material, err := hkdf.Key(sha256.New, shared, k.auth, "WebPush: info\x00"+string(k.public)+string(ours), sha256.Size)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, material, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, material, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	out := append([]byte{}, salt...) // RFC 8188 §2.1
	out = binary.BigEndian.AppendUint32(out, recordSize)
	out = append(out, byte(len(ours)))
	out = append(out, ours...)
	const last = 2 // delimiter of the last record
	return gcm.Seal(out, nonce, append(append([]byte{}, message...), last), nil), nil
}
