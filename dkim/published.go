package dkim

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
)

// ErrNoRecord: there is no key record at a name.
var ErrNoRecord = errors.New("there is no TXT record")

// Published compares the TXT records found at a key's name with the record that
// should stand there, as Record makes it. nil: a verifier can check what the key
// signs. Records may be written in another way than ours as long as they say the same;
// several at one name are a fault, since a verifier takes any (RFC 6376 §3.6.2.2).
// It is pure.
func Published(wanted string, found []string) error {
	want, err := parseRecord(wanted)
	if err != nil {
		return err
	}
	switch len(found) {
	case 0:
		return ErrNoRecord
	case 1:
	default:
		return fmt.Errorf("%d TXT records stand there, and one must", len(found))
	}
	got, err := parseRecord(found[0])
	if err != nil {
		return err
	}
	switch {
	case got.kind != want.kind:
		return fmt.Errorf("the record there is of a key of type %s", got.kind)
	case !got.same(&want):
		return errors.New("the record there is of another key")
	case got.hashes != nil && !slices.Contains(got.hashes, "sha256"):
		return errors.New("the record there does not allow SHA-256 (h=)")
	case got.services != nil && !containsAll(got.services, want.services):
		return errors.New("the record there allows fewer services (s=)")
	}
	return nil
}

// same reports whether both hold one key.
func (r *record) same(o *record) bool {
	key, ok := r.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(o.public)
}

// containsAll reports whether list has all of need; no need is the need of all.
func containsAll(list, need []string) bool {
	if need == nil {
		return false
	}
	for _, n := range need {
		if !slices.Contains(list, n) {
			return false
		}
	}
	return true
}
