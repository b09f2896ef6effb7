// Package srs is the Sender Rewriting Scheme, for which there is no RFC: the envelope sender of
// a message that is forwarded becomes an address of the forwarder, so that SPF passes there and
// bounces come back, and each such address can be turned back into the sender (ACC-1).
//
//	SRS0=HASH=DAY=DOMAIN=LOCAL@forwarder          first forwarder
//	SRS1=HASH=FIRST==HASH=DAY=DOMAIN=LOCAL@second  every further one: it keeps the first alone
//
// HASH is keyed with a secret of the forwarder: nobody can make an address that leads through
// it to somebody else. DAY lets an address end. Both are compared without case, for software
// on the way may change it. An SRS1 address holds no day: the first forwarder's is in it.
package srs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/smtp"
)

// What an address can be refused for.
var (
	ErrNoSRS   = errors.New("it is no rewritten address")
	ErrHash    = errors.New("its hash is not ours, or it was changed on its way")
	ErrExpired = errors.New("it is too old, or of a day to come")
)

// Lifetime is for how many days an address leads back: longer than anybody's queue tries.
const Lifetime = 21

const (
	hashSize = 8 // characters, 5 bits each
	daySize  = 2
	days     = 1 << (5 * daySize) // after which day stamps begin again
	alphabet = "abcdefghijklmnopqrstuvwxyz234567"
)

// Scheme rewrites with one secret. It holds no state.
type Scheme struct {
	Secret []byte
	Now    time.Time
}

// Is reports that a local part has the form of one that was rewritten, by whomever.
func Is(local string) bool {
	return len(local) > 5 && (strings.EqualFold(local[:4], "SRS0") || strings.EqualFold(local[:4], "SRS1")) && strings.ContainsRune("=-+", rune(local[4]))
}

// Forward is the local part of the forwarder's address for a sender, whose domain is in
// A-labels. The error says that the path would be longer than SMTP takes (RFC 5321
// §4.5.3.1.3) with a forwarder's domain of that length.
func (s Scheme) Forward(sender smtp.Address, forwarder string) (string, error) {
	local := ""
	switch {
	case Is(sender.Local) && strings.EqualFold(sender.Local[:4], "SRS0"):
		rest := sender.Domain + "=" + sender.Local[4:] // the first forwarder's separator stays with its part
		local = "SRS1=" + s.hash("1", rest) + "=" + rest
	case Is(sender.Local):
		_, rest, ok := strings.Cut(sender.Local[5:], "=") // the second forwarder's hash goes
		if !ok {
			return "", fmt.Errorf("%s: %w", sender, ErrNoSRS)
		}
		local = "SRS1=" + s.hash("1", rest) + "=" + rest
	default:
		rest := s.today() + "=" + sender.Domain + "=" + sender.Local
		local = "SRS0=" + s.hash("0", rest) + "=" + rest
	}
	if a := (smtp.Address{Local: local, Domain: forwarder}); len(a.String())+2 > smtp.MaxPath {
		return "", fmt.Errorf("%s is too long to be rewritten", sender)
	}
	return local, nil
}

// Reverse is whom a local part that Forward made leads to.
func (s Scheme) Reverse(local string) (smtp.Address, error) {
	if !Is(local) {
		return smtp.Address{}, ErrNoSRS
	}
	kind := local[3:4]
	hash, rest, ok := strings.Cut(local[5:], "=")
	if !ok {
		return smtp.Address{}, ErrNoSRS
	}
	if !s.genuine(kind, hash, rest) {
		return smtp.Address{}, ErrHash
	}
	if kind == "1" {
		domain, first, ok := strings.Cut(rest, "=")
		if !ok || first == "" {
			return smtp.Address{}, ErrNoSRS
		}
		return parse("SRS0"+first, domain)
	}
	day, rest, _ := strings.Cut(rest, "=")
	domain, to, ok := strings.Cut(rest, "=")
	if !ok {
		return smtp.Address{}, ErrNoSRS
	}
	if !s.fresh(day) {
		return smtp.Address{}, ErrExpired
	}
	return parse(to, domain)
}

// parse makes sure that what a genuine hash vouches for is an address still.
func parse(local, domain string) (smtp.Address, error) {
	a, err := smtp.ParseAddress(smtp.Address{Local: local, Domain: domain}.String(), true)
	if err != nil {
		return smtp.Address{}, ErrNoSRS
	}
	return a, nil
}

// hash is over the text in lower case: what changes case changes nothing.
func (s Scheme) hash(kind, rest string) string {
	m := hmac.New(sha256.New, s.Secret)
	m.Write([]byte(kind + strings.ToLower(rest)))
	return base32.NewEncoding(alphabet).EncodeToString(m.Sum(nil))[:hashSize]
}

func (s Scheme) genuine(kind, hash, rest string) bool {
	return hmac.Equal([]byte(strings.ToLower(hash)), []byte(s.hash(kind, rest)))
}

// day is a day's number within the cycle of stamps.
func (s Scheme) day() int { return int(s.Now.Unix()/86400) % days }

func (s Scheme) today() string {
	d := s.day()
	return string([]byte{alphabet[d/32], alphabet[d%32]})
}

// fresh says whether a stamp is of the last days. Stamps begin again after some years, so
// that every stamp has an age. One of tomorrow is taken, too: clocks differ.
func (s Scheme) fresh(stamp string) bool {
	if len(stamp) != daySize {
		return false
	}
	stamp = strings.ToLower(stamp)
	hi, lo := strings.IndexByte(alphabet, stamp[0]), strings.IndexByte(alphabet, stamp[1])
	if hi < 0 || lo < 0 {
		return false
	}
	age := (s.day() - (hi*32 + lo) + days) % days
	return age <= Lifetime || age == days-1
}
