package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDataReader(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, want string
		err            error
		rest           string
	}{
		{"empty", ".\r\nQUIT\r\n", "", nil, "QUIT\r\n"},
		{"one line", "a\r\n.\r\nX", "a\r\n", nil, "X"},
		{"stuffed", "..\r\n...a\r\n.b\r\n.\r\n", ".\r\n..a\r\nb\r\n", nil, ""},
		{"dot in text", "a.\r\n.\r\n", "a.\r\n", nil, ""},
		{"blank lines", "\r\n\r\n.\r\n", "\r\n\r\n", nil, ""},
		// INB-2: each of these ends a message for some server; none does here.
		{"LF dot LF", "a\n.\nb\r\n.\r\nX", "", ErrBareLF, "X"},
		{"LF dot CRLF", "a\n.\r\nb\r\n.\r\nX", "", ErrBareLF, "X"},
		{"CRLF dot LF", "a\r\n.\nb\r\n.\r\nX", "", ErrBareLF, "X"},
		{"CRLF dot CR", "a\r\n.\rb\r\n.\r\nX", "", ErrBareCR, "X"},
		{"CR dot CRLF", "a\r.\r\nb\r\n.\r\nX", "", ErrBareCR, "X"},
		{"CR dot CR", "a\r.\rb\r\n.\r\nX", "", ErrBareCR, "X"},
		{"CRCRLF", "a\r\r\nb\r\n.\r\nX", "", ErrBareCR, "X"},
		{"dot CRCRLF", "a\r\n.\r\r\nb\r\n.\r\nX", "", ErrBareCR, "X"},
		{"first LF", "\na\r\n.\r\nX", "", ErrBareLF, "X"},
		{"LF after CRLF", "a\r\n\nb\r\n.\r\nX", "", ErrBareLF, "X"},
		{"no end", "a\r\n", "", io.ErrUnexpectedEOF, ""},
		{"no end, dot", "a\r\n.", "", io.ErrUnexpectedEOF, ""},
	}
	for _, tt := range tests {
		for _, one := range []bool{false, true} {
			var src io.Reader = strings.NewReader(tt.in)
			if one {
				src = iotest.OneByteReader(src)
			}
			br := bufio.NewReader(src)
			got, err := io.ReadAll(NewDataReader(br, 0))
			if tt.err != nil {
				if !errors.Is(err, tt.err) {
					t.Errorf("%s: error %v, want %v", tt.name, err, tt.err)
				}
				if tt.err != io.ErrUnexpectedEOF && !errors.Is(err, ErrBareNewline) {
					t.Errorf("%s: %v is no ErrBareNewline", tt.name, err)
				}
			} else if err != nil || string(got) != tt.want {
				t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
			}
			if rest, _ := io.ReadAll(br); string(rest) != tt.rest {
				t.Errorf("%s: left %q, want %q: out of step", tt.name, rest, tt.rest)
			}
		}
	}
}

func TestDataReaderLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{1, 6, 7} {
		br := bufio.NewReader(strings.NewReader("..abc\r\n.\r\nNOOP\r\n"))
		r := NewDataReader(br, limit)
		got, err := io.ReadAll(r)
		if ok := limit >= 6; ok != (err == nil) || !ok && err != ErrTooLarge {
			t.Errorf("limit %d: %q, %v", limit, got, err)
		}
		if int64(len(got)) > limit {
			t.Errorf("limit %d: passed on %d octets", limit, len(got))
		}
		if line, err := NewLineReader(br, 100).ReadLine(); string(line) != "NOOP" || err != nil || !r.InStep() {
			t.Errorf("limit %d: next command is %q, %v", limit, line, err)
		}
	}
}

func TestDataReaderDrain(t *testing.T) {
	t.Parallel()
	br := bufio.NewReader(strings.NewReader(strings.Repeat("x\r\n", 10000) + ".\r\nRSET\r\n"))
	if err := NewDataReader(br, 0).Drain(); err != nil {
		t.Fatal(err)
	}
	if line, _ := NewLineReader(br, 100).ReadLine(); string(line) != "RSET" {
		t.Fatalf("next command is %q", line)
	}
}

