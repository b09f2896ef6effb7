package people

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"waxwing/internal/search"
)

// person is somebody to whom a mail can be addressed.
type person struct {
	name, email string
	words       []string  // of the name and the address, as searches compare them
	sent, met   int       // in how many mails they are a recipient of the account's, and in how many others they stand
	from        bool      // a mail came from them
	received    int64     // mails of them that counted for what is known of senders
	writtenAt   time.Time // when the account has written to them last; zero: it has not
	junk        bool      // the account has marked them as senders of junk
	last        int64     // nanoseconds since 1970: of what was noted last
}

// learn takes a name; the newest mail is looked at first, and the first name counts.
func (p *person) learn(name string) {
	if len(name) > maxName || strings.EqualFold(name, p.email) {
		name = ""
	}
	if p.name == "" {
		p.name = name
	}
	p.words = search.Words(p.name+" "+p.email, maxWords)
}

func (p *person) wrote() bool { return !p.writtenAt.IsZero() || p.sent > 0 }

// class is who comes first: to whom the account has written, who has written to it, who stands beside others.
func (p *person) class() int {
	switch {
	case p.wrote():
		return 2
	case p.from:
		return 1
	}
	return 0
}

// weight is how much an account has had to do with them; what is long ago counts less.
func (p *person) weight(now int64) float64 {
	const half = 90 * 24 * time.Hour
	age := max(0, float64(now-p.last)) / float64(half)
	return float64(1+4*p.sent+p.met) * math.Exp2(-age)
}

// How well people fit what was typed.
const (
	not = iota
	inside
	begins
)

// typed is what somebody has typed.
type typed struct {
	text  string // in lower case
	words []string
}

func read(text string) typed {
	text = strings.ToLower(strings.TrimSpace(text))
	return typed{text, search.Words(text, maxWords)}
}

// fit says how well a person fits: the whole text is the beginning of the name or of the address, or each of
// its words is the beginning of a word there.
func (t typed) fit(p *person) int {
	if strings.HasPrefix(strings.ToLower(p.email), t.text) || strings.HasPrefix(strings.ToLower(p.name), t.text) {
		return begins
	}
	if len(t.words) == 0 || strings.Contains(t.text, "@") { // an address is typed from its beginning
		return not
	}
	for _, w := range t.words {
		if !slices.ContainsFunc(p.words, func(has string) bool { return strings.HasPrefix(has, w) }) {
			return not
		}
	}
	return inside
}

// pick are the people who fit best, most at most.
func pick(people map[string]*person, text string, most int, now int64) []*person {
	type found struct {
		*person
		fit    int
		weight float64
	}
	t := read(text)
	var all []found
	for _, p := range people {
		if fit := t.fit(p); fit != not && !p.junk {
			all = append(all, found{p, fit, p.weight(now)})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.class(), a.class()), cmp.Compare(b.fit, a.fit), cmp.Compare(b.weight, a.weight), strings.Compare(a.email, b.email))
	})
	out := make([]*person, 0, most)
	for _, f := range all[:min(most, len(all))] {
		out = append(out, f.person)
	}
	return out
}
