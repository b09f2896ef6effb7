package outbox

import (
	"strings"
	"testing"
	"time"
)

// Whatever comes to a return path is read without a panic; a reason is given
// exactly where it is not taken, and what is stored of it is bounded and clean.
func FuzzBounce(f *testing.F) {
	f.Add([]byte("Subject: away\r\nAuto-Submitted: auto-replied\r\n\r\nx"))
	f.Add([]byte("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n" +
		"Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		v, note, reason := readBounce(msg)
		if (note == "") == (reason == "") && v != accepted || strings.ContainsAny(note+reason, "\r\n\x00") || len(note) > 2*maxNote {
			t.Errorf("%v %q %q", v, note, reason)
		}
	})
}

// A return path that we did not make is never taken for one of ours.
func FuzzReturnPath(f *testing.F) {
	secret, sort := []byte("secret"), Family{Local: "tls-reports"}
	f.Add(sort.returnPath(secret, 1<<62), int64(5))
	f.Add("tls-reports+-", int64(-1))
	f.Fuzz(func(t *testing.T, local string, id int64) {
		if got, ok := sort.deliveryOf(secret, local); ok && !strings.EqualFold(sort.returnPath(secret, got), local) {
			t.Errorf("%q is taken for %d", local, got)
		}
		if id <= 0 { // store.NewID gives none
			return
		}
		p := sort.returnPath(secret, id)
		if got, ok := sort.deliveryOf(secret, strings.ToUpper(p)); !ok || got != id || len(p) > 64 {
			t.Errorf("%q names %d, %v", p, got, ok)
		}
		if _, ok := sort.deliveryOf([]byte("another"), p); ok {
			t.Error("another machine's signature passes")
		}
	})
}

// What a receiver answers moves the next try, within bounds.
func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sat, 21 Nov 2026 01:00:00 GMT")
	f.Fuzz(func(t *testing.T, v string) {
		if d := retryAfter(v, saturday); d < 0 || saturday.Add(d).Before(saturday) && d < 200*365*24*time.Hour {
			t.Errorf("%q: %v", v, d)
		}
	})
}
