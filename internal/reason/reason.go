// Package reason holds every reason word of this program in one table: what it means, what
// cures it, who can, and whether mail that meets it is tried again. It is pure, and imports
// nothing of the program, so that every room can name its reasons by these constants. A test
// fails where a reason is written as a string elsewhere.
package reason

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Kind says what a reason does to mail that asks for nothing more than the receiving
// domain does. Mail that demands REQUIRETLS is returned sooner (POL-4).
type Kind uint8

// The kinds.
const (
	Fact      Kind = iota // it is weighed, or told; by itself it stops nothing
	Temporary             // the mail waits, and is tried again
	Permanent             // the mail is returned to its sender
	Either                // whoever meets it says which of the two: an answer's code, another host's reason
)

// Who can cure a cause.
type Who uint8

// Those who can.
const (
	Nobody   Who = iota // there is nothing to be cured
	Domain              // who runs the recipient's domain: its DNS and its MTA-STS
	Host                // who runs the mail host
	Sender              // who wrote the message
	Operator            // who runs this server
)

// Entry is what is to be said of a word, for people.
type Entry struct {
	Word    Word
	Kind    Kind
	Who     Who
	Meaning string // a clause: "the host does not exist"
	Cure    string // an imperative: "correct the MX record that names it"; see Advise for the names that stand in it
}

// none is the cure of what needs none.
const none = "nothing to do"

// Families of words that end in what the peer said.
const (
	startTLSReply = "starttls-reply-"
	tlsAlert      = "tls-alert-"
)

// StartTLSReply is the word for an answer to STARTTLS other than 220.
func StartTLSReply(code int) Word { return Word(startTLSReply + strconv.Itoa(code)) }

// Alert is the word for a TLS alert of the peer, by its name in the IANA registry.
// Whichever side notices that no TLS version is shared, the word is the same.
func Alert(name string) Word {
	if name == "protocol_version" {
		return TLSVersion
	}
	return Word(tlsAlert + strings.ReplaceAll(strings.TrimPrefix(name, "alert_"), "_", "-"))
}

// StartTLSCode is the code in a word of StartTLSReply; ok is false for other words.
func (w Word) StartTLSCode() (code int, ok bool) {
	s, ok := strings.CutPrefix(string(w), startTLSReply)
	if !ok {
		return 0, false
	}
	code, err := strconv.Atoi(s)
	return code, err == nil
}

// AlertName is the name in a word of Alert, with hyphens; ok is false for other words.
func (w Word) AlertName() (name string, ok bool) { return strings.CutPrefix(string(w), tlsAlert) }

// All are the entries, in the order of the table, without the families: the words of
// StartTLSReply, and those of Alert that have no entry of their own.
func All() []Entry {
	return slices.Concat(decisionWords(), findingWords(), connectionWords(), alertWords(), certificateWords(), messageWords(), routeWords(), webhookWords(), accountWords(), arrivalWords(), junkWords())
}

// index finds entries by their words.
var index = sync.OnceValue(func() map[Word]Entry {
	m := map[Word]Entry{}
	for _, e := range All() {
		m[e.Word] = e
	}
	return m
})

// Of is the entry of a word. A word that is not of the closed set, such as one that
// another server has reported, has none: ok is false.
func Of(w Word) (e Entry, ok bool) {
	if e, ok := index()[w]; ok {
		return e, true
	}
	if code, ok := w.StartTLSCode(); ok {
		return Entry{w, Temporary, Host, "the host answered STARTTLS with " + strconv.Itoa(code) + " instead of 220",
			"a 4xx answer is often a passing shortage; a 5xx one means that TLS is switched off or broken on that host"}, true
	}
	if alert, ok := w.AlertName(); ok {
		return Entry{w, Temporary, Host, "the host ended the TLS handshake with the alert " + strings.ReplaceAll(alert, "-", " "),
			"look at the host's log and its TLS configuration"}, true
	}
	return Entry{}, false
}

// Meaning is what the word means; "" for one that is not of the closed set.
func (w Word) Meaning() string {
	e, _ := Of(w)
	return e.Meaning
}

// Cure is what is to be done about it; "" where nothing is, or the word is not of the
// closed set.
func (w Word) Cure() string {
	e, _ := Of(w)
	if e.Cure == none {
		return ""
	}
	return e.Cure
}
