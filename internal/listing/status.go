package listing

import (
	"fmt"
	"io"
	"time"

	"waxwing/internal/health"
	"waxwing/internal/text"
)

// Status is whether all is well with a server, and what is known of it.
type Status struct {
	Well     bool            `json:"well"` // nothing is worse than advice
	Hostname string          `json:"hostname"`
	Findings []StatusFinding `json:"findings"` // the worst first
	Running  bool            `json:"running"`
	Waiting  int64           `json:"waiting"` // recipients
	Leased   int64           `json:"leased"`
	Held     int64           `json:"held"`
	Oldest   time.Time       `json:"oldest,omitzero"`  // accepted, of what waits
	Counted  time.Time       `json:"counted,omitzero"` // when these four were
	Closed   int             `json:"closed"`           // destinations
	Store    int64           `json:"store_octets"`
	DiskFree int64           `json:"disk_free_octets"`
	Reserve  int64           `json:"disk_reserve_octets"`
	Backup   time.Time       `json:"last_backup,omitzero"`
	Milters  []health.Milter `json:"milters,omitempty"`
	DNSSEC   health.DNSSEC   `json:"dnssec,omitzero"`
	facts    health.Facts
}

// StatusFinding is something that is not well.
type StatusFinding struct {
	Level string `json:"level"`
	What  string `json:"what"`
	Cure  string `json:"cure"`
}

// StatusOf says how a server is, from what is known of it.
func StatusOf(hostname string, f health.Facts) Status {
	s := Status{Well: true, Hostname: hostname, Findings: []StatusFinding{}, Running: f.NotRunning == "", Waiting: f.Waiting, Leased: f.Leased, Held: f.Held, Oldest: f.Oldest, Counted: f.Counted,
		Closed: f.Closed, Store: f.StoreSize, DiskFree: f.DiskFree, Reserve: f.DiskReserve, Backup: f.LastBackup, Milters: f.Milters, DNSSEC: f.DNSSEC, facts: f}
	for _, x := range health.Findings(f) {
		s.Well = s.Well && x.Level == health.Advice
		s.Findings = append(s.Findings, StatusFinding{x.Level.String(), x.What, x.Cure})
	}
	return s
}

// Print writes it for people.
func (s *Status) Print(w io.Writer) {
	switch {
	case !s.Well:
		fmt.Fprintf(w, "%s: not all is well\n", s.Hostname)
	default:
		fmt.Fprintf(w, "%s: all is well\n", s.Hostname)
	}
	for _, f := range s.Findings {
		fmt.Fprintf(w, "\n%s: %s\n    %s\n", f.Level, f.What, f.Cure)
	}
	running := "runs"
	if !s.Running {
		running = "does not run"
	}
	fmt.Fprintf(w, "\nserver        %s\n", running)
	if s.facts.NoStore == "" {
		fmt.Fprintf(w, "queue         %d waiting, %d under way, %d held; %s\n", s.Waiting, s.Leased, s.Held, text.Count(s.Closed, "destination")+" closed")
		if !s.Oldest.IsZero() {
			fmt.Fprintf(w, "              the oldest is from %s\n", text.Moment(s.Oldest, s.facts.Now))
		}
	}
	fmt.Fprintf(w, "store         %d MiB", s.Store>>20)
	if s.facts.DiskKnown {
		fmt.Fprintf(w, "; %d MiB free on its disk, %d MiB of them kept", s.DiskFree>>20, s.Reserve>>20)
	}
	fmt.Fprintln(w)
	if !s.Backup.IsZero() {
		fmt.Fprintf(w, "last backup   %s\n", text.Moment(s.Backup, s.facts.Now))
	}
	for _, m := range s.Milters {
		answers := "answers"
		if m.Trouble != "" {
			answers = "does not answer"
		}
		fmt.Fprintf(w, "milter        %s, asked about mail of %s; %s\n", m.Name, m.About, answers)
		if m.Last != nil {
			fmt.Fprintf(w, "              the last message: %s, %s, within %s\n", m.Last.Result, text.Moment(m.Last.At, s.facts.Now), m.Last.Took.Round(time.Millisecond))
		}
	}
	for _, c := range s.facts.Certificates {
		fmt.Fprintf(w, "certificate   %s, until %s\n", c.Of, text.Day(c.Ends))
	}
}

// Certificates are those that clients are shown.
func (s *Status) Certificates() []health.Certificate { return s.facts.Certificates }
