package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxWord is how many octets of a word count.
const maxWord = 64

// word is a word as the index has it. A pair stands for two characters of a script without spaces; a
// part of it is not looked for.
type word struct {
	text string
	pair bool
}

// appendWords appends the words of a text, up to limit in all.
func appendWords(out []word, text string, limit int) []word {
	for text != "" && len(out) < limit {
		start := strings.IndexFunc(text, isWord)
		if start < 0 {
			break
		}
		text = text[start:]
		end := strings.IndexFunc(text, notWord)
		if end < 0 {
			end = len(text)
		}
		out = appendRun(out, text[:end])
		text = text[end:]
	}
	return out[:min(len(out), limit)]
}

func isWord(c rune) bool {
	if c < utf8.RuneSelf {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	return (unicode.IsLetter(c) || unicode.IsNumber(c) || unicode.IsMark(c)) && c != utf8.RuneError
}

func notWord(c rune) bool { return !isWord(c) }

// appendRun appends the words of a text without anything between words.
func appendRun(out []word, run string) []word {
	if isASCII(run) {
		return appendWord(out, strings.ToLower(run))
	}
	run = fold(run)
	for run != "" {
		c, _ := utf8.DecodeRuneInString(run)
		dense := unspaced(c)
		end := strings.IndexFunc(run, func(c rune) bool { return unspaced(c) != dense && !unicode.IsMark(c) })
		if end < 0 {
			end = len(run)
		}
		if dense {
			out = appendPairs(out, run[:end])
		} else {
			out = appendWord(out, run[:end])
		}
		run = run[end:]
	}
	return out
}

func appendWord(out []word, s string) []word {
	if len(s) > maxWord {
		s = s[:maxWord]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	if s == "" {
		return out
	}
	return append(out, word{text: s})
}

// appendPairs appends each two characters that stand next to each other; a lone one alone.
func appendPairs(out []word, s string) []word {
	_, first := utf8.DecodeRuneInString(s)
	if first == len(s) {
		return append(out, word{text: s})
	}
	for first < len(s) {
		_, second := utf8.DecodeRuneInString(s[first:])
		out = append(out, word{text: s[:first+second], pair: true})
		s, first = s[first:], second
	}
	return out
}

// unspaced tells whether a character is of a script that puts no spaces between words.
func unspaced(c rune) bool {
	return c >= 0x0e00 && unicode.In(c, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) || c == 'ー'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// plainLetters are letters that Unicode does not take apart.
var plainLetters = map[rune]string{'ß': "ss", 'ø': "o", 'đ': "d", 'ð': "d", 'ł': "l", 'ħ': "h", 'ı': "i", 'æ': "ae", 'œ': "oe", 'þ': "th", 'ς': "σ", 'ŧ': "t"}

// fold makes texts equal that people take for equal: case, forms of one character, accents of scripts
// that are read without them.
func fold(s string) string {
	var b strings.Builder
	accented := false // the letter before is of a script whose marks may be left out
	for _, c := range norm.NFKD.String(s) {
		if unicode.Is(unicode.Mn, c) {
			if !accented {
				b.WriteRune(c)
			}
			continue
		}
		c = unicode.ToLower(c)
		accented = unicode.In(c, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Arabic, unicode.Hebrew)
		if plain, ok := plainLetters[c]; ok {
			b.WriteString(plain)
		} else if isWord(c) {
			b.WriteRune(c)
		}
	}
	return norm.NFC.String(b.String())
}
