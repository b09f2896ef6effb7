package dmarcfailure

import (
	"strings"
	"testing"

	"waxwing/message"
)

// DMR-4: nothing that names a person is left of a header.
func TestRedact(t *testing.T) {
	t.Parallel()
	r := Redactor{Key: []byte("k")}
	h, _, err := message.SplitHeader([]byte("Received: from joe-pc (secret [192.0.2.1]) by x.example with ESMTP id 1 for <secret@here.example>; Mon, 1 Jan 2024 00:00:00 +0000\r\n" +
		"DKIM-Signature: v=1; d=a.example; s=s1; i=secret@a.example; b=abc=\r\nAuthentication-Results: x.example; spf=pass smtp.mailfrom=secret@a.example\r\n" +
		"From: \"Secret, Joe\" <secret@a.example>, Joe Secret <Secret@a.example>\r\nSender: secret (secret@home\r\nSubject: secret\r\nTo: secret@here.example\r\nMessage-ID: <1@a.example>\r\nX-Other: secret\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := string(r.Header(h))
	if strings.Contains(strings.ToLower(got), "secret") || strings.Contains(got, "joe@") {
		t.Error(got)
	}
	word := r.Address("secret@a.example")
	for _, want := range []string{"From: " + word + ", " + word + "\r\n", "Message-ID: <1@a.example>\r\n", "d=a.example; s=s1; i=" + word, "192.0.2.1"} {
		if want != "192.0.2.1" && !strings.Contains(strings.ReplaceAll(got, "\r\n ", " "), strings.TrimSuffix(want, "\r\n")) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if r.Address("") != "" || strings.Contains(r.Address("secret"), "secret") || (Redactor{Key: []byte("l")}).Address("secret@a.example") == word {
		t.Error("addresses")
	}
}

// Whatever stands before an @ in text is unreadable afterwards.
func FuzzRedact(f *testing.F) {
	f.Add("From: x <joe@a.example>")
	f.Fuzz(func(t *testing.T, s string) {
		r := Redactor{Key: []byte("k")}
		out := r.Text(s)
		if strings.Count(out, "@") != strings.Count(s, "@") {
			t.Errorf("%q became %q", s, out)
		}
		h, _, err := message.SplitHeader([]byte("From: " + strings.NewReplacer("\r", "", "\n", "").Replace(s) + "\r\nReceived: zq" + strings.NewReplacer("\r", "", "\n", "").Replace(s) + "\r\n\r\n"))
		if err == nil && len(r.Header(h)) > maxHeader {
			t.Error("too long")
		}
	})
}
