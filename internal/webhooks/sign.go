package webhooks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Secret signs what is posted to one webhook.
type Secret []byte

const secretSize = 32

func newSecret() Secret {
	s := make(Secret, secretSize)
	rand.Read(s)
	return s
}

// Text is the secret as it is shown, once: in the form of Standard Webhooks.
func (s Secret) Text() string { return "whsec_" + base64.StdEncoding.EncodeToString(s) }

// String keeps the secret out of logs.
func (s Secret) String() string { return "whsec_…" }

// sign sets the header fields of Standard Webhooks: what is signed is the id, the time and the
// body, so that none can be changed, and a receiver can refuse what is old.
func (s Secret) sign(h http.Header, id string, at time.Time, body []byte) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, s)
	fmt.Fprintf(m, "%s.%s.", id, stamp)
	m.Write(body)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)))
}
