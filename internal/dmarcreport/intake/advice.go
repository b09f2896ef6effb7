package intake

import (
	"fmt"
	"slices"
)

// Advice is one thing that the reports of others tell an operator (DMR-3).
type Advice struct {
	Domain string `json:"domain"`
	Word   string `json:"word"`   // what, in one word
	Urgent bool   `json:"urgent"` // mail of ours is put into Junk or refused
	Text   string `json:"text"`
}

// The words of Advice.
const (
	AdviseOwn        = "own-fails"  // mail from our own hosts fails
	AdviseStricter   = "stricter"   // nothing of ours would be lost under a stricter policy
	AdviseForwarders = "forwarders" // what forwarders pass on would be lost
	AdviseKeep       = "keep"       // the policy is reject already, and costs nothing
	AdviseWait       = "wait"       // too little is known
)

// enough is how many messages from our own hosts, and of how many reporters, are enough to
// advise a stricter policy.
const (
	enough          = 20
	enoughReporters = 2
)

var stricter = map[string]string{"none": "quarantine", "quarantine": "reject"}

// tally is what the lines say of one domain.
type tally struct {
	policy                                  string
	own, ownFailed, ownHit, forwarded       int64
	forwardedFailed, otherPassed, otherFail int64
	reporters                               []string
}

// Advise reads the lines of a digest and says what to do, for each domain one thing. It is pure.
// What came by HTTPS is left out: nobody vouches for it.
func Advise(lines []Line) []Advice {
	sums := map[string]*tally{}
	var domains []string
	for i := range lines {
		l := &lines[i]
		if l.Unverified {
			continue
		}
		t := sums[l.Domain]
		if t == nil {
			t = &tally{}
			sums[l.Domain], domains = t, append(domains, l.Domain)
		}
		t.add(l)
	}
	slices.Sort(domains)
	out := []Advice{}
	for _, d := range domains {
		a := sums[d].advice(d)
		a.Domain = d
		out = append(out, a)
	}
	return out
}

func (t *tally) add(l *Line) {
	t.policy = l.Policy
	switch l.Kind {
	case Own:
		t.own, t.ownFailed, t.ownHit = t.own+l.Passed+l.Failed, t.ownFailed+l.Failed, t.ownHit+l.Hit
	case Forwarder:
		t.forwarded, t.forwardedFailed = t.forwarded+l.Passed, t.forwardedFailed+l.Failed
	default:
		t.otherPassed, t.otherFail = t.otherPassed+l.Passed, t.otherFail+l.Failed
	}
	for _, r := range l.Reporters {
		if !slices.Contains(t.reporters, r) {
			t.reporters = append(t.reporters, r)
		}
	}
}

func (t *tally) advice(domain string) Advice {
	next, ok := stricter[t.policy]
	known := fmt.Sprintf("%d messages from your hosts, by %d reporters", t.own, len(t.reporters))
	switch {
	case t.ownFailed > 0:
		return Advice{Word: AdviseOwn, Urgent: t.ownHit > 0, Text: fmt.Sprintf("%d of %d messages from your own hosts fail DMARC: check that they are signed with a key of %s, and that its SPF record has their addresses (waxwing dkim list, waxwing dns check). Make the policy no stricter before they pass",
			t.ownFailed, t.own, domain)}
	case t.own < enough || len(t.reporters) < enoughReporters:
		return Advice{Word: AdviseWait, Text: fmt.Sprintf("too little is known (%s): at least %d messages and %d reporters are needed for advice", known, enough, enoughReporters)}
	case t.otherPassed > 0 && ok:
		return Advice{Word: AdviseStricter, Text: fmt.Sprintf("safe to move to %s: what comes from your hosts passes (%s), and so do %d messages from other addresses; %d messages of others, that fail, would be hit, and %d that forwarders have changed",
			next, known, t.otherPassed, t.otherFail, t.forwardedFailed)}
	case t.forwardedFailed > 0 && ok:
		return Advice{Word: AdviseForwarders, Text: fmt.Sprintf("what comes from your hosts passes (%s), but %d messages that forwarders or mailing lists passed on fail, and would be hit by p=%s: ask those who use such lists before; %d messages of others would be hit",
			known, t.forwardedFailed, next, t.otherFail)}
	case ok:
		return Advice{Word: AdviseStricter, Text: fmt.Sprintf("safe to move to %s: what comes from your hosts passes (%s); %d messages of others, that fail, would be hit", next, known, t.otherFail)}
	}
	return Advice{Word: AdviseKeep, Text: fmt.Sprintf("the policy is %s, and what comes from your hosts passes (%s); %d messages of others failed", t.policy, known, t.otherFail)}
}
