package dkim

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"os"
	"strings"
	"testing"
	"time"

	"waxwing/message"
)

// dkim-i-quoted-printable.eml: i= as RFC 6376 §2.11 and §3.5 have it.
func TestIdentityCase(t *testing.T) {
	t.Parallel()
	msg, err := os.ReadFile("testdata/cases/dkim-i-quoted-printable.eml")
	if err != nil {
		t.Fatal(err)
	}
	records, err := os.ReadFile("testdata/cases/dkim-i-quoted-printable.key.txt")
	if err != nil {
		t.Fatal(err)
	}
	vs, err := Verify(t.Context(), corpusZone(string(records)), msg, Limits{Now: func() time.Time { return time.Unix(1795913515, 0) }})
	if err != nil || len(vs) != 1 || vs[0].Result != Pass || vs[0].Identity != "joe@example.test" {
		t.Errorf("%+v %v", vs, err)
	}
}

// signAs signs sample with a field of the test's own making. BH in it stands for
// the body's hash, B for the signature.
func signAs(t *testing.T, k Key, field string) []byte {
	t.Helper()
	h, body, err := message.SplitHeader(sample)
	if err != nil {
		t.Fatal(err)
	}
	sum, _ := bodyHash(body, true, -1)
	b64 := base64.StdEncoding.EncodeToString(sum)
	if strings.Contains(field, "FOLDED") {
		b64 = strings.Join(strings.Split(b64, ""), "\r\n\t")
	}
	if strings.Contains(field, "UNPADDED") {
		b64 = strings.TrimRight(b64, "=")
	}
	field = "DKIM-Signature: " + strings.NewReplacer("FOLDED", "", "UNPADDED", "", "BH", b64).Replace(field)
	empty := strings.Replace(field, "B;", ";", 1)
	sig, err := k.Signer.Sign(nil, headerHash(h, []string{"from", "to"}, []byte(empty), true), crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	field = strings.Replace(field, "B;", base64.StdEncoding.EncodeToString(sig)+";", 1)
	return append([]byte(field+"\r\n"), sample...)
}

// Tags are read by their grammar wherever white space, encoding, order, empty
// values and unknown tags may stand (RFC 6376 §2.11, §3.2, §3.5).
func TestTagForms(t *testing.T) {
	t.Parallel()
	ks, z := keys(t)
	ed := ks[0]
	const base = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=ed; h=from:to; bh=BH; b=B;"
	for _, c := range []struct{ name, field, identity string }{
		{"plain", base, "@example.org"},
		{"white space everywhere", "v =\t1 ;\r\n a\t= ed25519-sha256 ; c = relaxed/relaxed; d\r\n =\r\n example.org ;s= ed\t; h = from :\r\n\tto ;bh= BHFOLDED; b =B;", "@example.org"},
		{"unknown tags", base + " r=y; x_1=a=b; z=From:joe=3B@example.org|To:x; n=a note=3B with =20 things", "@example.org"},
		{"order", " b=B; bh=BH; h=from:to; s=ed; d=example.org; c=relaxed/relaxed; a=ed25519-sha256; v=1", "@example.org"},
		{"query methods", base + " q=x/y=3B:\r\n dns/txt", "@example.org"},
		{"times", base + " t=\r\n\t1795305600; x= 1795999999999 ", "@example.org"},
		{"length", base + " l= 0", "@example.org"},
		{"unpadded", strings.Replace(base, "BH", "BHUNPADDED", 1), "@example.org"},
		{"i=, encoded", base + " i=joe=40example.org", "joe@example.org"},
		{"i=, encoded and folded", base + " i=jo\r\n\te=2Bx =40\r\n example.org", "joe+x@example.org"},
		{"i=, half encoded", base + " i=joe=3Dbob=x=gmail.com@mail.example.org", "joe=bob=x=gmail.com@mail.example.org"},
		{"i=, semicolon and space", base + " i==22a=3B=20b=22@example.org", `"a; b"@example.org`},
		{"i=, UTF-8", base + " i=j=C3=B6@example.org", "jö@example.org"},
		{"i=, lower case is no encoding", base + " i=joe=deutsch@example.org", "joe=deutsch@example.org"},
	} {
		if v := verify(t, z, signAs(t, ed, c.field))[0]; c.name != "length" && v.Result != Pass || v.Identity != c.identity {
			t.Errorf("%s: %s %q %v", c.name, v.Result, v.Identity, v.Err)
		}
	}
	for _, c := range []struct{ name, field, fault string }{
		{"i= elsewhere", base + " i=joe=40example.com", "i="},
		{"i= elsewhere, hidden by encoding", base + " i=@example.org=40example.com", "i="},
		{"i= without @", base + " i=joe", "i="},
		{"i= with a line end", base + " i=joe=0D=0AX:=20y@example.org", "control"},
		{"i= not UTF-8", base + " i=joe=FF@example.org", "UTF-8"},
		{"tag twice, with white space", base + " d =example.org", "twice"},
		{"no tag", base + " d", "no tag"},
		{"too much padding", strings.Replace(base, "BH;", "BH==;", 1), "base64"},
	} {
		v := verify(t, z, signAs(t, ed, c.field))[0]
		if v.Result != PermError || v.Err == nil || !strings.Contains(v.Err.Error(), c.fault) || strings.ContainsAny(v.Identity, "\r\n") {
			t.Errorf("%s: %s %q %v", c.name, v.Result, v.Identity, v.Err)
		}
	}
}

// Key records by their grammar (RFC 6376 §3.6.1); g= of RFC 4871 means nothing now.
func TestKeyRecordForms(t *testing.T) {
	t.Parallel()
	ks, z := keys(t)
	const name = "ed._domainkey.example.org"
	p := strings.TrimPrefix(z.txt[name][0], "v=DKIM1; k=ed25519; p=")
	msg := sign(t, sample, ks[:1], SignOptions{})
	for _, txt := range []string{
		"v=DKIM1;k=ed25519;p=" + p + ";",
		" v = DKIM1 ; k =\ted25519 ; p = " + p[:10] + " " + p[10:20] + "\r\n\t" + p[20:] + " ; ",
		"k=ed25519; p=" + p,
		"p=" + p + ";k=ed25519",
		"v=DKIM1; n=anything =3B at = all; k=ed25519; g=; g1=x; h= sha1 : sha256 ; s = email : tlsrpt; t= x : y; p=" + p,
		"v=DKIM1; k=ed25519; g=nobody; p=" + p,
		"v=DKIM1; k=ed25519; p=" + strings.TrimRight(p, "="),
	} {
		zc := &zone{txt: map[string][]string{name: {txt}}}
		if v := verify(t, zc, bytes.Clone(msg))[0]; v.Result != Pass {
			t.Errorf("%q: %s %v", txt, v.Result, v.Err)
		}
	}
}
