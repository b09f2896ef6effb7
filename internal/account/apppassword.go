package account

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/text"
)

// Protocol is what somebody logs in to.
type Protocol string

// The protocols for which app passwords can be made.
const (
	SMTP Protocol = "smtp" // submission
	IMAP Protocol = "imap" // and ManageSieve
	JMAP Protocol = "jmap"
)

// Web is a page that a person has typed a password into. App passwords are for programs, and let
// nobody in there; the account's own one does always.
const Web Protocol = "web"

// Protocols are all of them.
func Protocols() []Protocol { return []Protocol{SMTP, IMAP, JMAP} }

// ParseProtocols reads words with commas or spaces between, also "submission" for SMTP and "all". They
// come in the order of Protocols, each once.
func ParseProtocols(s string) (out []Protocol, err error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	for i, w := range words {
		if w == "submission" {
			words[i] = string(SMTP)
		} else if w != "all" && !slices.Contains(Protocols(), Protocol(w)) {
			return nil, fmt.Errorf("the protocol %q is none of %s, and not all", w, JoinProtocols(Protocols()))
		}
	}
	for _, p := range Protocols() {
		if slices.Contains(words, "all") || slices.Contains(words, string(p)) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("name at least one protocol: %s", JoinProtocols(Protocols()))
	}
	return out, nil
}

// JoinProtocols is the inverse.
func JoinProtocols(all []Protocol) string {
	words := make([]string, len(all))
	for i, p := range all {
		words[i] = string(p)
	}
	return strings.Join(words, " ")
}

// AppPassword is a password that one program has of an account (ACC-3), without its secret.
type AppPassword struct {
	Account   string     `json:"account"`
	Name      string     `json:"name"` // as CheckName
	Protocols []Protocol `json:"protocols"`
	Created   time.Time  `json:"created"`
	Expires   time.Time  `json:"expires,omitzero"` // zero: never
	Used      time.Time  `json:"used,omitzero"`    // within ten minutes; zero: never
	UsedFrom  string     `json:"used_from,omitempty"`
}

// AppKeys is an app password with what proves it.
type AppKeys struct {
	AppPassword
	Hash     string // SHA-256 in hex. It has no salt and costs nothing: nobody guesses 120 random bits
	SCRAM256 SCRAM
	SCRAM1   SCRAM
}

// Check says whether an app password can be made at a time.
func (p AppPassword) Check(now time.Time) error {
	if err := checkWord("the name of an app password", p.Name); err != nil {
		return err
	}
	if !p.Expires.IsZero() && !p.Expires.After(now) {
		return errors.New("the app password would have ended already: give a later end")
	}
	_, err := ParseProtocols(JoinProtocols(p.Protocols))
	return err
}

// NewAppKeys derives what is stored of an app password. The SCRAM keys have the salts and counts of
// the account's own: a server names one salt before it knows which password a client has.
func NewAppKeys(p AppPassword, secret string, of Credentials) (k AppKeys, err error) {
	k = AppKeys{AppPassword: p, Hash: HashApp(secret)}
	if k.SCRAM256, err = newSCRAM(sha256.New, secret, of.SCRAM256.Salt, of.SCRAM256.Iterations); err == nil {
		k.SCRAM1, err = newSCRAM(sha1.New, secret, of.SCRAM1.Salt, of.SCRAM1.Iterations)
	}
	return k, err
}

// HashApp is what is stored of an app password's secret.
func HashApp(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}

// App finds the app password that somebody gave. All are compared, each in constant time.
func (c Credentials) App(password string) (found AppPassword, ok bool) {
	hash := []byte(HashApp(password))
	for _, k := range c.Apps {
		if subtle.ConstantTimeCompare(hash, []byte(k.Hash)) == 1 {
			found, ok = k.AppPassword, true
		}
	}
	return found, ok
}

// AppPasswordListing is how they are listed for people.
func AppPasswordListing() text.List[AppPassword] {
	return text.List[AppPassword]{Columns: text.Columns("NAME|PROTOCOLS|SINCE|USED|FROM|EXPIRES", "SINCE", "FROM", "EXPIRES"), Cells: func(p *AppPassword) []any {
		return []any{p.Name, JoinProtocols(p.Protocols), text.Day(p.Created), text.OrNever(p.Used), p.UsedFrom, text.OrNever(p.Expires)}
	}}
}
