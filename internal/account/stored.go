package account

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Stored is Credentials as rows and documents have them. It is a secret: who has it can guess
// passwords at any rate.
type Stored struct {
	Password string // as Credentials.PasswordHash
	SCRAM256 string // iterations$salt$stored key$server key, base64
	SCRAM1   string
}

// Stored is c as it is stored.
func (c Credentials) Stored() Stored {
	return Stored{c.PasswordHash, formatSCRAM(c.SCRAM256), formatSCRAM(c.SCRAM1)}
}

// Credentials is the inverse. Its error holds nothing of what is stored. The password's hash
// is not looked at: VerifyPassword does.
func (s Stored) Credentials() (c Credentials, err error) {
	c.PasswordHash = s.Password
	if c.SCRAM256, err = parseSCRAM(s.SCRAM256); err == nil {
		c.SCRAM1, err = parseSCRAM(s.SCRAM1)
	}
	return c, err
}

// Check says whether all of s can be used.
func (s Stored) Check() error {
	c, err := s.Credentials()
	if err != nil {
		return err
	}
	if len(c.SCRAM256.StoredKey) != sha256.Size || len(c.SCRAM256.ServerKey) != sha256.Size || len(c.SCRAM1.StoredKey) != sha1.Size || len(c.SCRAM1.ServerKey) != sha1.Size {
		return errSCRAM
	}
	_, err = parsePHC(s.Password)
	return err
}

// NoPassword are credentials that are nobody's: the keys are random, and no password is
// known that leads to them. They look as those of others, so that no login tells them apart.
func NoPassword() Credentials {
	random := func(n int) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return b
	}
	keys := func(h func() hash.Hash) SCRAM {
		return SCRAM{Salt: random(saltSize), Iterations: scramIterations, StoredKey: random(h().Size()), ServerKey: random(h().Size())}
	}
	return Credentials{PasswordHash: encodePHC(random(saltSize), random(argonKey)), SCRAM256: keys(sha256.New), SCRAM1: keys(sha1.New)}
}

// encodePHC writes a key that was derived at the present costs.
func encodePHC(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

func formatSCRAM(c SCRAM) string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%d$%s$%s$%s", c.Iterations, b64(c.Salt), b64(c.StoredKey), b64(c.ServerKey))
}

var errSCRAM = errors.New("stored SCRAM keys are damaged: set the password anew")

// parseSCRAM is the inverse of formatSCRAM. Its error holds nothing of the
// row.
func parseSCRAM(s string) (c SCRAM, err error) {
	f := strings.Split(s, "$")
	if len(f) != 4 {
		return c, errSCRAM
	}
	if c.Iterations, err = strconv.Atoi(f[0]); err != nil || c.Iterations < 1 {
		return SCRAM{}, errSCRAM
	}
	for i, to := range []*[]byte{&c.Salt, &c.StoredKey, &c.ServerKey} {
		if *to, err = base64.StdEncoding.DecodeString(f[i+1]); err != nil || len(*to) == 0 {
			return SCRAM{}, errSCRAM
		}
	}
	return c, nil
}
