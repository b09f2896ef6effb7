// Package foreign makes what others wrote fit to be quoted: in an error, on a line of
// a log or a header, on a terminal, in a row of the store.
package foreign

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clip is s in at most so many octets, cut between characters, with "…" where more was there.
func Clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return Cut(s, most) + "…"
}

// Cut is s in at most so many octets, cut between characters.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// Line is s on one line: with a space for each control character and line end of
// Unicode, and U+FFFD for what is not UTF-8.
func Line(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// Shown is s for a terminal: whatever is not printed as a character, such as what
// moves the cursor or turns the direction of writing, is a space.
func Shown(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
}

// Text is s as both engines of the store take it: UTF-8, with U+FFFD for NUL and what is
// not UTF-8, in at most so many octets.
func Text(s string, most int) string {
	return Cut(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD"), most)
}
