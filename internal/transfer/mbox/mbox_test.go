package mbox

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

type mail struct {
	Message
	text string
}

func readAll(t testing.TB, file string, q Quoting) (all []mail) {
	t.Helper()
	r := NewReader(strings.NewReader(file), q)
	for {
		m, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		m.Offset = 0
		all = append(all, mail{m, string(b)})
	}
}

func write(t testing.TB, crlf bool, all ...mail) string {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, crlf)
	for _, m := range all {
		if err := w.Write(m.Message, strings.NewReader(m.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Files as programs write them (MBX-8).
func TestRead(t *testing.T) {
	t.Parallel()
	date := time.Date(2026, 11, 5, 12, 34, 56, 0, time.UTC)
	const mark = "From joe@example.org Thu Nov  5 12:34:56 2026\n"
	for name, c := range map[string]struct {
		file string
		q    Quoting
		want []mail
	}{
		"nothing":    {"", RD, nil},
		"only lines": {"\n\n", RD, nil},
		"two, of which the first has empty lines at its end": {mark + "A: b\n\nx\n\n\n" + mark + "C: d\n\ny\n", RD,
			[]mail{{Message{"joe@example.org", date, nil, 0}, "A: b\n\nx\n\n"}, {Message{"joe@example.org", date, nil, 0}, "C: d\n\ny\n"}}},
		"no date in the first, none in what looks like a second": {"From \nA: b\n\n\nFrom me\nto you\n", RD, []mail{{Message{}, "A: b\n\n\nFrom me\nto you\n"}}},
		"no empty line before it":                                {mark + "A: b\n\nx\n" + mark, RD, []mail{{Message{"joe@example.org", date, nil, 0}, "A: b\n\nx\n" + mark}}},
		"quoted":                                                 {mark + "\n>From a\n>>From b\n> From c\n", RD, []mail{{Message{"joe@example.org", date, nil, 0}, "\nFrom a\n>From b\n> From c\n"}}},
		"quoted as mboxo":                                        {mark + "\n>From a\n>>From b\n", O, []mail{{Message{"joe@example.org", date, nil, 0}, "\nFrom a\n>>From b\n"}}},
		"not quoted":                                             {mark + "\n>From a\n", None, []mail{{Message{"joe@example.org", date, nil, 0}, "\n>From a\n"}}},
		"zone, year last, CRLF": {"From - Thu Nov 5 14:34:56 +0200 2026\r\nA: b\r\n\r\nx\r\n\r\n", RD,
			[]mail{{Message{"", date, nil, 0}, "A: b\r\n\r\nx\r\n"}}},
		"UUCP, and a sender with a space": {"From \"a b\"@c.test Thu Nov 5 12:34:56 2026 remote from d\n\nx\n", RD, []mail{{Message{`"a b"@c.test`, date, nil, 0}, "\nx\n"}}},
		"flags at the end of the header": {mark + "A: b\nStatus: RO\nX-Status: AF\nX-Keywords: work $x\nX-UID: 7\n\nx\n", RD,
			[]mail{{Message{"joe@example.org", date, []string{"work", "$x", `\Answered`, `\Flagged`, `\Seen`}, 0}, "A: b\n\nx\n"}}},
		"flags within it":   {mark + "Status: R\nA: b\n\nx\n", RD, []mail{{Message{"joe@example.org", date, []string{`\Seen`}, 0}, "Status: R\nA: b\n\nx\n"}}},
		"of Mozilla":        {mark + "X-Mozilla-Status: 0004\nA: b\n\nx\n", RD, []mail{{Message{"joe@example.org", date, []string{`\Flagged`}, 0}, "X-Mozilla-Status: 0004\nA: b\n\nx\n"}}},
		"no end of a line":  {mark + "A: b\n\nx", RD, []mail{{Message{"joe@example.org", date, nil, 0}, "A: b\n\nx"}}},
		"no empty line":     {mark + "A: b\nStatus: R\n", RD, []mail{{Message{"joe@example.org", date, []string{`\Seen`}, 0}, "A: b\n"}}},
		"nothing behind it": {mark, RD, []mail{{Message{"joe@example.org", date, nil, 0}, ""}}},
	} {
		if got := readAll(t, c.file, c.q); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, c.want)
		}
	}
	if _, err := NewReader(strings.NewReader("\nDear Sir"), RD).Next(); err != ErrFormat {
		t.Error(err)
	}
}

// What is written is read again: bytes, flags and dates.
func TestWritten(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64<<10-1)
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, text := range []string{"", "\r\n", "A: b\r\n", "A: b\r\n\r\n", "A: b\r\n\r\nx\r\n\r\n\r\n", "A: b\r\n\r\nFrom x\r\n>From y\r\n\r\nFrom joe Thu Nov  5 12:34:56 2026\r\n",
		"Status: RO\r\nX-Status: F\r\nX-Keywords: other\r\nX-UID: 1\r\n\r\nx\r\n", "From a\r\n\r\n", long + "\r\n" + long + "\r\r\n", "A\r\n\r\na\rb\r\n"} {
		for _, flags := range [][]string{nil, {"work", "$Forwarded", `\Answered`, `\Flagged`, `\Draft`, `\Deleted`, `\Seen`}} {
			for _, crlf := range []bool{false, true} {
				m := mail{Message{"joe@example.org", date, flags, 0}, text}
				want := []mail{m, m}
				file := write(t, crlf, want...)
				got := readAll(t, file, RD)
				for i := range got {
					if !crlf {
						got[i].text = strings.ReplaceAll(got[i].text, "\n", "\r\n")
					}
				}
				if strings.Contains(text, "\r\r\n") && !crlf {
					continue // is one with CRLF then
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%+v, want\n%+v, of\n%q", got, want, file)
				}
			}
		}
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	for n := range 60 {
		file := "From a Thu Nov  5 12:34:56 2026\nA: b\n\nx\n\nFrom a Thu Nov  5 12:34:56 2026\n"
		r := NewReader(io.MultiReader(strings.NewReader(file[:n]), iotest.ErrReader(io.ErrClosedPipe)), RD)
		for {
			if _, err := r.Next(); err != nil {
				if err != io.ErrClosedPipe && err != ErrFormat {
					t.Errorf("behind %d octets: %v", n, err)
				}
				break
			}
			io.Copy(io.Discard, r)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add("From joe Thu Nov  5 12:34:56 2026\nA: b\nStatus: RO\nX-Keywords: a\n\n>From x\n\nFrom joe Thu Nov  5 12:34:56 2026\n\n", uint8(0))
	f.Add("From - Thu Nov  5 12:34:56 2026\r\nX-Mozilla-Status: 0001\r\n\r\nFrom \r\n", uint8(1))
	f.Add("\n\nFrom \nStatus: D\n", uint8(2))
	f.Fuzz(func(t *testing.T, file string, q uint8) {
		r := NewReader(iotest.OneByteReader(strings.NewReader(file)), Quoting(q%3))
		var all []mail
		total := 0
		for {
			m, err := r.Next()
			if err != nil {
				if err != io.EOF && err != ErrFormat {
					t.Fatal(err)
				}
				break
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if total += len(b); total > len(file) {
				t.Fatal("more than there is")
			}
			if len(b) > 0 && b[len(b)-1] != '\n' {
				b = append(b, '\n')
			}
			m.Sender, m.Offset = strings.Join(strings.Fields(m.Sender), ""), 0
			if m.Date.Year() < 1000 || strings.HasSuffix(m.Sender, "remote") {
				return // cannot be written so
			}
			m.Flags = nil
			all = append(all, mail{m, string(b)})
		}
		// CRLF stays in a file whose lines end so; others may.
		if got := readAll(t, write(t, true, all...), RD); len(got) != len(all) {
			t.Fatalf("%d messages, want %d", len(got), len(all))
		} else {
			for i, m := range got {
				if m.text != all[i].text || !m.Date.Equal(all[i].Date) {
					t.Errorf("%+v, want %+v", m, all[i])
				}
			}
		}
	})
}
