package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"
)

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
	if err := Walk(msg, Limits{}, func(p Part) error { got = append(got, p); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(e.Parts) {
		t.Fatalf("%d parts", len(got))
	}
	for i, p := range got {
		if p.MediaType != e.Parts[i].Type || !bytes.Equal(p.Body, e.Parts[i].Body) || p.Depth != 1 || p.Parent != e.Type {
			t.Errorf("part %d: %s %q depth %d in %s", i, p.MediaType, p.Body, p.Depth, p.Parent)
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
		{"quoted-printable", "Content-Transfer-Encoding: quoted-printable\n\na=3Db=\nc\n", "text/plain:a=bc\r\n"},
	} {
		var got []string
		err := Walk(crlf(c.msg), Limits{}, func(p Part) error {
			got = append(got, p.MediaType+":"+string(p.Body))
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
	for name, msg := range map[string]string{"deep": deep, "many": many, "large": "\n" + strings.Repeat("x", 2000)} {
		err := Walk(crlf(msg), Limits{Size: 1000}, func(Part) error { return nil })
		if !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop := errors.New("stop")
	if err := Walk(crlf("\nx"), Limits{}, func(Part) error { return stop }); err != stop {
		t.Errorf("the caller's error became %v", err)
	}
	for _, enc := range []string{"x-uuencode", "base64"} {
		if err := Walk(crlf("Content-Transfer-Encoding: "+enc+"\n\na\n"), Limits{}, func(Part) error { return nil }); err == nil {
			t.Errorf("broken %s body is taken", enc)
		}
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
			total += len(p.Body)
			parts++
			return nil
		})
		if total > 1<<16 || parts > 20 {
			t.Fatalf("%d octets in %d parts got through", total, parts)
		}
	})
}
