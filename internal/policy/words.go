package policy

import "waxwing/internal/delivery"

// Explain gives the meaning of a reason word and what its reader can do about
// it; empty strings for a word that is not of the closed set.
func Explain(w delivery.Reason) (meaning, advice string) { return "", "" }
