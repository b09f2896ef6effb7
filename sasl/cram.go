package sasl

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"errors"
)

// CramMD5 is CRAM-MD5 (RFC 2195), for servers that know nothing better: it
// hides the password, from all but those who can try many. Client side only.
const CramMD5 = "CRAM-MD5"

type cramClient struct {
	user, password string
	asked          bool
}

// NewCramMD5Client is the client of CRAM-MD5.
func NewCramMD5Client(user, password string) Client {
	return &cramClient{user: user, password: password}
}

func (c *cramClient) Start() (string, []byte, error) {
	return CramMD5, nil, checkText(CramMD5, c.user, c.password)
}

func (c *cramClient) Next(challenge []byte) ([]byte, error) {
	if c.asked {
		return nil, errors.New(CramMD5 + ": the server asked more than once")
	}
	if len(challenge) == 0 || len(challenge) > maxScramMessage {
		return nil, &SyntaxError{CramMD5, "a challenge is empty, or longer than 4096 octets"}
	}
	c.asked = true
	mac := hmac.New(md5.New, []byte(c.password))
	mac.Write(challenge)
	return []byte(c.user + " " + hex.EncodeToString(mac.Sum(nil))), nil
}
