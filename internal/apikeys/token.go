package apikeys

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"strings"

	"waxwing/internal/delivery"
)

// prefix makes a key known for what it is, to people and to programs that look for secrets
// in places where they do not belong.
const prefix = "wxk_"

// secretSize is how many random octets a key has.
const secretSize = 32

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Token is a key as a program has it: "wxk_", its id, "_", its secret.
type Token struct {
	ID     delivery.ID
	secret [secretSize]byte
}

// newToken makes a key's token.
func newToken(id delivery.ID) Token {
	t := Token{ID: id}
	rand.Read(t.secret[:])
	return t
}

// ParseToken reads what a program sent; false where it is no key of this program's.
func ParseToken(s string) (t Token, ok bool) {
	rest, ok := strings.CutPrefix(s, prefix)
	id, secret, ok2 := strings.Cut(rest, "_")
	if !ok || !ok2 || len(secret) != encoding.EncodedLen(secretSize) {
		return t, false
	}
	b, err := encoding.DecodeString(secret)
	if err != nil || encoding.EncodeToString(b) != secret { // the last letter has bits to spare
		return t, false
	}
	copy(t.secret[:], b)
	t.ID, err = delivery.ParseID(id)
	return t, err == nil && t.ID.String() == id
}

// Text is the token as it is shown, once.
func (t Token) Text() string {
	return prefix + t.ID.String() + "_" + encoding.EncodeToString(t.secret[:])
}

// Name stands for the whole token, so that who knows a key's id, which each of its messages
// tells, cannot use up the guesses of the key itself.
func (t Token) Name() string { return t.ID.String() + "-" + hex.EncodeToString(t.hash()) }

// hash is what is kept of it.
func (t Token) hash() []byte {
	h := sha256.Sum256(t.secret[:])
	return h[:]
}

// is reports, in constant time, whether hash is that of the token.
func (t Token) is(hash []byte) bool { return subtle.ConstantTimeCompare(t.hash(), hash) == 1 }
