package config

import (
	"cmp"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Milter is a filter that speaks Sendmail's milter protocol (JNK-3).
type Milter struct {
	Name        string        `toml:"name" required:"yes" example:"clamav" doc:"What it is called in the log, in metrics and in what is kept of messages: small letters, digits and hyphens."`
	Address     string        `toml:"address" required:"yes" example:"unix:/run/clamav/clamav-milter.ctl" doc:"Where it listens: \"unix:\" and the path of a socket that Waxwing may write to, or a host with a port, like \"127.0.0.1:8891\". What is said there is not encrypted."`
	For         []MailOf      `toml:"for" oneof:"mx submission" example:"[\"mx\"]" doc:"Which mail it is asked about: \"mx\" is that of other servers, \"submission\" that of accounts, however they hand it in. Empty: \"mx\"."`
	Timeout     time.Duration `toml:"timeout" max:"4m" example:"30s" doc:"For how long it is waited about one message, all its answers together. \"0s\": 30 seconds."`
	MaxSessions int           `toml:"max_sessions" max:"10000" example:"200" doc:"Sessions with it at one time, of all listeners together, of which the clients of one network a quarter; beyond, a message waits for ten seconds and is then put off. 0: 200."`
	OnFailure   OnFailure     `toml:"on_failure" oneof:"accept junk defer reject" example:"defer" doc:"What becomes of a message when it cannot be reached, is silent, or does what the protocol does not allow: \"accept\" does without, \"junk\" has mail of other servers put into Junk, \"defer\" lets its sender try again later, \"reject\" refuses it. Empty: \"defer\"."`
	Quarantine  Quarantine    `toml:"quarantine" oneof:"junk hold" example:"junk" doc:"What becomes of a message of another server that it wants put aside: \"junk\" puts it into Junk, \"hold\" holds it in the queue until you release or drop it. Mail of accounts is always held. Empty: \"junk\"."`
}

// MailOf is whose mail a milter is asked about.
type MailOf string

// The values of MailOf.
const (
	OfServers  MailOf = "mx"
	OfAccounts MailOf = "submission"
)

// Quarantine is what becomes of mail that a milter wants put aside.
type Quarantine string

// The values of Quarantine.
const (
	QuarantineJunk Quarantine = "junk"
	QuarantineHold Quarantine = "hold"
)

const (
	// maxMilters is how many may be asked about one message, and maxMilterTime for how long together: all of
	// it can pass at MAIL, where a client waits for five minutes (RFC 5321 §4.5.3.2.2).
	maxMilters    = 10
	maxMilterTime = 4 * time.Minute
	milterTimeout = 30 * time.Second
)

// AskedAbout reports whether the milter is asked about such mail.
func (m Milter) AskedAbout(of MailOf) bool {
	return slices.Contains(m.For, of) || len(m.For) == 0 && of == OfServers
}

// Wait is for how long a milter is waited for.
func (m Milter) Wait() time.Duration { return cmp.Or(m.Timeout, milterTimeout) }

// Sessions is how many there may be at one time.
func (m Milter) Sessions() int { return cmp.Or(m.MaxSessions, 200) }

// Endpoint parses Address.
func (m Milter) Endpoint() (Endpoint, error) {
	if path, ok := strings.CutPrefix(m.Address, "unix:"); ok && strings.HasPrefix(path, "/") {
		return Endpoint{"unix", path}, nil
	}
	host, port, err := net.SplitHostPort(m.Address)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 || host == "" || strings.ContainsAny(host, "/@ ") {
		return Endpoint{}, fmt.Errorf("%q is neither \"unix:/path\" nor a host with a port, like \"127.0.0.1:8891\"", m.Address)
	}
	return Endpoint{"tcp", m.Address}, nil
}

func (c *Config) validateMilters(d *decoder) {
	if n := len(c.Milters); n > maxMilters {
		d.fault("milter", "%d milters, %d are allowed", n, maxMilters)
	}
	name := regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	var wait time.Duration
	for i, m := range c.Milters {
		key := fmt.Sprintf("milter[%d]", i)
		if _, err := m.Endpoint(); err != nil && m.Address != "" {
			d.fault(key+".address", "%v", err)
		}
		switch {
		case m.Name == "": // its absence is told
		case !name.MatchString(m.Name) || m.Name == "rspamd":
			d.fault(key+".name", "%q is no name: up to 32 small letters, digits and hyphens, and not \"rspamd\"", m.Name)
		case slices.ContainsFunc(c.Milters[:i], func(o Milter) bool { return o.Name == m.Name }):
			d.fault(key+".name", "%q is another milter's name", m.Name)
		}
		if m.OnFailure == JunkOnFailure && m.AskedAbout(OfAccounts) {
			d.fault(key+".on_failure", "mail of accounts cannot go into Junk: \"accept\", \"defer\" or \"reject\", or a table of its own for \"submission\"")
		}
		wait += m.Wait()
	}
	if wait > maxMilterTime {
		d.fault("milter", "their timeouts are %s together, %s are allowed: clients give up after five minutes", FormatDuration(wait), FormatDuration(maxMilterTime))
	}
}
