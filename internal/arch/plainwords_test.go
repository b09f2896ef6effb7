package arch

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// unwanted are words for which the glossary has a plainer one ("decide", "finding",
// "outcome"), and what begins with them. A round trip is the field's own term.
var unwanted = regexp.MustCompile(`(?i)\bjudg|\bverdict|\btours?\b|\btrips?\b`)

var roundTrip = regexp.MustCompile(`(?i)\bround[- ]trip`)

// plain reports which unwanted word is in a text or an identifier; "": none.
func plain(s string) string {
	return unwanted.FindString(roundTrip.ReplaceAllString(apart(s), ""))
}

// apart puts a blank between the words of identifiers, which begin with a capital letter.
func apart(s string) string {
	var b strings.Builder
	small := false
	for _, r := range s {
		switch {
		case r == '_':
			r = ' '
		case unicode.IsUpper(r) && small:
			b.WriteByte(' ')
		}
		small = unicode.IsLower(r)
		b.WriteRune(r)
	}
	return b.String()
}

// TestPlain: the check finds the words wherever they stand in a name, and leaves those
// alone that only contain them.
func TestPlain(t *testing.T) {
	whole(t)
	t.Parallel()
	for s, want := range map[string]string{
		"Jud" + "ge": "Jud" + "g", "fingerVer" + "dict": "Ver" + "dict", "// is jud" + "ged by": "jud" + "g", "jud" + "geSum": "jud" + "g",
		"ver" + "dict_of": "ver" + "dict", "aTo" + "ur": "To" + "ur",
		"RoundTrip": "", "TestRoundTripsAll": "", "a round trip": "", "round-trip": "", "return": "", "strip": "", "tripled": "", "Finding": "", "contour": "",
	} {
		if got := plain(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// TestPlainWords: no identifier and no comment of a Go file has one of the unwanted words.
func TestPlainWords(t *testing.T) {
	whole(t)
	t.Parallel()
	seen := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		file := files.AddFile(path, -1, len(src))
		var s scanner.Scanner
		s.Init(file, src, nil, scanner.ScanComments)
		for {
			pos, tok, text := s.Scan()
			if tok == token.EOF {
				return nil
			}
			if tok != token.IDENT && tok != token.COMMENT {
				continue
			}
			seen++
			if word := plain(text); word != "" {
				t.Errorf("%s: %q: say it in the words of docs/glossary.md (decide, finding, outcome)", files.Position(pos), word)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100_000 {
		t.Errorf("only %d identifiers and comments were found: does the test still see them?", seen)
	}
}
