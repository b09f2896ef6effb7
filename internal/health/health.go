// Package health says whether all is well with a server, and if not, what comes first
// (OPS-5). It is pure: the facts come from elsewhere.
package health

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Level is how bad a finding is.
type Level int

// The levels.
const (
	Advice  Level = iota // it could be better
	Warning              // it will go wrong, or goes wrong for some
	Fault                // mail is refused, or does not go out
)

func (l Level) String() string { return [...]string{"advice", "warning", "fault"}[l] }

// Finding is something that is not well.
type Finding struct {
	Level Level
	What  string // a sentence without its full stop
	Cure  string // what to do, as a command or in words
}

// Facts are what is known of a server. What is not known is its zero value.
type Facts struct {
	Now        time.Time
	NotRunning string // why no server answers; "": one does
	NoStore    string // why the store cannot be used; "": it can

	DiskKnown    bool
	DiskFree     int64 // octets
	DiskReserve  int64 // octets: below, mail is refused
	StoreSize    int64 // octets
	Waiting      int64 // recipients
	Leased       int64
	Held         int64
	Oldest       time.Time // when the message was accepted that has waited longest
	Counted      time.Time // when these were; before Now where a count takes long
	Closed       int       // contacts that do not answer
	Certificates []Certificate
	DNSFaults    int // of the last check
	DNSUnknown   int
	DNSConflicts int       // record sets that are published from here and that others made or changed
	DNSFailing   time.Time // since when records cannot be written into DNS; zero: they can
	DNSFailure   string
	LastBackup   time.Time // zero: never
	Milters      []Milter
	DNSSEC       DNSSEC
}

// DNSSEC is whose word on DNSSEC counts with a server.
type DNSSEC struct {
	Source string `json:"source,omitempty"` // validate, trust, none; "": nobody knows, or it is switched off
	Why    string `json:"why,omitempty"`    // Waxwing does not validate itself
}

// Milter is a filter that is asked about mail before it is taken.
type Milter struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	About   string `json:"about"`             // whose mail it is asked about
	Failure string `json:"on_failure"`        // what becomes of mail while it does not answer
	Trouble string `json:"trouble,omitempty"` // why it cannot be asked now; "": it can
	// Last is what came of the last message that the running server asked it about; nil: none since it started.
	Last *MilterAnswer `json:"last,omitempty"`
}

// MilterAnswer is what came of a milter and a message.
type MilterAnswer struct {
	At     time.Time     `json:"at"`
	Result string        `json:"result"` // accepted, refused, deferred, discarded, quarantined, silent
	Took   time.Duration `json:"took_ns"`
}

// Certificate is one that is shown to clients.
type Certificate struct {
	Of   string
	Ends time.Time
	Span time.Duration // of its whole life
}

// What is too long.
const (
	oldMail   = 2 * 24 * time.Hour
	oldBackup = 2 * 24 * time.Hour
	manyWait  = 10_000
)

// Findings are what is not well, the worst first.
func Findings(f Facts) []Finding {
	var out []Finding
	add := func(bad bool, l Level, cure, what string, args ...any) {
		if bad {
			out = append(out, Finding{l, fmt.Sprintf(what, args...), cure})
		}
	}
	add(f.NotRunning != "", Fault, "start it: systemctl start waxwing", "no server answers: %s", f.NotRunning)
	add(f.NoStore != "", Fault, "see that its disk, or the PostgreSQL server, is there", "the store cannot be used: %s", f.NoStore)
	if f.DiskKnown {
		short := f.DiskFree < f.DiskReserve
		add(short, Fault, "make room on the disk of data_dir", "mail is refused: %s are free, and %s are kept", mib(f.DiskFree), mib(f.DiskReserve))
		add(!short && f.DiskFree < 2*f.DiskReserve, Warning, "make room on the disk of data_dir", "the disk is nearly full: %s are free, and below %s mail is refused", mib(f.DiskFree), mib(f.DiskReserve))
	}
	for _, m := range f.Milters {
		stops := m.Failure == "defer" || m.Failure == "reject"
		add(m.Trouble != "" && stops, Fault, "see that it runs and listens at "+m.Address, "mail is not taken (%s): the milter %s does not answer: %s", m.Failure, m.Name, m.Trouble)
		add(m.Trouble != "" && !stops, Warning, "see that it runs and listens at "+m.Address, "mail passes unseen (%s): the milter %s does not answer: %s", m.Failure, m.Name, m.Trouble)
	}
	add(f.DNSSEC.Source == "none", Warning, "waxwing dns selftest says what is wrong with the resolvers; \"apt install unbound\" and servers = [\"127.0.0.1\"] in [resolver] mend it",
		"DANE is off for mail that goes out: nobody validates DNSSEC%s", because(f.DNSSEC.Why))
	for _, c := range f.Certificates {
		left := c.Ends.Sub(f.Now)
		add(left <= 0, Fault, "renew it", "the certificate for %s has ended", c.Of)
		add(left > 0 && left < c.Span/6, Warning, "see why it is not renewed: the log has it", "the certificate for %s ends in %s", c.Of, span(left))
	}
	add(f.DNSFaults > 0, Warning, "waxwing dns findings", "what stands in DNS is wrong: %d faults", f.DNSFaults)
	add(!f.DNSFailing.IsZero(), Warning, "waxwing dns apply --dry-run", "records cannot be written into DNS for %s: %s", span(f.Now.Sub(f.DNSFailing)), f.DNSFailure)
	add(f.DNSConflicts > 0, Warning, "waxwing dns apply --dry-run", "%d record sets in DNS were made or changed by others, and are left alone", f.DNSConflicts)
	add(f.Waiting > 0 && f.Now.Sub(f.Oldest) > oldMail, Advice, "waxwing queue list", "mail waits for %s", span(f.Now.Sub(f.Oldest)))
	add(f.Waiting > manyWait, Warning, "waxwing queue closed", "%d recipients wait", f.Waiting)
	add(f.Held > 0, Advice, "waxwing queue list --state held", "%d recipients are held", f.Held)
	add(f.Closed > 0, Advice, "waxwing queue closed", "%d destinations do not answer", f.Closed)
	add(f.DNSUnknown > 0, Advice, "waxwing dns findings", "%d things in DNS could not be looked up", f.DNSUnknown)
	switch {
	case f.LastBackup.IsZero():
		add(f.NoStore == "", Advice, "waxwing backup DIR, daily", "there was never a backup")
	default:
		since := f.Now.Sub(f.LastBackup)
		add(since > oldBackup, Warning, "waxwing backup DIR, daily", "the last backup was made %s ago", span(since))
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(b.Level, a.Level) })
	return out
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// span is a time in the largest unit that fits.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}
