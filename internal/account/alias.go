package account

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Posting is who may write to an alias.
type Posting string

// The values of Posting.
const (
	PostAnyone  Posting = "anyone"
	PostMembers Posting = "members"
	PostListed  Posting = "listed" // the addresses in Alias.Posters
)

// ParsePosting reads one; "" is PostAnyone.
func ParsePosting(s string) (Posting, error) {
	switch p := Posting(s); p {
	case "":
		return PostAnyone, nil
	case PostAnyone, PostMembers, PostListed:
		return p, nil
	}
	return "", fmt.Errorf("who may post is %q: it is %s, %s or %s", s, PostAnyone, PostMembers, PostListed)
}

// Bounds of aliases (ACC-1).
const (
	MaxMembers  = 1000 // of one alias, and as many who may post
	MaxExpanded = 5000 // addresses that an alias with all its aliases comes to
)

// Alias is an address whose mail goes to several (ACC-1).
type Alias struct {
	Address    string    `json:"alias"` // as Address.Address
	Members    []string  `json:"members"`
	Posting    Posting   `json:"posting"`
	Posters    []string  `json:"posters"`     // addresses, or @domain for all of one
	SenderCopy bool      `json:"sender_copy"` // a member who posts gets the message, too
	Created    time.Time `json:"created"`
}

// Check says whether the alias is within the bounds.
func (a *Alias) Check() error {
	switch {
	case len(a.Members) == 0:
		return fmt.Errorf("alias %s has no members", a.Address)
	case len(a.Members) > MaxMembers:
		return fmt.Errorf("alias %s has %d members, %d are allowed", a.Address, len(a.Members), MaxMembers)
	case len(a.Posters) > MaxMembers:
		return fmt.Errorf("alias %s has %d who may post, %d are allowed", a.Address, len(a.Posters), MaxMembers)
	case a.Posting == PostListed && len(a.Posters) == 0:
		return fmt.Errorf("alias %s: nobody may post: list who may", a.Address)
	case a.Posting != PostListed && len(a.Posters) > 0:
		return fmt.Errorf("alias %s: those who may post are listed, but posting is %s, not %s", a.Address, a.Posting, PostListed)
	}
	return nil
}

// Graph is an alias with all that its members lead to.
type Graph struct {
	Aliases map[string]Alias  // by address
	Targets map[string]Target // of members at hosted domains; those that nobody has are missing
	Hosted  map[string]bool   // members at hosted domains
	Cut     bool              // there are more than anybody should read
}

// Expansion is what an alias comes to, each once, in the order in which it is found.
type Expansion struct {
	Inside  []Target // accounts
	Outside []string // addresses elsewhere
	Missing []string // members at hosted domains that nobody has
	Spared  bool     // the sender is a member, and gets no copy
	TooMany bool     // more than MaxExpanded
}

// Reaches says whether anybody gets the mail.
func (e *Expansion) Reaches() bool {
	return len(e.Outside) > 0 || slices.ContainsFunc(e.Inside, func(t Target) bool { return !t.Refused })
}

// Poster is who sends a message to an alias.
type Poster struct {
	Account string // that is logged in, or has the sender's address; "": none
	Address string // the envelope sender; "": the null reverse-path
}

// Expand follows the members of an alias, and those of aliases among them (pure). The alias
// that was written to says whether the sender gets a copy.
func (g *Graph) Expand(root string, from Poster) Expansion {
	e := expander{g: g, seen: map[string]bool{root: true}, accounts: map[string]bool{}}
	e.follow(root)
	out := e.out
	out.TooMany = out.TooMany || g.Cut
	if g.Aliases[root].SenderCopy {
		return out
	}
	before := len(out.Inside) + len(out.Outside)
	out.Inside = slices.DeleteFunc(out.Inside, func(t Target) bool { return from.Account != "" && t.Account == from.Account })
	out.Outside = slices.DeleteFunc(out.Outside, func(a string) bool { return strings.EqualFold(a, from.Address) })
	out.Spared = len(out.Inside)+len(out.Outside) < before
	return out
}

type expander struct {
	g        *Graph
	seen     map[string]bool // aliases and addresses that were looked at
	accounts map[string]bool
	out      Expansion
}

// follow adds what an alias leads to. One that was met before adds nothing, so that it ends
// whatever the aliases say.
func (e *expander) follow(alias string) {
	for _, m := range e.g.Aliases[alias].Members {
		if e.seen[m] || e.out.TooMany {
			continue
		}
		e.seen[m] = true
		e.member(m)
		e.out.TooMany = len(e.out.Inside)+len(e.out.Outside) > MaxExpanded
	}
}

func (e *expander) member(m string) {
	t, known := e.g.Targets[m]
	switch {
	case !known && e.g.Hosted[m]:
		e.out.Missing = append(e.out.Missing, m)
	case !known:
		e.out.Outside = append(e.out.Outside, m)
	case t.Alias != "":
		if _, there := e.g.Aliases[t.Alias]; there && (t.Alias == m || !e.seen[t.Alias]) {
			e.seen[t.Alias] = true
			e.follow(t.Alias)
		}
	case !e.accounts[t.Account]:
		e.accounts[t.Account] = true
		t.Address = m // with its detail, and not the catchall's
		e.out.Inside = append(e.out.Inside, t)
	}
}

// Loop is the way from an alias back to itself; nil: there is none (pure).
func (g *Graph) Loop(root string) []string {
	seen := map[string]bool{}
	var walk func(at string) []string
	walk = func(at string) []string {
		for _, m := range g.Aliases[at].Members {
			next := g.Targets[m].Alias
			switch {
			case next == "" || seen[next]:
				continue
			case next == root:
				return []string{at, root}
			}
			seen[next] = true
			if rest := walk(next); rest != nil {
				return append([]string{at}, rest...)
			}
		}
		return nil
	}
	return walk(root)
}

// Admission says whether somebody may post to an alias.
type Admission int

// The values of Admission.
const (
	AdmitAnyone Admission = iota // whoever it is
	AdmitKnown                   // this one, if it is them
	AdmitNobody                  // not this one
	AdmitClosed                  // nobody would get the mail
)

// Admit decides on a poster (pure). Members are those of aliases among the members, too.
func (g *Graph) Admit(root string, p Poster) Admission {
	a, e := g.Aliases[root], g.Expand(root, Poster{})
	if e.TooMany || !e.Reaches() {
		return AdmitClosed
	}
	known := false
	switch a.Posting {
	case PostMembers:
		known = slices.ContainsFunc(e.Inside, func(t Target) bool { return p.Account != "" && t.Account == p.Account }) ||
			slices.ContainsFunc(e.Outside, func(m string) bool { return strings.EqualFold(m, p.Address) })
	case PostListed:
		known = slices.ContainsFunc(a.Posters, func(listed string) bool { return matches(listed, p.Address) })
	default:
		return AdmitAnyone
	}
	if known {
		return AdmitKnown
	}
	return AdmitNobody
}

// matches compares an address with a listed one, or with @domain.
func matches(listed, address string) bool {
	if strings.HasPrefix(listed, "@") {
		at := strings.LastIndexByte(address, '@')
		return at > 0 && strings.EqualFold(address[at:], listed)
	}
	return strings.EqualFold(listed, address)
}