func TestWriteData(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, want string
		err      error
	}{
		{"", ".\r\n", nil},
		{"a\r\n", "a\r\n.\r\n", nil},
		{"a", "a\r\n.\r\n", nil},
		{".", "..\r\n.\r\n", nil},
		{".\r\n..\r\n", "..\r\n...\r\n.\r\n", nil},
		{"a\n", "", ErrBareLF},
		{"a\r", "", ErrBareCR},
		{"a\rb\r\n", "", ErrBareCR},
		{"\n.\r\n", "", ErrBareLF},
		{"a\r\n\n.\r\n", "", ErrBareLF},
		{"a\r\r\n", "", ErrBareCR},
	}
	for _, tt := range tests {
		for _, one := range []bool{false, true} {
			var src io.Reader = strings.NewReader(tt.in)
			if one {
				src = iotest.OneByteReader(src)
			}
			var out bytes.Buffer
			w := bufio.NewWriter(&out)
			n, err := WriteData(w, src)
			w.Flush()
			if tt.err != nil {
				if !errors.Is(err, tt.err) || strings.HasSuffix(out.String(), "\r\n.\r\n") || out.String() == ".\r\n" {
					t.Errorf("%q: %v, wrote %q; want %v and no end", tt.in, err, out.String(), tt.err)
				}
				continue
			}
			if err != nil || out.String() != tt.want || n != int64(len(tt.in)) {
				t.Errorf("%q: wrote %q (%d, %v), want %q", tt.in, out.String(), n, err, tt.want)
			}
		}
	}
}

// chunks reads s in pieces whose sizes follow from n.
type chunks struct {
	s []byte
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.s) == 0 {
		return 0, io.EOF
	}
	c.n = c.n*1103515245 + 12345
	k := min(1+(c.n>>8&0x7)%7, len(c.s), len(p))
	copy(p, c.s[:k])
	c.s = c.s[k:]
	return k, nil
}

// strictNewlines is the plain statement of what DataWriter refuses.
func strictNewlines(b []byte) bool {
	for i, c := range b {
		if c == '\r' && (i+1 == len(b) || b[i+1] != '\n') || c == '\n' && (i == 0 || b[i-1] != '\r') {
			return false
		}
	}
	return true
}

// FuzzData holds that what WriteData writes DataReader reads back, however the
// bytes arrive, and that the end of the one is the end of the other.
func FuzzData(f *testing.F) {
	for _, s := range []string{"", ".", "a\r\n.\r\nb", "\r\n..\r\n", "x\ny", "\r", ".\r\n.\r\n"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, msg []byte, seed int) {
		var wire bytes.Buffer
		w := bufio.NewWriterSize(&wire, 16)
		_, err := WriteData(w, &chunks{msg, seed})
		if ok := strictNewlines(msg); ok != (err == nil) {
			t.Fatalf("WriteData(%q): %v", msg, err)
		} else if !ok {
			return
		}
		w.WriteString("NEXT")
		w.Flush()
		want := msg
		if len(msg) > 0 && !bytes.HasSuffix(msg, []byte("\r\n")) {
			want = append(bytes.Clone(msg), "\r\n"...)
		}
		br := bufio.NewReaderSize(&chunks{wire.Bytes(), seed}, 16)
		got, err := io.ReadAll(NewDataReader(br, 0))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q: read back %q, %v", msg, got, err)
		}
		if rest, _ := io.ReadAll(br); string(rest) != "NEXT" {
			t.Fatalf("%q: %q follows the end", msg, rest)
		}
	})
}

// reference is DataReader as a plain state machine over the whole input.
func reference(in []byte) (msg []byte, rest []byte, err error) {
	begin := 0
	for {
		end := bytes.Index(in[begin:], []byte(".\r\n"))
		if end < 0 {
			return nil, nil, io.ErrUnexpectedEOF
		}
		at := begin + end
		if at == 0 || at >= 2 && in[at-1] == '\n' && in[at-2] == '\r' {
			raw := in[:at]
			if !strictNewlines(raw) {
				return nil, in[at+3:], ErrBareNewline
			}
			raw = bytes.ReplaceAll(append([]byte("\r\n"), raw...), []byte("\r\n."), []byte("\r\n"))
			return raw[2:], in[at+3:], nil
		}
		begin = at + 1
	}
}

