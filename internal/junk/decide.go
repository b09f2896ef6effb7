// Package junk decides, for one account, whether a message goes into its inbox, into Junk, or
// is refused: a sum of named facts, each with its points (JNK-1). It does no I/O. Who sent
// the message was decided before, by package disposition, and no sum undoes that.
package junk

import (
	"fmt"
	"slices"
	"strings"

	"waxwing/internal/reason"
)

// Mark is what an account has said of a sender.
type Mark uint8

// The marks.
const (
	Unmarked Mark = iota
	MarkedGood
	MarkedJunk
)

// History is what an account has had to do with a sender for whom a domain vouches. Nothing
// is known of others: anybody could claim to be them.
type History struct {
	Written       bool // it has written to the address
	Replied       bool // and in answer to a message
	WrittenDomain bool // it has written to others of the domain
	Mark          Mark // of the address
	DomainMark    Mark
	Received      int // messages that came before this one
}

// Listing is a DNS blocklist that has the client's address.
type Listing struct {
	Zone   string
	Points int
}

// Words is what the account's own classifier says.
type Words struct {
	Trained bool    // it has seen enough of both kinds to be asked
	Score   float64 // 0: what the account keeps, 1: what it throws into Junk
}

// Rspamd is an answer of Rspamd.
type Rspamd struct {
	Score, Required float64 // Required is the score at which Rspamd itself would refuse a message
	Action          string  // in Rspamd's words
}

// MilterAction is what a milter wants done with a message.
type MilterAction uint8

// The actions of a milter that are evidence.
const (
	MilterAccepts MilterAction = iota
	MilterQuarantines
	MilterHolds  // it wants the message put aside, which is held in the queue
	MilterSilent // it gave no answer, for which the operator wants mail in Junk
)

// PutsAside reports that the message goes into Junk, whatever else is known of it.
func (a MilterAction) PutsAside() bool { return a == MilterQuarantines || a == MilterSilent }

// Milter is an answer of a milter.
type Milter struct {
	Name   string
	Action MilterAction
	Text   string // what it did, or why the message is to be put aside; bounded
}

// Facts are what the decision rests on.
type Facts struct {
	// Required is why the decision on who sent the message puts it into Junk; "": it does not.
	Required      reason.Word
	Authenticated bool // a domain vouches for the sender that History is of
	History       History
	Lists         []Listing
	BadHELO       bool
	NoReverseName bool
	Words         Words
	Rspamd        *Rspamd // nil: not asked, or no answer
	Milters       []Milter
	Silent        []string // other filters that did not answer, for which the operator wants mail in Junk
	// Nobody: it is decided for those who have no mailbox here. No account's history counts, and there may be no
	// Junk where the message goes: what Rspamd refuses is refused, for who would refuse it later would have this
	// server tell a forged sender.
	Nobody bool
}

// Limits are the sums from which a message is junk, and from which it is refused; Reject 0: never.
type Limits struct{ Junk, Reject int }

// Action is what is done with the message.
type Action uint8

// The actions, in growing severity.
const (
	Inbox Action = iota
	Junk
	Reject
)

var actionWords = [...]string{"inbox", "junk", "reject"}

func (a Action) String() string { return actionWords[a] }

// MarshalText is String.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (a *Action) UnmarshalText(b []byte) error {
	i := slices.Index(actionWords[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown action %q (%s)", b, strings.Join(actionWords[:], ", "))
	}
	*a = Action(i)
	return nil
}

// Evidence is one fact with its weight.
type Evidence struct {
	Word   reason.Word `json:"reason"`
	Points int         `json:"points"` // above 0: towards Junk
	Text   string      `json:"text,omitempty"`
}

// Decision is what becomes of a message in one account, and why.
type Decision struct {
	Action   Action     `json:"action"`
	Sum      int        `json:"sum"`
	Limit    int        `json:"limit"` // the sum from which a message is junk
	Evidence []Evidence `json:"evidence,omitempty"`
}

// The weights. Nothing that a stranger brings along as such makes junk of a message: that takes
// its words, a list, a filter or the account's own word.
const (
	pointsReplied          = -20
	pointsWritten          = -15
	pointsWrittenDomain    = -2
	pointsMarkedGood       = -20
	pointsMarkedJunk       = 15
	pointsDomainGood       = -6
	pointsDomainJunk       = 6
	pointsKnown            = -2
	pointsFirst            = 1
	pointsNotAuthenticated = 2
	pointsHELO             = 2
	pointsNoReverse        = 2
	pointsQuarantine       = 10
	pointsSilent           = 10
)

// known is how many messages make a sender known.
const known = 3

// Decide is the decision, for all facts there can be.
func Decide(f Facts, l Limits) Decision {
	var s sum
	s.history(f)
	s.client(f)
	s.milters(f)
	others := s.total // all but opinions about the text
	protected := f.Authenticated && (f.History.Written || f.History.Replied) && f.History.Mark != MarkedJunk
	s.opinions(f, protected)
	for _, name := range f.Silent {
		s.add(reason.FilterSilent, pointsSilent, name)
	}
	if f.Required != "" {
		s.add(f.Required, 0, "decides by itself")
	}
	d := Decision{Sum: s.total, Limit: l.Junk, Evidence: s.evidence}
	aside := slices.ContainsFunc(f.Milters, func(m Milter) bool { return m.Action.PutsAside() })
	switch {
	case l.Reject > 0 && s.total >= l.Reject && others >= l.Junk,
		l.Reject > 0 && f.Nobody && f.Rspamd != nil && f.Rspamd.Action == "reject":
		d.Action = Reject
	case f.Required != "", aside, s.total >= l.Junk && !(protected && others < l.Junk && len(f.Silent) == 0):
		d.Action = Junk
	}
	return d
}

