package otp

import (
	"strings"
	"testing"
	"time"
)

// RFC 4226, Appendix D: the codes of the first ten counters.
func TestHOTP(t *testing.T) {
	t.Parallel()
	key := []byte("12345678901234567890")
	for n, want := range strings.Fields("755224 287082 359152 969429 338314 254676 287922 162583 399871 520489") {
		if got := HOTP(key, uint64(n)); got != want {
			t.Errorf("counter %d: %s, want %s", n, got, want)
		}
	}
}

// RFC 6238, Appendix B: the codes for SHA-1, of which six digits are the last six of eight.
func TestRFC6238(t *testing.T) {
	t.Parallel()
	key := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"} {
		if got := HOTP(key, uint64(Step(time.Unix(at, 0)))); got != want[2:] {
			t.Errorf("at %d: %s, want %s", at, got, want[2:])
		}
	}
}

// A code is good in its step, the one before and the one after, and once.
func TestCheck(t *testing.T) {
	t.Parallel()
	key, now := NewKey(), time.Unix(1_800_000_015, 0)
	here := Step(now)
	for away := int64(-3); away <= 3; away++ {
		code := HOTP(key, uint64(here+away))
		step, ok := Check(key, code, now, 0)
		if want := away >= -1 && away <= 1; ok != want || ok && step != here+away {
			t.Errorf("%d steps away: %d, %t", away, step-here, ok)
		}
		if _, ok := Check(key, code, now, here+away); ok {
			t.Errorf("%d steps away: good a second time", away)
		}
	}
	for _, odd := range []string{"", "1", "00000000", "abcdef", strings.Repeat("9", 1000)} {
		if _, ok := Check(key, odd, now, 0); ok {
			t.Errorf("%q is good", odd)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	key := NewKey()
	s := Text(key)
	again, err := ParseKey(strings.ToLower(s[:4] + " " + s[4:]))
	if err != nil || string(again) != string(key) {
		t.Errorf("%x, %v", again, err)
	}
	for _, odd := range []string{"", "AAAA", s + "AAAAAAAA", "!" + s[1:]} {
		if _, err := ParseKey(odd); err == nil {
			t.Errorf("%q is a key", odd)
		}
	}
	if got := URI("mail.example.org", "joe", []byte("12345678901234567890")); got != "otpauth://totp/mail.example.org:joe?algorithm=SHA1&digits=6&issuer=mail.example.org&period=30&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" {
		t.Error(got)
	}
}
