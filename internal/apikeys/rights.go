package apikeys

import (
	"fmt"
	"slices"
	"strings"
)

// Right is one thing that a key allows. The set is closed.
type Right string

// The rights.
const (
	Send         Right = "send"         // hand in mail of the account
	Read         Right = "read"         // what became of the account's mail; its suppressed recipients
	Suppressions Right = "suppressions" // change the account's suppressed recipients
	Mail         Right = "mail"         // read what lies in the account's mailboxes
)

// All are all rights, in the order in which they are listed.
func All() []Right { return []Right{Send, Read, Suppressions, Mail} }

// Rights are those of one key.
type Rights []Right

// ParseRights reads words; without any, or with an unknown one, it is an error. What comes back
// is in the order of All, each once.
func ParseRights(words []string) (out Rights, err error) {
	for _, w := range words {
		if !slices.Contains(All(), Right(w)) {
			return nil, fmt.Errorf("%q is no right: there are %s", w, Rights(All()))
		}
	}
	for _, r := range All() {
		if slices.Contains(words, string(r)) {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("a key without a right can do nothing: give some of %s", Rights(All()))
	}
	return out, nil
}

// Has reports whether r is among them.
func (rs Rights) Has(r Right) bool { return slices.Contains(rs, r) }

// String is the words with spaces between.
func (rs Rights) String() string {
	words := make([]string, len(rs))
	for i, r := range rs {
		words[i] = string(r)
	}
	return strings.Join(words, " ")
}
