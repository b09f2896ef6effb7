package finding

import (
	"slices"
	"strings"
	"testing"
)

// RFC 8621 §4.4.1: words are looked for each by itself, phrases as they stand.
func TestTokens(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"": nil, "  ": nil, "one": {"one"}, " one\ttwo ": {"one", "two"}, `"one two" three`: {"one two", "three"}, `'one two'three`: {"one two", "three"},
		`"a \" b \\ c \n"`: {`a " b \ c \n`}, `"open end`: {"open end"}, `O'Brien's`: {"O'Brien's"}, `""`: nil, `"" x`: {"x"}, `5" disk`: {`5"`, "disk"},
	} {
		if got := Tokens(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if n := len(Tokens(strings.Repeat("x ", 1000))); n != maxTokens {
		t.Errorf("%d tokens", n)
	}
}
