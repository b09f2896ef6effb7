package travel

import (
	"waxwing/internal/listing"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
)

// told is a Travel, with what its words mean.
type told struct {
	listing.Travel
	Meanings map[reason.Word]meaning `json:"meanings"`
}

// meaning is a word in a sentence.
type meaning struct {
	Meaning string `json:"meaning"`
	Cure    string `json:"cure,omitempty"` // what helps
}

// meanings puts the words of a Travel into sentences (MAIL-6).
func meanings(t *listing.Travel) map[reason.Word]meaning {
	out := map[reason.Word]meaning{}
	say := func(w reason.Word) {
		if m := w.Meaning(); m != "" {
			out[w] = meaning{m, w.Cure()}
		}
	}
	why := func(w *spool.Why) {
		if w != nil {
			say(w.Word)
		}
	}
	for _, r := range t.Recipients {
		say(reason.Word(r.Word))
		why(r.Last)
	}
	for _, a := range t.Attempts {
		why(a.Detail.Stop)
		for _, h := range a.Detail.Hosts {
			why(h.Skip)
			for _, b := range h.Basis {
				say(b.Word)
			}
			for _, s := range h.Sessions {
				why(s.TLSFailure)
				why(s.Error)
			}
		}
	}
	return out
}
