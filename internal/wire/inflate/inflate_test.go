package inflate

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// said is an input that holds what was said so far, and nothing more.
type said struct{ b []byte }

var errWait = errors.New("more than was said is wanted")

func (s *said) ReadByte() (byte, error) {
	if len(s.b) == 0 {
		return 0, errWait
	}
	b := s.b[0]
	s.b = s.b[1:]
	return b, nil
}

func (s *said) Read([]byte) (int, error) { panic("it reads octet by octet") }

// TestPartialFlush (IMP-3): what mbsync says can be read before it says more. The file
// holds lines that zlib compressed, with a partial flush after each.
func TestPartialFlush(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/partial.txt")
	if err != nil {
		t.Fatal(err)
	}
	in := &said{}
	r := NewReader(in)
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		var size int
		var sum uint32
		var text string
		if _, err := fmt.Sscanf(line, "%d %x %s", &size, &sum, &text); err != nil {
			t.Fatal(err)
		}
		if in.b, err = hex.AppendDecode(in.b, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, size)
		if _, err := io.ReadFull(r, got); err != nil || crc32.ChecksumIEEE(got) != sum {
			t.Fatalf("line %d: %v, %.100q", i, err, got)
		}
	}
}

// TestRoundTrip: what Go's package compresses comes back, flushed here and there.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		var want, packed bytes.Buffer
		w, err := flate.NewWriter(&packed, level)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			piece := make([]byte, rnd.IntN(10000))
			for i := range piece {
				piece[i] = byte(rnd.IntN(1 + rnd.IntN(256)))
			}
			piece = bytes.Repeat(piece, 1+rnd.IntN(4))
			want.Write(piece)
			w.Write(piece)
			if rnd.IntN(2) == 0 {
				w.Flush()
			}
		}
		w.Close()
		got, err := io.ReadAll(iotest.HalfReader(NewReader(iotest.OneByteReader(&packed))))
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("level %d: %d octets of %d, %v", level, len(got), want.Len(), err)
		}
	}
}

// FuzzReader: of whatever octets, it makes what Go's package does, and fails where that does.
func FuzzReader(f *testing.F) {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 6)
	io.WriteString(w, strings.Repeat("a text of some length, ", 40))
	w.Close()
	f.Add(b.Bytes())
	f.Add([]byte("\xca\xcf\x4b\xe5\x02\x08\xa0\x92\xf2\x7c\x1d\x85\xc4\xbc\x14\x85\xfc\xbc\x54\x85\xdc\xfc\xa2\x54\x2b\x10\x8b\x0b\x20"))
	f.Add([]byte("\x00\x03\x00\xfc\xffabc\x01\x00\x00\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		const most = 1 << 20
		got, err := io.ReadAll(io.LimitReader(NewReader(bufio.NewReader(bytes.NewReader(in))), most))
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(in)), most))
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%d octets, %v; compress/flate: %d octets, %v", len(got), err, len(want), wantErr)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, 6)
	for i := range 20000 {
		fmt.Fprintf(w, "%d a line of a letter, %x\r\n", i, i*i)
	}
	w.Close()
	for b.Loop() {
		n, err := io.Copy(io.Discard, NewReader(bytes.NewReader(packed.Bytes())))
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(n)
	}
}