// INB-13: every way to write line ends and dots in up to six octets, however they
// arrive. With BareEnds a bare CR or LF is an error at once, also where the message
// is too large; without one nothing changes.
func TestBareEnds(t *testing.T) {
	t.Parallel()
	const alphabet = "\r\n.a\x00"
	var try func(in []byte, left int)
	try = func(in []byte, left int) {
		whole := append(bytes.Clone(in), "\r\n.\r\nNEXT\r\n"...)
		_, _, werr := reference(whole)
		for _, step := range []int{1, 2, 5, len(whole)} {
			for _, limit := range []int64{0, 1} {
				br := bufio.NewReaderSize(&pieces{whole, step}, 16)
				r := NewDataReader(br, limit)
				r.BareEnds = true
				_, err := io.ReadAll(r)
				if bare := errors.Is(err, ErrBareNewline); bare != (werr == ErrBareNewline) || bare == r.InStep() {
					t.Fatalf("%q by %d, limit %d: %v; in step: %v", whole, step, limit, err, r.InStep())
				}
			}
		}
		if left == 0 {
			return
		}
		for _, c := range []byte(alphabet) {
			try(append(in, c), left-1)
		}
	}
	n := 6
	if testing.Short() {
		n = 4
	}
	try(make([]byte, 0, 32), n)
}

// pieces reads s step octets at a time.
type pieces struct {
	s    []byte
	step int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.s) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.s[:min(p.step, len(p.s))])
	p.s = p.s[n:]
	return n, nil
}

func FuzzDataReader(f *testing.F) {
	for _, s := range []string{".\r\n", "a\r\n.\r\n", "a\n.\r\n.\r\n", "..\r\n.\r\n", "\r\r\n.\r\n", "\r\n.\r.\r\n"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, in []byte, seed int) {
		br := bufio.NewReaderSize(&chunks{in, seed}, 16)
		got, err := io.ReadAll(NewDataReader(br, 0))
		want, rest, werr := reference(in)
		if !errors.Is(err, werr) {
			t.Fatalf("%q: %v, want %v", in, err, werr)
		}
		if werr == io.ErrUnexpectedEOF {
			return
		}
		if werr == nil && !bytes.Equal(got, want) {
			t.Fatalf("%q: %q, want %q", in, got, want)
		}
		if left, _ := io.ReadAll(br); !bytes.Equal(left, rest) {
			t.Fatalf("%q: left %q, want %q", in, left, rest)
		}
	})
}

func message(size int) []byte {
	line := []byte("Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod.\r\n")
	return bytes.Repeat(line, size/len(line)+1)[:size/len(line)*len(line)]
}

func BenchmarkDataReader(b *testing.B) {
	var wire bytes.Buffer
	w := bufio.NewWriter(&wire)
	WriteData(w, bytes.NewReader(message(10<<10)))
	w.Flush()
	src := bytes.NewReader(nil)
	br := bufio.NewReaderSize(src, 16<<10)
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(wire.Len()))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(wire.Bytes())
		br.Reset(src)
		r := NewDataReader(br, 0)
		for {
			if _, err := r.Read(buf); err != nil {
				break
			}
		}
	}
}

func BenchmarkWriteData(b *testing.B) {
	msg := message(10 << 10)
	src := bytes.NewReader(nil)
	w := bufio.NewWriterSize(io.Discard, 16<<10)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(msg)
		if _, err := WriteData(w, src); err != nil {
			b.Fatal(err)
		}
		w.Flush()
	}
}

// What CheckLines lets pass is what a DataWriter sends.
func FuzzCheckLines(f *testing.F) {
	for _, s := range []string{"", "a\r\n", "a", "a\r", "\n", "a\nb", "\r\r\n", "\r\n\r\n", "a\r\nb\rc"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, werr := WriteData(bufio.NewWriter(io.Discard), bytes.NewReader(b))
		if err := CheckLines(b); (err == nil) != (werr == nil) || err != nil && !errors.Is(err, ErrBareNewline) {
			t.Errorf("%q: %v, and the writer says %v", b, err, werr)
		}
	})
}