// sum adds up evidence, in order.
type sum struct {
	total    int
	evidence []Evidence
}

func (s *sum) add(w reason.Word, points int, text string) {
	s.total += points
	s.evidence = append(s.evidence, Evidence{w, points, text})
}

// history is what the account has had to do with the sender.
func (s *sum) history(f Facts) {
	if !f.Authenticated {
		s.add(reason.NotAuthenticated, pointsNotAuthenticated, "")
		return
	}
	if f.Nobody {
		return
	}
	h := f.History
	switch {
	case h.Mark == MarkedJunk: // it has come later than what was written
	case h.Replied:
		s.add(reason.RepliedTo, pointsReplied, "")
	case h.Written:
		s.add(reason.WrittenTo, pointsWritten, "")
	case h.WrittenDomain:
		s.add(reason.WrittenToDomain, pointsWrittenDomain, "")
	}
	s.mark(h.Mark, [...]Evidence{MarkedGood: {Word: reason.MarkedGood, Points: pointsMarkedGood}, MarkedJunk: {Word: reason.MarkedJunk, Points: pointsMarkedJunk}})
	if h.Mark == Unmarked {
		s.mark(h.DomainMark, [...]Evidence{MarkedGood: {Word: reason.DomainMarkedGood, Points: pointsDomainGood}, MarkedJunk: {Word: reason.DomainMarkedJunk, Points: pointsDomainJunk}})
	}
	switch {
	case h.Received >= known && h.Mark != MarkedJunk:
		s.add(reason.KnownSender, pointsKnown, "")
	case h.Received == 0 && h.Mark == Unmarked && !h.Written && !h.Replied:
		s.add(reason.FirstContact, pointsFirst, "")
	}
}

func (s *sum) mark(m Mark, of [3]Evidence) {
	if m != Unmarked {
		s.add(of[m].Word, of[m].Points, "")
	}
}

// client is what is known of the host that hands the message in.
func (s *sum) client(f Facts) {
	for _, l := range f.Lists {
		s.add(reason.BlockList, l.Points, l.Zone)
	}
	if f.BadHELO {
		s.add(reason.HELOName, pointsHELO, "")
	}
	if f.NoReverseName {
		s.add(reason.NoReverseName, pointsNoReverse, "")
	}
}

// milters look for viruses and for what the operator forbids. What one wants put aside is, whoever
// has sent it; what one refuses was refused before, and what is held goes where it would when it is
// let go.
func (s *sum) milters(f Facts) {
	for _, m := range f.Milters {
		text := strings.TrimSuffix(m.Name+": "+m.Text, ": ")
		switch m.Action {
		case MilterQuarantines:
			s.add(reason.MilterQuarantine, pointsQuarantine, text)
		case MilterHolds:
			s.add(reason.MilterQuarantine, 0, text)
		case MilterSilent: // without points: a filter that is down must not help to have mail refused
			s.add(reason.FilterSilent, 0, text+", decides by itself")
		case MilterAccepts:
			s.add(reason.MilterPassed, 0, text)
		}
	}
}

// opinions are what the classifier and Rspamd make of the text. Against someone to whom the
// account has written they count for nothing.
func (s *sum) opinions(f Facts, protected bool) {
	count := func(w reason.Word, points int, text string) {
		if protected && points > 0 {
			text += fmt.Sprintf(", %+d not counted: the account has written to the sender", points)
			points = 0
		}
		s.add(w, points, text)
	}
	if f.Words.Trained {
		count(reason.JunkWords, wordPoints(f.Words.Score), fmt.Sprintf("%.3f", f.Words.Score))
	}
	if f.Rspamd != nil {
		count(reason.RspamdScore, rspamdPoints(*f.Rspamd), fmt.Sprintf("%.1f of %.1f, %s", f.Rspamd.Score, f.Rspamd.Required, f.Rspamd.Action))
	}
}

// wordPoints weighs the classifier's score. Words suffice for Junk where the sender is a
// stranger, or where they are all but certain.
func wordPoints(score float64) int {
	switch {
	case score >= 0.99:
		return 12
	case score >= 0.9:
		return 9
	case score >= 0.7:
		return 3
	case score <= 0.01:
		return -8
	case score <= 0.1:
		return -5
	case score <= 0.3:
		return -2
	}
	return 0
}

// rspamdPoints weighs a score by its part of what Rspamd requires, and what Rspamd would do.
func rspamdPoints(r Rspamd) int {
	points := 0
	if r.Required > 0 {
		points = int(max(-5, min(15, 10*r.Score/r.Required)))
	}
	switch r.Action {
	case "reject":
		return max(points, 15)
	case "add header", "rewrite subject":
		return max(points, 10)
	}
	return points
}
