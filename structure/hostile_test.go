package structure

import (
	"strings"
	"testing"
	"time"
)

// A header field that a stranger has written, of the greatest length that is kept, is read in a time that grows with
// its length and not with its square: a SORT or THREAD, and the index, would stand still over one message.
func TestHostileFieldsAreReadInTime(t *testing.T) {
	t.Parallel()
	fill := func(piece string) string { return strings.Repeat(piece, maxField/len(piece)) }
	for name, read := range map[string]func(){
		"subject of blobs":             func() { BaseSubject(fill("[a]") + "x") },
		"subject of blobs and a reply": func() { BaseSubject(fill("[a]") + "re:" + fill("[a]")) },
		"subject of forwards":          func() { BaseSubject(fill("[fwd:") + fill("]")) },
		"replies":                      func() { BaseSubject(fill("re[a]: ")) },
		"words without an end":         func() { DecodeHeader(fill("=?a?b")) },
		"words without a charset":      func() { DecodeHeader(fill("=?")) },
		"words behind others":          func() { DecodeHeader(fill("=?a?b?=?=")) },
		"words of lines":               func() { DecodeHeader(fill("=?a?b") + "\r?=") },
		"words that are none":          func() { DecodeHeader(fill("=?a?q?\n")) },
		"dots in an identifier":        func() { MessageIDs("<" + fill(" .a") + "@b>") },
		"dots in an address":           func() { appendAddresses(nil, fill("a. "), maxAddresses) },
		"angles":                       func() { MessageIDs(fill("<")) },
		"dots behind angles":           func() { MessageIDs(fill("<a. ")) },
		"addresses without an end":     func() { appendAddresses(nil, fill("<a,"), maxAddresses) },
		"comments":                     func() { appendAddresses(nil, fill("("), maxAddresses) },
		"quotes":                       func() { appendAddresses(nil, fill(`"`), maxAddresses) },
		"groups":                       func() { appendAddresses(nil, fill("a:"), maxAddresses) },
		"names":                        func() { appendAddresses(nil, fill("a b <"), maxAddresses) },
		"routes":                       func() { appendAddresses(nil, fill("<@a,"), maxAddresses) },
		"literals":                     func() { appendAddresses(nil, fill("a@["), maxAddresses) },
		"pieces":                       func() { joinParams((&scanner{s: fill(";a*1=b")}).params()) },
		"tags":                         func() { stripTags(fill(`<a "`), maxTextBody) },
		"elements":                     func() { stripTags(fill(`<style></`), maxTextBody) },
		"comments of HTML":             func() { stripTags(fill(`<!--`), maxTextBody) },
		"entities":                     func() { stripTags(fill(`&`), maxTextBody) },
	} {
		t.Run(name, func(t *testing.T) {
			from := time.Now()
			read()
			if took := time.Since(from); took > 2*time.Second {
				t.Errorf("%v", took.Round(time.Millisecond))
			}
		})
	}
}
