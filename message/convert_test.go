package message

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const eight = "MIME-Version: 1.0\nSubject: x\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 8bit\n\npreämble\n" +
	"--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße = \n" +
	"--b\nContent-Type: application/pdf\n\n\xff\xfe\x00\n" +
	"--b\nContent-Type: text/html\n\nplain =\n" +
	"--b\nContent-Type: message/rfc822\n\nMIME-Version: 1.0\nContent-Type: text/plain\n\ninnerü\n--b--\nepilögue\n"

func TestTo7Bit(t *testing.T) {
	t.Parallel()
	in := crlf(eight)
	out, err := To7Bit(in)
	if err != nil {
		t.Fatal(err)
	}
	if EightBit(out) {
		t.Errorf("octets above 127 are left:\n%s", out)
	}
	want, got := leaves(t, in), leaves(t, out)
	if len(got) != 4 || strings.Join(got[:3], "|") != strings.Join(want[:3], "|") {
		t.Errorf("leaves %q, want %q", got, want)
	}
	// The enclosed message is converted, not encoded (RFC 2046 §5.2.1).
	_, inner, _ := strings.Cut(got[3], ":")
	if l := leaves(t, []byte(inner)); len(l) != 1 || l[0] != "text/plain:innerü" {
		t.Errorf("enclosed message %q", got[3])
	}
	if !bytes.Contains(out, []byte("\r\nContent-Type: text/html\r\n\r\nplain =\r\n--b")) {
		t.Error("a part that needed nothing was changed")
	}
	if again, err := To7Bit(out); err != nil || !bytes.Equal(again, out) {
		t.Errorf("a message of 7 bits was changed, %v", err)
	}
}

func leaves(t *testing.T, msg []byte) []string {
	t.Helper()
	var l []string
	if err := Walk(msg, Limits{}, func(p Part) error { l = append(l, p.MediaType+":"+bodyOf(p)); return nil }); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return l
}

func TestTo7BitWithoutMIME(t *testing.T) {
	t.Parallel()
	out, err := To7Bit(crlf("Subject: x\n\nHällo\n"))
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := SplitHeader(out)
	if err != nil || h.Get("MIME-Version") != "1.0" || h.Get("Content-Type") != "text/plain; charset=unknown-8bit" {
		t.Errorf("header %s, %v", h.Bytes(), err)
	}
	if l := leaves(t, out); len(l) != 1 || l[0] != "text/plain:Hällo\r\n" {
		t.Errorf("leaves %q", l)
	}
}

func TestTo7BitDigest(t *testing.T) {
	t.Parallel()
	// RFC 2046 §5.1.5: without a type, a digest's part is a message, which must not be encoded itself.
	out, err := To7Bit(crlf("MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\nü\n--b--\n"))
	if err != nil || !bytes.Contains(out, []byte("--b\r\n\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC\r\n--b--")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTo7BitRefuses(t *testing.T) {
	t.Parallel()
	for name, msg := range map[string]string{
		"DKIM":       "DKIM-Signature: v=1\nSubject: x\n\nü",
		"S/MIME":     "MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nü\n--b--\n",
		"nested":     "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nü\n--b--\n--a--\n",
		"encrypted":  "MIME-Version: 1.0\nContent-Type: application/pkcs7-mime\n\nü",
		"UTF-8 head": "Subject: ü\n\nü",
		"broken QP":  "MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n\nü",
	} {
		out, err := To7Bit(crlf(msg))
		if err == nil {
			t.Errorf("%s: converted to %q (SES-8)", name, out)
		}
		if signed := name != "UTF-8 head" && name != "broken QP"; errors.Is(err, ErrSigned) != signed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzTo7Bit(f *testing.F) {
	f.Add(crlf(eight))
	f.Add(crlf("Subject: x\n\nü"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		out, err := To7Bit(msg)
		if err == nil && EightBit(out) {
			t.Fatalf("octets above 127 are left in %q", out)
		}
	})
}
