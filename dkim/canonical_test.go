package dkim

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"waxwing/message"
)

// canonical is the body's canonical form, made line by line (RFC 6376 §3.4.3, §3.4.4).
func canonical(body []byte, relaxed bool) []byte {
	var out []byte
	empty := 0
	for len(body) > 0 {
		line, rest, ended := bytes.Cut(body, []byte("\n"))
		if body = rest; ended {
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		if relaxed {
			fields := strings.FieldsFunc(string(line), func(c rune) bool { return c == ' ' || c == '\t' })
			text := strings.Join(fields, " ")
			if text != "" && (line[0] == ' ' || line[0] == '\t') {
				text = " " + text
			}
			line = []byte(text)
		}
		if len(line) == 0 {
			empty++
			continue
		}
		out = append(out, bytes.Repeat(crlf, empty)...)
		empty = 0
		out = append(append(out, line...), crlf...)
	}
	if len(out) == 0 && !relaxed {
		return crlf
	}
	return out
}

// The hash of a body is that of its canonical form, in whatever pieces it comes, and so are the
// octets that l= counts. The bodies are all strings of what matters up to a length, and long ones by
// chance.
func TestBodyHash(t *testing.T) {
	t.Parallel()
	var bodies [][]byte
	const letters = "a \t\r\n"
	most := 5
	if testing.Short() {
		most = 4
	}
	for n, all := 0, [][]byte{{}}; n <= most; n++ {
		bodies = append(bodies, all...)
		var longer [][]byte
		for _, b := range all {
			for i := range len(letters) {
				longer = append(longer, append(bytes.Clone(b), letters[i]))
			}
		}
		all = longer
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := make([]byte, r.IntN(3*gathered))
		common := "ab" + letters[r.IntN(2):]
		for i := range b {
			b[i] = common[r.IntN(len(common))]
			if r.IntN(4) > 0 {
				b[i] = 'x'
			}
		}
		bodies = append(bodies, b)
	}
	for _, one := range []string{"a\t", "a  ", "a ", "a \t", "\t"} { // lines that have nothing else
		bodies = append(bodies, bytes.Repeat([]byte(one), 3000))
	}
	for _, b := range bodies {
		for _, relaxed := range []bool{false, true} {
			form := canonical(b, relaxed)
			for _, limit := range []int64{-1, 0, int64(len(form)) / 2, int64(len(form)), int64(len(form)) + 1} {
				counts := form
				if limit >= 0 {
					counts = form[:min(int64(len(form)), limit)]
				}
				want := sha256.Sum256(counts)
				h := newBodyHasher(bodyForm{relaxed, limit})
				for rest := b; len(rest) > 0; {
					n := 1 + r.IntN(min(len(rest), 1+r.IntN(4)*gathered/3))
					_, _ = h.Write(rest[:n])
					rest = rest[n:]
				}
				got := h.finish()
				whole, _ := bodyHash(b, relaxed, limit)
				if !bytes.Equal(got.sum, want[:]) || !bytes.Equal(whole, want[:]) || got.short != (limit > int64(len(form))) || got.rest != (limit >= 0 && limit < int64(len(form))) {
					t.Fatalf("%.80q, relaxed: %v, of it %d octets: another hash than that of %.80q, or short: %v, or more behind it: %v", b, relaxed, limit, form, got.short, got.rest)
				}
			}
		}
	}
}

// A body is read for maxForms forms and no more; those that it was read for are known again.
func TestForms(t *testing.T) {
	t.Parallel()
	m, err := Read([]byte("From: a@example.org\r\n\r\nbody\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for limit := range int64(maxForms + 3) {
			if _, err := m.sum(bodyForm{limit: limit}); (err != nil) != (limit >= maxForms) {
				t.Errorf("form %d: %v", limit+1, err)
			}
		}
	}
	s := &signature{form: bodyForm{relaxed: true}}
	if s.verify(m); s.Result != Policy {
		t.Errorf("a signature of one more form: %+v", s.Verification)
	}
}

// A message in a file is verified as one in memory is.
func TestReadFrom(t *testing.T) {
	t.Parallel()
	ks, z := keys(t)
	large := append(bytes.Clone(sample), bytes.Repeat([]byte("some  words \tand a line\r\n\r\n"), 10_000)...)
	bare := []byte("From: a@example.org\r\nSubject: no body\r\n")
	for _, msg := range [][]byte{sample, large, bare, append(bytes.Clone(bare), "\r\n"...)} {
		signed := sign(t, msg, ks, SignOptions{Now: clock})
		for _, text := range [][]byte{signed, append(bytes.Clone(signed), "\r\nmore\r\n"...)} {
			want, err := Verify(t.Context(), z, text, Limits{Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			m, err := ReadFrom(io.NewSectionReader(bytes.NewReader(append([]byte("before"), text...)), 6, int64(len(text))))
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Verify(t.Context(), z, Limits{Now: clock}); len(got) != 2 || !reflect.DeepEqual(got, want) {
				t.Errorf("%.40q of %d octets: %+v, want %+v", text, len(text), got, want)
			}
		}
	}
	// A header may be as large as it may be, with its empty line behind it, and no larger.
	field := "From: a@example.org\r\nX: " + strings.Repeat("x", message.MaxHeader-26) + "\r\n"
	for extra, want := range map[string]error{"": nil, "Y: y\r\n": message.ErrHeaderTooLarge} {
		text := field + extra + "\r\nbody\r\n"
		m, err := ReadFrom(io.NewSectionReader(strings.NewReader(text), 0, int64(len(text))))
		if err != want {
			t.Errorf("%d octets: %v", len(field+extra), err)
		}
		if want == nil {
			sum, err := m.sum(bodyForm{limit: -1})
			if body := sha256.Sum256([]byte("body\r\n")); err != nil || !bytes.Equal(sum.sum, body[:]) {
				t.Errorf("the body of a message with a header of %d octets is another one: %v", len(field), err)
			}
		}
	}
	// What cannot be read is not known.
	m, err := ReadFrom(io.NewSectionReader(&failing{sign(t, large, ks, SignOptions{Now: clock})}, 0, int64(2*len(large))))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range m.Verify(t.Context(), z, Limits{Now: clock}) {
		if s.Result != TempError {
			t.Errorf("%+v", s)
		}
	}
}

// failing is a file that ends before it should.
type failing struct{ text []byte }

func (f *failing) ReadAt(p []byte, at int64) (int, error) {
	if n := copy(p, f.text[min(int64(len(f.text)), at):]); n == len(p) {
		return n, nil
	}
	return 0, io.ErrUnexpectedEOF
}

func BenchmarkBodyHash(b *testing.B) {
	body := bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog, and then does it once more.\r\n"), 140)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		bodyHash(body, true, -1)
	}
}
