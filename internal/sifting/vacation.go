package sifting

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/html"

	"waxwing/internal/scripts"
	"waxwing/sieve"
)

// away is what is said where the owner has written nothing.
const away = "I am away at the moment, and will read your message when I am back.\n"

// vacationPeriod is for how long somebody who was answered is not answered again (RFC 3834 §2).
const vacationPeriod = 7 * 24 * time.Hour

// answered adds the account's vacation response to what its script says (RFC 8621 §8): not where the script answers itself, and
// not where the message does not reach the account: to what it refuses or throws away, its owner says nothing.
func (d *decision) answered(v *scripts.Vacation, now time.Time) {
	if d.vacation != nil || d.refused != "" || len(d.copies) == 0 || !v.At(now) {
		return
	}
	d.vacation = respond(v)
}

// respond writes a vacation response as a script would have it. Whoever was answered is answered anew where it says something else.
func respond(v *scripts.Vacation) *sieve.Vacation {
	out := &sieve.Vacation{Subject: v.Subject, Reason: v.Plain, Period: vacationPeriod}
	plain := v.Plain
	if plain == "" && v.HTML != "" {
		plain = plainOf(v.HTML)
	}
	if plain == "" {
		plain = away
	}
	out.Reason = plain
	if v.HTML != "" {
		out.Reason, out.MIME = alternative(plain, v.HTML), true
	}
	out.Handle = fmt.Sprintf("vacation response %q %q %d", out.Subject, out.Reason, v.Since.Unix())
	return out
}

// alternative is a MIME entity of a text and the same in HTML. The boundary stands in neither, since it is made of both.
func alternative(plain, html string) string {
	sum := sha256.Sum256([]byte(plain + "\x00" + html))
	b := "=_" + hex.EncodeToString(sum[:12])
	part := func(kind, body string) string {
		return "--" + b + "\nContent-Type: text/" + kind + "; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + strings.TrimRight(body, "\n") + "\n\n"
	}
	return "Content-Type: multipart/alternative; boundary=\"" + b + "\"\n\n" + part("plain", plain) + part("html", html) + "--" + b + "--\n"
}

// blocks are elements before and behind which a line ends.
var blocks = map[string]bool{"p": true, "div": true, "br": true, "li": true, "tr": true, "h1": true, "h2": true, "h3": true, "h4": true, "blockquote": true, "pre": true, "ul": true, "ol": true, "table": true, "hr": true}

// plainOf is the text of HTML that the account's owner has written.
func plainOf(text string) string {
	z := html.NewTokenizer(strings.NewReader(text))
	var b strings.Builder
	hidden := ""
	for {
		switch z.Next() {
		case html.ErrorToken:
			return tidy(b.String())
		case html.TextToken:
			if hidden == "" {
				b.WriteString(strings.Map(inLine, string(z.Text())))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			switch n := string(name); {
			case hidden == "" && (n == "style" || n == "script" || n == "title"):
				hidden = n
			case blocks[n]:
				b.WriteString("\n")
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if n := string(name); n == hidden {
				hidden = ""
			} else if blocks[n] {
				b.WriteString("\n")
			}
		}
	}
}

// inLine is a character of a text in which lines do not end where its source ends one.
func inLine(r rune) rune {
	if r == '\n' || r == '\r' {
		return ' '
	}
	return r
}

// tidy leaves one empty line between paragraphs, one blank between words, and none at the ends of lines.
func tidy(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		if line != "" || len(out) > 0 && out[len(out)-1] != "" {
			out = append(out, line)
		}
	}
	if s := strings.TrimSpace(strings.Join(out, "\n")); s != "" {
		return s + "\n"
	}
	return ""
}
