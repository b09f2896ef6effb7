package incoming

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// Line ends become CRLF whatever pieces a message comes in, and stay so where they are.
func TestLineEnds(t *testing.T) {
	t.Parallel()
	r, dir := rand.New(rand.NewPCG(1, 2)), t.TempDir()
	for range 2000 {
		in := make([]byte, r.IntN(40))
		for i := range in {
			in[i] = "\r\nx"[r.IntN(3)]
		}
		var want []byte
		for i, b := range in {
			if b == '\n' && (i == 0 || in[i-1] != '\r') {
				want = append(want, '\r')
			}
			want = append(want, b)
		}
		for _, from := range []io.Reader{bytes.NewReader(in), iotest.OneByteReader(bytes.NewReader(in)), iotest.HalfReader(bytes.NewReader(in))} {
			m, err := Read(from, dir, nil)
			if err != nil || !bytes.Equal(m.data, want) || m.Size() != int64(len(want)) {
				t.Fatalf("%q became %q, %d octets (%v), want %q", in, m.data, m.Size(), err, want)
			}
		}
	}
}

// A message that is too long for memory waits in a file, and comes out as it came.
func TestLongMessage(t *testing.T) {
	t.Parallel()
	in := bytes.Repeat([]byte("0123456789abcde\r\n"), 10_000)
	m, err := Raw(bytes.NewReader(in), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c, err := m.Content().Open()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(c)
	if err != nil || m.file == nil || !bytes.Equal(out, in) {
		t.Errorf("%d octets became %d (%v), file %v", len(in), len(out), err, m.file != nil)
	}
}
