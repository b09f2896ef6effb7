// Package otp makes and checks the six digits of authenticator apps: TOTP (RFC 6238) over HOTP (RFC 4226), with
// SHA-1 and steps of thirty seconds, which is what all of these apps know.
package otp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	Digits    = 6
	StepLasts = 30 * time.Second

	keySize = 20 // octets, as RFC 4226 §4 asks for (R6)
	// drift is how many steps a clock may be wrong: RFC 6238 §5.2 advises at most one.
	drift = 1
)

// NewKey is a key that the server and an app share.
func NewKey() []byte {
	b := make([]byte, keySize)
	rand.Read(b)
	return b
}

// HOTP is the code for a counter (RFC 4226 §5.3).
func HOTP(key []byte, counter uint64) string {
	m := hmac.New(sha1.New, key)
	_ = binary.Write(m, binary.BigEndian, counter) // a hash takes everything
	sum := m.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", Digits, n%1_000_000)
}

// Step is the number of the time step that a time lies in.
func Step(at time.Time) int64 { return at.Unix() / int64(StepLasts/time.Second) }

// Check finds the step whose code was typed, among those around a time that come after the last one that was used: a
// code is good once (RFC 6238 §5.2). It takes the same time whether there is one or not.
func Check(key []byte, typed string, at time.Time, last int64) (step int64, ok bool) {
	for s := Step(at) - drift; s <= Step(at)+drift; s++ {
		same := subtle.ConstantTimeCompare([]byte(HOTP(key, uint64(s))), []byte(typed)) == 1
		if same && s > last && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

var words = base32.StdEncoding.WithPadding(base32.NoPadding)

// Text is a key as people type it.
func Text(key []byte) string { return words.EncodeToString(key) }

// ErrKey says that a text is no key.
var ErrKey = errors.New("the key of an authenticator app is 32 letters and digits")

// ParseKey reads a key.
func ParseKey(s string) ([]byte, error) {
	key, err := words.DecodeString(strings.ToUpper(strings.ReplaceAll(s, " ", "")))
	if err != nil || len(key) != keySize {
		return nil, ErrKey
	}
	return key, nil
}

// URI is what an app reads from a QR code, in the form that all of them know.
func URI(issuer, account string, key []byte) string {
	q := url.Values{"secret": {Text(key)}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {fmt.Sprint(Digits)}, "period": {fmt.Sprint(int(StepLasts / time.Second))}}
	return "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(account) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}
