package dnsfinding

import (
	"fmt"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/foreign"
)

// Level is how bad a finding is (DNS-C3).
type Level string

// The levels.
const (
	OK      Level = "ok"
	Advice  Level = "advice"  // it works, and could be better
	Fault   Level = "fault"   // mail is lost, delayed or less protected than it is meant to be
	Unknown Level = "unknown" // it could not be seen
)

// Finding is one thing that was found.
type Finding struct {
	Level   Level  `json:"level"`
	Word    Word   `json:"word"`
	Subject string `json:"subject"`          // the record, address or host that it is about
	Seen    string `json:"seen,omitempty"`   // what is there
	Wanted  string `json:"wanted,omitempty"` // what should be
	Cause   string `json:"cause,omitempty"`
	Cure    string `json:"cure,omitempty"`
}

// maxShown bounds what a finding quotes; the record of an RSA key has room in it twice.
const maxShown = 1000

// report gathers findings.
type report struct {
	*Facts
	found []Finding
}

// add notes a finding whose level, cause and cure are those of its word.
func (r *report) add(w Word, subject, seen, wanted string) {
	e := words()[w]
	f := Finding{Level: e.level, Word: w, Subject: subject, Seen: shown(seen), Wanted: shown(wanted), Cause: e.cause, Cure: e.cure}
	same := func(o Finding) bool { return o.Word == f.Word && o.Subject == f.Subject && o.Seen == f.Seen }
	if !slices.ContainsFunc(r.found, same) {
		r.found = append(r.found, f)
	}
}

// ok notes that a subject is well, as far as nothing else was said of it since the
// mark.
func (r *report) ok(mark int, subject, seen string) {
	if len(r.found) == mark {
		r.found = append(r.found, Finding{Level: OK, Word: Well, Subject: subject, Seen: shown(seen)})
	}
}

// shown makes what others wrote fit to be quoted.
func shown(s string) string { return foreign.Shown(foreign.Clip(s, maxShown)) }

// failed notes a lookup that told nothing, and reports whether it was one.
func failed[T any](r *report, s *Seen[T], subject string) bool {
	if !s.Failed() {
		return false
	}
	if !s.Asked {
		r.add(NotLooked, subject, "", "")
		return true
	}
	if bogus(s.Err) {
		r.add(Bogus, subject, s.Err.Error(), "")
	} else {
		r.add(LookupFailed, subject, s.Err.Error(), "")
	}
	return true
}

// list writes values one after the other.
func list[T any](all []T, word func(T) string) string {
	var out []string
	for _, v := range all {
		out = append(out, word(v))
	}
	return strings.Join(out, ", ")
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }

// under is a name with labels before it, as text.
func under(labels string, name dns.Name) string { return labels + "." + name.ASCII() }

// rank is the order of levels in a list: the worst first.
func rank(l Level) int { return slices.Index([]Level{Fault, Unknown, Advice, OK}, l) }

// Worst is the worst level among findings.
func Worst(all []Finding) Level {
	worst := OK
	for _, f := range all {
		if rank(f.Level) < rank(worst) {
			worst = f.Level
		}
	}
	return worst
}

// Explain adds the cause and the cure of a finding that was stored without them.
func Explain(f Finding) Finding {
	e := words()[f.Word]
	f.Cause, f.Cure = e.cause, e.cure
	return f
}
