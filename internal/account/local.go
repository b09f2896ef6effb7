package account

import (
	"errors"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// LocalRules are how the local parts of a domain are compared (ACC-2).
type LocalRules struct {
	// Separators are characters behind which a detail begins (RFC 5233 §1): mail for
	// joe+list is joe's. "": there are no details.
	Separators    string
	CaseSensitive bool
}

// DefaultRules are those of a domain that is added.
var DefaultRules = LocalRules{Separators: "+"}

// maxSeparators bounds Separators.
const maxSeparators = 5

// Check says whether the separators can be used: punctuation of RFC 5322 §3.2.3 that stands in
// addresses without quotes, and not the dot, which many have in their names.
func (r LocalRules) Check() error {
	if len(r.Separators) > maxSeparators {
		return errors.New("up to 5 separators are allowed")
	}
	for i, c := range r.Separators {
		if !strings.ContainsRune("!#$%&'+-/=?^_`{|}~", c) || strings.ContainsRune(r.Separators[:i], c) {
			return errors.New("separators are different characters of !#$%&'+-/=?^_`{|}~")
		}
	}
	return nil
}

// Normalize is the form in which a local part of the domain is stored and compared. The
// postmaster is the same in any case (RFC 5321 §4.5.1).
func (r LocalRules) Normalize(local string) string {
	if r.CaseSensitive && !strings.EqualFold(local, Postmaster) {
		return norm.NFC.String(local)
	}
	return NormalizeLocal(local)
}

// Postmaster is the address that every domain has.
const Postmaster = "postmaster"

// Split is a local part without its detail.
type Split struct{ Base, Detail string }

// Splits are the bases that a normalised local part may have, the longest first: with "-" and
// "+", ann-marie+list is for ann-marie before it is for ann.
func (r LocalRules) Splits(local string) (out []Split) {
	for i := len(local) - 1; i > 0; i-- {
		if strings.IndexByte(r.Separators, local[i]) >= 0 {
			out = append(out, Split{local[:i], local[i+1:]})
		}
	}
	return out
}
