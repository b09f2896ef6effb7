package message

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
)

// SES-17, RFC 6531 §3.2: only a header needs SMTPUTF8, at whatever level it stands.
func TestHeadersNeedUTF8(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, msg string
		want      bool
	}{
		{"ASCII", "Subject: x\n\nx\n", false},
		{"header", "Subject: ä\n\nx\n", true},
		{"Latin-1", "Subject: \xe4\n\nx\n", true},
		{"body", "Subject: x\n\nä\n", false},
		{"no body", "Subject: x\n", false},
		{"body in parts", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nä\n--b\n\nö\n--b--\nü\n", false},
		{"preamble and epilogue", "Content-Type: multipart/mixed; boundary=b\n\nä\n--b\n\nx\n--b--\n\nü: ü\n", false},
		{"header of a part", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Description: ä\n\nx\n--b--\n", true},
		{"no such part", "Subject: x\n\n--b\nContent-Description: ä\n\nx\n", false},
		{"signature of a mail", "Subject: x\n\nx\n-- \nJörg\n\nx\n", false},
		{"nested", "Content-Type: multipart/mixed; boundary=\"b c\"\n\n--b c\nContent-Type: multipart/alternative; boundary=b\n\n--b\nX: ä\n\n--b--\n--b c--\n", true},
		{"after a nested one", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nx\n--b--\n--a\nX: ä\n\n--a--\n", true},
		{"inner boundary when the outer went on", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--a\n\n--b\nX: ä\n\n--a--\n", false},
		{"enclosed message", "Content-Type: message/rfc822\n\nSubject: ä\n\nx\n", true},
		{"enclosed, body", "Content-Type: message/rfc822\n\nSubject: x\n\nä\n", false},
		{"enclosed, encoded", "Content-Type: message/global\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogw6QK\n", false},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: ä\n\nx\n--b--\n", true},
		{"folded Content-Type", "Content-Type: multipart/mixed;\n boundary=b\n\n--b\nX: ä\n\n--b--\n", true},
		{"a line longer than the buffer", "Subject: x\n\n" + strings.Repeat("x", 5000) + "--b\nX: ä\n", false},
		{"a header line longer than the buffer", "Subject: " + strings.Repeat("x", 5000) + "ä\n\nx\n", true},
		{"a header without end", strings.Repeat("X: x\n", scanHeader/4), true},
	} {
		got, err := HeadersNeedUTF8(strings.NewReader(strings.ReplaceAll(tt.msg, "\n", "\r\n")))
		if got != tt.want || err != nil {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
	}
	if _, err := HeadersNeedUTF8(iotest.ErrReader(iotest.ErrTimeout)); err == nil {
		t.Error("a message that cannot be read has an answer")
	}
}

// SES-17: U-labels become A-labels where the header is US-ASCII then.
func TestALabels(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"To: x@bücher.example\n", "To: x@xn--bcher-kva.example\n"},
		{"To: Bob <x@bücher.example>, y@grüße.example\nCc: z@a.example\n", "To: Bob <x@xn--bcher-kva.example>, y@xn--gre-6ka8l.example\nCc: z@a.example\n"},
		{"from:\n a@bücher.example (x@bücher.example)\n", "from:\n a@xn--bcher-kva.example (x@xn--bcher-kva.example)\n"},
		{"Message-ID: <1@bücher.example>\n", "Message-ID: <1@xn--bcher-kva.example>\n"},
		{"Subject: x\nTo: x@a.example\n", ""},
		{"To: jörg@bücher.example\n", ""},
		{"To: Jörg <x@bücher.example>\n", ""},
		{"To: x@bücher.example\nSubject: Grüße\n", ""},
		{"Subject: x@bücher.example\n", ""},
		{"To: x@b\xfccher.example\n", ""},
		{"To: x@ü..example\n", ""},
	} {
		h, _, err := SplitHeader([]byte(strings.ReplaceAll(tt.in, "\n", "\r\n") + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		want := tt.want
		if want == "" {
			want = tt.in
		}
		changed := h.ALabels()
		if got := strings.ReplaceAll(string(h.Bytes()), "\r\n", "\n"); got != want || changed != (tt.want != "") {
			t.Errorf("%q became %q (%v)", tt.in, got, changed)
		}
	}
}

// However the message comes, and whatever it is, the answer is the same; without
// octets above 127 it is no, but for a header without end.
func FuzzHeadersNeedUTF8(f *testing.F) {
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: ä\r\n\r\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		one, err := HeadersNeedUTF8(bytes.NewReader(msg))
		two, err2 := HeadersNeedUTF8(iotest.OneByteReader(bytes.NewReader(msg)))
		if one != two || err != nil || err2 != nil || one && !EightBit(msg) && bytes.Count(msg, []byte("boundary")) < scanBoundaries && len(msg) < scanHeader {
			t.Fatalf("%q: %v and %v, %v, %v", msg, one, two, err, err2)
		}
	})
}
