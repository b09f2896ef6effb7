package text

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestProse(t *testing.T) {
	t.Parallel()
	const text = "The mail would go to mx.test, over TLS.\n  A      secure        a.test: 192.0.2.1 and some more words\n\n    " + "x" + "\nend"
	var plain bytes.Buffer
	p := NewProse(&plain, Terminal{})
	fmt.Fprint(p, text)
	if err := p.Flush(); err != nil || plain.String() != text {
		t.Errorf("%q, %v", plain.String(), err)
	}
	for width := 1; width < 60; width++ {
		var b bytes.Buffer
		p := NewProse(&b, Terminal{Width: width})
		for _, c := range text { // in pieces
			fmt.Fprint(p, string(c))
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Fields(b.String()), strings.Fields(text); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("width %d: words were lost or broken: %q", width, b.String())
		}
		for _, l := range strings.Split(b.String(), "\n") {
			if words := strings.Fields(l); len(words) > 1 && utf8.RuneCountInString(l) > width {
				t.Errorf("width %d: %q", width, l)
			}
		}
	}
	var b bytes.Buffer
	p = NewProse(&b, Terminal{Width: 20})
	fmt.Fprintln(p, "  because the host has a record")
	if want := "  because the host\n    has a record\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
