package message

import (
	"fmt"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"

	"waxwing/internal/foreign"
)

// DecodeCharset reads text of a charset by its MIME name. ok is false where the
// charset is not known or the text is not of it.
func DecodeCharset(charset string, text []byte) (decoded string, ok bool) {
	switch strings.ToLower(charset) {
	case "utf-8", "utf8":
		return string(text), utf8.Valid(text)
	case "us-ascii", "ascii":
		return string(text), !EightBit(text)
	}
	enc, err := ianaindex.MIME.Encoding(charset)
	if err != nil || enc == nil { // names that are in use and not registered
		if enc, err = htmlindex.Get(charset); err != nil {
			return "", false
		}
	}
	b, err := enc.NewDecoder().Bytes(text)
	if err != nil || strings.ContainsRune(string(b), utf8.RuneError) {
		return "", false
	}
	return string(b), true
}

// DecodeWords reads text in which encoded words may stand (RFC 2047). A word
// that cannot be read, its charset being unknown for one, stays as it is (§6.2).
// The result is UTF-8 without control characters, whatever the text held.
func DecodeWords(text string) string {
	text = strings.ReplaceAll(text, "\t", " ")
	if !strings.Contains(text, "=?") {
		return strings.TrimSpace(foreign.Line(text))
	}
	var d wordDecoder
	for word := range strings.SplitSeq(text, " ") {
		d.add(word, false)
	}
	return strings.TrimSpace(foreign.Line(d.String()))
}

// wordDecoder joins words and decodes the encoded ones.
type wordDecoder struct {
	strings.Builder
	words   int
	encoded bool // the last word was an encoded one
}

// add adds one word; a literal one is not decoded.
func (d *wordDecoder) add(word string, literal bool) {
	encoded := false
	if !literal {
		dec := mime.WordDecoder{CharsetReader: charsetReader}
		if text, err := dec.Decode(word); err == nil {
			word, encoded = text, true
		}
	}
	// RFC 2047 §6.2: white space between encoded words is not shown.
	if d.words > 0 && !(d.encoded && encoded) {
		d.WriteByte(' ')
	}
	d.WriteString(word)
	d.words++
	d.encoded = encoded
}

func charsetReader(charset string, in io.Reader) (io.Reader, error) {
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231 §5: a language may follow
	text, ok := DecodeCharset(charset, b)
	if !ok {
		return nil, fmt.Errorf("charset %q cannot be read", foreign.Clip(charset, 60))
	}
	return strings.NewReader(text), nil
}
