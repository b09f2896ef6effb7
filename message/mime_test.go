package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
)

// bodyOf is a part's body, with what is wrong with it.
func bodyOf(p Part) string {
	b, err := p.Body()
	if err != nil {
		return string(b) + "!" + err.Error()
	}
	return string(b)
}

func sample() Entity {
	return Entity{
		Type: "multipart/report", Params: map[string]string{"report-type": "tlsrpt"}, Boundary: "=_b", Preamble: "MIME",
		Parts: []Entity{
			{Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Body: ToCRLF("Grüße\n--=_b is no boundary\nend")},
			{Type: "application/tlsrpt+gzip", Fields: []Pair{{"Content-Disposition", `attachment; filename="a!b!1!2.json.gz"`}}, Body: bytes.Repeat([]byte{0, 1, 255}, 100)},
			{Type: "text/plain", Body: []byte("no line end")},
		},
	}
}

func TestWriteWalk(t *testing.T) {
	t.Parallel()
	e := sample()
	msg := append([]byte("MIME-Version: 1.0\r\n"), e.Write()...)
	if EightBit(msg) {
		t.Error("the message is not 7bit")
	}
	var got []Part
	var bodies []string
	if err := Walk(msg, Limits{}, func(p Part) error { got, bodies = append(got, p), append(bodies, bodyOf(p)); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(e.Parts) {
		t.Fatalf("%d parts", len(got))
	}
	for i, p := range got {
		if p.MediaType != e.Parts[i].Type || bodies[i] != string(e.Parts[i].Body) || p.Depth != 1 || p.Parent != e.Type {
			t.Errorf("part %d: %s %q depth %d in %s", i, p.MediaType, bodies[i], p.Depth, p.Parent)
		}
	}
	if got[1].Filename != "a!b!1!2.json.gz" {
		t.Errorf("file name %q", got[1].Filename)
	}
}

// The standard library's reader is the second opinion.
func TestWriteAgainstMultipartReader(t *testing.T) {
	t.Parallel()
	e := sample()
	h, body, err := SplitHeader(e.Write())
	if err != nil {
		t.Fatal(err)
	}
	typ, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || typ != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Fatalf("type %s %v %v", typ, params, err)
	}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for i := range e.Parts {
		p, err := r.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if i != 1 && !bytes.Equal(b, e.Parts[i].Body) {
			t.Errorf("part %d: %q", i, b)
		}
	}
	if _, err := r.NextPart(); err != io.EOF {
		t.Errorf("after the last part: %v", err)
	}
}

func TestMultipartSaysEightBit(t *testing.T) {
	t.Parallel()
	e := Entity{Type: "multipart/mixed", Parts: []Entity{{Type: "message/rfc822", Body: crlf("Subject: x\n\nü\n")}}}
	h, _, err := SplitHeader(e.Write())
	if err != nil || h.Get("Content-Transfer-Encoding") != "8bit" {
		t.Errorf("encoding %q, %v (RFC 2045 §6.4)", h.Get("Content-Transfer-Encoding"), err)
	}
}

func TestWalkSloppy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, msg, want string }{
		{"no type", "Subject: x\n\nbody\n", "text/plain:body\r\n"},
		{"broken type", "Content-Type: ;;\n\nbody\n", "text/plain:body\r\n"},
		{"no end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n", "text/plain:one|text/plain:two\r\n"},
		{"no parts", "Content-Type: multipart/mixed; boundary=b\n\nnothing\n", ""},
		{"no boundary parameter", "Content-Type: multipart/mixed\n\nx\n", "multipart/mixed:x\r\n"},
		{"epilogue", "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n--b--\nafter\n--b\n\nx\n", "text/plain:one"},
		{"boundary that starts alike", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--bb\n--b--\n", "text/plain:--bb"},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\n--b--\n", "message/rfc822:Subject: x\r\n"},
		{"nested", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\n1\n--b--\n--a\n\n2\n--a--\n", "text/plain:1|text/plain:2"},
		{"base64 with blanks", "Content-Transfer-Encoding: BASE64\n\naGVs bG8\n=\n", "text/plain:hello"},
		{"8-bit", "Content-Transfer-Encoding: 8-bit\n\nx\n", "text/plain:x\r\n"},
		{"comments", "Content-Type: Multipart/Mixed (a \\) \"b) ; (c) boundary=\"x(y)\" (d)\n\n--x(y)\nContent-Transfer-Encoding: (e) base64 (f)\n\naGVsbG8=\n--x(y)--\n", "text/plain:hello"},
		{"a comment that does not end", "Content-Type: text/html (x\n\nx\n", "text/plain:x\r\n"},
		{"a bad parameter beside the boundary", "Content-Type: multipart/mixed; boundary=\"b\"; x=a b; boundary=c\n\n--b\n\none\n--b--\n", "text/plain:one"},
		{"an unknown encoding costs its part alone", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: x-uuencode\n\none\n--b\n\ntwo\n--b--\n",
			"text/plain:one!unknown transfer encoding \"x-uuencode\"|text/plain:two"},
		{"broken base64 costs its part alone", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\naGVsbG8hX\n--b\n\ntwo\n--b--\n",
			"text/plain:hello!!text/plain part: broken base64: illegal base64 data at input byte 0|text/plain:two"},
		{"broken quoted-printable costs its part alone", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: quoted-printable\n\na=\x01\n--b\n\ntwo\n--b--\n",
			"text/plain:a=!text/plain part: broken quoted-printable: quotedprintable: invalid unescaped byte 0x01 in body|text/plain:two"},
		{"a broken header costs its part alone", "Content-Type: multipart/mixed; boundary=b\n\n--b\nno colon\n\none\n--b\n\ntwo\n--b--\n",
			"text/plain:no colon\r\n\r\none!message header, line 1: no colon in it|text/plain:two"},
		{"quoted-printable", "Content-Transfer-Encoding: quoted-printable\n\na=3Db=\nc\n", "text/plain:a=bc\r\n"},
	} {
		var got []string
		err := Walk(crlf(c.msg), Limits{}, func(p Part) error {
			got = append(got, p.MediaType+":"+bodyOf(p))
			return nil
		})
		if s := strings.Join(got, "|"); err != nil || s != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, s, err, c.want)
		}
	}
}

