package webauthn

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// waits is how long a browser waits for its user, in milliseconds.
const waits = 120_000

type object = map[string]any

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// ToCreate is what a browser is asked to make (§5.4), in JSON, octets as base64url. have are the ids of the user's other
// passkeys: an authenticator that has one of them makes no second one.
func (p Party) ToCreate(challenge []byte, user string, have [][]byte) string {
	id := sha256.Sum256([]byte("waxwing account " + user)) // no name: §14.6.1
	kinds := []object{}
	for _, a := range Algorithms() {
		kinds = append(kinds, object{"type": "public-key", "alg": a})
	}
	return write(object{"challenge": text(challenge), "rp": object{"id": p.ID, "name": p.ID}, "user": object{"id": text(id[:16]), "name": user, "displayName": user},
		"pubKeyCredParams": kinds, "excludeCredentials": descriptors(have), "attestation": "none", "timeout": waits,
		"authenticatorSelection": object{"residentKey": "preferred", "userVerification": "preferred"}})
}

// ToGet is what a browser is asked to have signed (§5.5), by one of the passkeys with these ids.
func (p Party) ToGet(challenge []byte, ids [][]byte) string {
	return write(object{"challenge": text(challenge), "rpId": p.ID, "allowCredentials": descriptors(ids), "userVerification": "preferred", "timeout": waits})
}

func descriptors(ids [][]byte) []object {
	out := []object{}
	for _, id := range ids {
		out = append(out, object{"type": "public-key", "id": text(id)})
	}
	return out
}

func write(o object) string {
	b, _ := json.Marshal(o) // text and numbers
	return string(b)
}
