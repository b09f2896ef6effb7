package account

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/xdg-go/stringprep"
	"golang.org/x/crypto/argon2"
)

// Credentials is what is stored of a password: nothing from which it can be
// read, all that every mechanism needs.
type Credentials struct {
	PasswordHash string // argon2id in PHC form, for PLAIN and LOGIN
	SCRAM256     SCRAM  // RFC 7677
	SCRAM1       SCRAM  // RFC 5802

	Apps   []AppKeys // further passwords, of programs (ACC-3)
	Access Access    // to what these lead
}

// SCRAM is the server's part of RFC 5802 §3 for one hash.
type SCRAM struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// The costs of new credentials. argon2id as OWASP advises (19 MiB, two passes, one
// lane): RFC 9106's recommendations take 64 MiB and more, which strangers could ask
// for. All accounts must cost the same, or time would tell which have an old hash; RFC 7677 §4
// asks for at least 4096 iterations, which the client must make too.
const (
	argonMemory     = 19456 // KiB
	argonTime       = 2
	argonLanes      = 1
	argonKey        = 32
	saltSize        = 16
	scramIterations = 10000
)

// Bounds of what Verify accepts from a stored hash, so that a damaged row cannot
// take the memory of the machine.
const (
	maxArgonMemory = 64 << 10 // KiB, as the second recommendation of RFC 9106 §4
	maxArgonTime   = 16
)

// Limits of a password, in octets. The lower one is a guard against slips, no policy.
const (
	minPassword = 8
	maxPassword = 1024
)

// CheckPassword says why a password cannot be one.
func CheckPassword(password string) error {
	if len(password) < minPassword || len(password) > maxPassword {
		return fmt.Errorf("a password has %d to %d octets", minPassword, maxPassword)
	}
	_, err := prepare(password)
	return err
}

// NewSecret is a password of 120 random bits.
func NewSecret() string {
	b := make([]byte, 15)
	rand.Read(b)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

// NewCredentials derives all from a password. It takes tens of milliseconds of CPU.
func NewCredentials(password string) (Credentials, error) {
	return NewCredentialsLike(password, Credentials{})
}

// NewCredentialsLike is NewCredentials with the SCRAM salts and counts of old ones, where they have any: the keys
// of app passwords were made with them.
func NewCredentialsLike(password string, old Credentials) (Credentials, error) {
	if err := CheckPassword(password); err != nil {
		return Credentials{}, err
	}
	p, err := prepare(password)
	if err != nil {
		return Credentials{}, err
	}
	c := Credentials{PasswordHash: phc(p, newSalt())}
	derive := func(h func() hash.Hash, old SCRAM) (SCRAM, error) {
		if len(old.Salt) == 0 {
			old = SCRAM{Salt: newSalt(), Iterations: scramIterations}
		}
		return newSCRAM(h, p, old.Salt, old.Iterations)
	}
	if c.SCRAM256, err = derive(sha256.New, old.SCRAM256); err != nil {
		return Credentials{}, err
	}
	c.SCRAM1, err = derive(sha1.New, old.SCRAM1)
	return c, err
}

func newSalt() []byte {
	b := make([]byte, saltSize)
	rand.Read(b)
	return b
}

// prepare is SASLprep (RFC 4013), which SCRAM clients apply: so that the same
// password typed on two keyboards is the same. PLAIN has it applied here.
func prepare(password string) (string, error) {
	p, err := stringprep.SASLprep.Prepare(password)
	if err != nil || p == "" {
		return "", errors.New("the password holds characters that are not allowed in one (RFC 4013), such as control characters")
	}
	return p, nil
}

func newSCRAM(h func() hash.Hash, password string, salt []byte, iterations int) (SCRAM, error) {
	salted, err := pbkdf2.Key(h, password, salt, iterations, h().Size())
	if err != nil {
		return SCRAM{}, fmt.Errorf("derive SCRAM keys: %w", err)
	}
	mac := func(key []byte, text string) []byte {
		m := hmac.New(h, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := h()
	stored.Write(mac(salted, "Client Key"))
	return SCRAM{Salt: salt, Iterations: iterations, StoredKey: stored.Sum(nil), ServerKey: mac(salted, "Server Key")}, nil
}

func phc(password string, salt []byte) string {
	return encodePHC(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKey))
}

// VerifyPassword reports whether password is the one that hash (PHC form) was made from,
// in constant time. The error is a hash that cannot be read: the fault of the row, not
// of the user.
func VerifyPassword(hash, password string) (bool, error) {
	h, err := parsePHC(hash)
	if err != nil {
		return false, err
	}
	if len(password) > maxPassword {
		password = password[:maxPassword]
	}
	p, err := prepare(password)
	if err != nil {
		p = "\x00" // never a password; the cost must not tell
	}
	key := argon2.IDKey([]byte(p), h.salt, h.time, h.memory, h.lanes, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1 && err == nil, nil
}

type argonHash struct {
	memory, time uint32
	lanes        uint8
	salt, key    []byte
}

var errHash = errors.New("stored password hash is damaged: set the password anew")

func parsePHC(s string) (argonHash, error) {
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return argonHash{}, errHash
	}
	var h argonHash
	n, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.lanes)
	if err != nil || n != 3 || fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.time, h.lanes) != f[3] {
		return argonHash{}, errHash
	}
	if h.memory < 8 || h.memory > maxArgonMemory || h.time < 1 || h.time > maxArgonTime || h.lanes < 1 {
		return argonHash{}, errHash
	}
	if h.salt, err = base64.RawStdEncoding.DecodeString(f[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return argonHash{}, errHash
	}
	if h.key, err = base64.RawStdEncoding.DecodeString(f[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return argonHash{}, errHash
	}
	return h, nil
}