func TestWalkLimits(t *testing.T) {
	t.Parallel()
	deep := "\nx\n"
	for i := range 20 {
		deep = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n%s", i, i, deep)
	}
	many := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 200)
	for name, msg := range map[string]string{"deep": deep, "many": many} {
		err := Walk(crlf(msg), Limits{Size: 1000}, func(Part) error { return nil })
		if !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What nobody asks for does not count, however large.
	large := "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n" + strings.Repeat("x", 2000) + "\n--b\nContent-Transfer-Encoding: quoted-printable\n\n" +
		strings.Repeat("y", 2000) + "\n--b\n\nsmall\n--b\nContent-Transfer-Encoding: base64\n\n" + strings.Repeat("AAAA", 330) + "\n--b--\n"
	var got []bool
	err := Walk(crlf(large), Limits{Size: 1000}, func(p Part) error {
		_, err := p.Body()
		got = append(got, errors.Is(err, ErrLimit))
		return nil
	})
	if want := []bool{true, true, false, false}; err != nil || !slices.Equal(got, want) {
		t.Errorf("large: %v, %v", got, err)
	}
	stop := errors.New("stop")
	if err := Walk(crlf("\nx"), Limits{}, func(Part) error { return stop }); err != stop {
		t.Errorf("the caller's error became %v", err)
	}
}

func TestFilename(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		`Content-Disposition: attachment; filename="../../etc/passwd"`: "passwd",
		`Content-Disposition: attachment; filename="C:\\x\\y.gz"`:      "y.gz",
		`Content-Disposition: attachment; filename*=utf-8''%c3%bc.gz`:  "ü.gz", // RFC 2231 §4
		`Content-Type: application/gzip; name=z.gz`:                    "z.gz",
		`Content-Disposition: attachment; filename=".."`:               "",
	} {
		_ = Walk(crlf(field+"\n\nx"), Limits{}, func(p Part) error {
			if p.Filename != want {
				t.Errorf("%s: %q", field, p.Filename)
			}
			return nil
		})
	}
}

func FuzzWalk(f *testing.F) {
	f.Add(sample().Write())
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		total, parts := 0, 0
		_ = Walk(msg, Limits{Depth: 4, Parts: 20, Size: 1 << 16}, func(p Part) error {
			body, _ := p.Body()
			if streamed, err := io.ReadAll(io.LimitReader(p.Reader(), 1<<20)); len(body) > 0 && err == nil && !bytes.Equal(streamed, body) {
				t.Fatalf("%q is %q when streamed", body, streamed)
			}
			total += len(body)
			parts++
			return nil
		})
		if total > 1<<16 || parts > 20 {
			t.Fatalf("%d octets in %d parts got through", total, parts)
		}
	})
}
