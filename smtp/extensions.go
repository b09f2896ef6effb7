package smtp

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Extensions is what a server offers in its EHLO reply, or is set to offer.
// The zero value is plain SMTP.
type Extensions struct {
	Size                bool  // SIZE (RFC 1870)
	MaxSize             int64 // its limit in octets; 0: none stated
	EightBitMIME        bool
	SMTPUTF8            bool
	Pipelining          bool
	StartTLS            bool
	EnhancedStatusCodes bool
	RequireTLS          bool
	DSN                 bool
	Chunking            bool
	BinaryMIME          bool
	Auth                []string      // SASL mechanisms, upper case
	FutureRelease       bool          // FUTURERELEASE (RFC 4865), submission only
	MaxHold             time.Duration // its limit from now on
	MaxHoldUntil        time.Time     // its limit as a time; both are needed
	Limits              Limits
}

// Limits are the values of the LIMITS extension (RFC 9422); 0 is not stated.
type Limits struct {
	MailMax       int // messages in one connection
	RcptMax       int // recipients in one transaction
	RcptDomainMax int // recipient domains in one transaction
}

// maxMechanisms bounds what is kept of an AUTH line.
const maxMechanisms = 50

// ParseExtensions reads the lines of an EHLO reply after the first. Keywords
// compare without regard to case (SES-2); what is unknown or malformed is
// passed over, as if it were not offered.
func ParseExtensions(lines []string) Extensions {
	var e Extensions
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		word, args := strings.ToUpper(f[0]), f[1:]
		// The old form "AUTH=LOGIN" of some servers stands beside the right one.
		if rest, ok := strings.CutPrefix(word, "AUTH="); ok {
			word, args = "AUTH", append([]string{rest}, args...)
		}
		e.add(word, args)
	}
	return e
}

func (e *Extensions) add(word string, args []string) {
	switch word {
	case "SIZE":
		e.addSize(args)
	case "8BITMIME":
		e.EightBitMIME = true
	case "SMTPUTF8":
		e.SMTPUTF8 = true
	case "PIPELINING":
		e.Pipelining = true
	case "STARTTLS":
		e.StartTLS = true
	case "ENHANCEDSTATUSCODES":
		e.EnhancedStatusCodes = true
	case "REQUIRETLS":
		e.RequireTLS = true
	case "DSN":
		e.DSN = true
	case "CHUNKING":
		e.Chunking = true
	case "BINARYMIME":
		e.BinaryMIME = true
	case "FUTURERELEASE":
		e.addFutureRelease(args)
	case "AUTH":
		e.addAuth(args)
	case "LIMITS":
		e.addLimits(args)
	}
}

func (e *Extensions) addSize(args []string) {
	e.Size = true
	if len(args) == 0 {
		return
	}
	if n, err := strconv.ParseInt(args[0], 10, 64); err == nil && n > 0 {
		e.MaxSize = n
	}
}

// addFutureRelease reads both limits, which RFC 4865 §3 requires.
func (e *Extensions) addFutureRelease(args []string) {
	if len(args) < 2 {
		return
	}
	d, ok := holdSeconds(args[0])
	until, err := time.Parse(time.RFC3339, strings.ToUpper(args[1]))
	if ok && err == nil {
		e.FutureRelease, e.MaxHold, e.MaxHoldUntil = true, d, until
	}
}

// holdSeconds reads a future-release-integer: 1 to 999999999 seconds (RFC 4865 §3).
func holdSeconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || len(s) > 9 || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

func (e *Extensions) addAuth(args []string) {
	for _, a := range args {
		a = strings.ToUpper(a)
		if a != "" && len(e.Auth) < maxMechanisms && !slices.Contains(e.Auth, a) {
			e.Auth = append(e.Auth, a)
		}
	}
}

func (e *Extensions) addLimits(args []string) {
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		// RFC 9422 §4: a limit is 1 to 999999; anything else is not a limit.
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 999999 {
			continue
		}
		switch strings.ToUpper(name) {
		case "MAILMAX":
			e.Limits.MailMax = n
		case "RCPTMAX":
			e.Limits.RcptMax = n
		case "RCPTDOMAINMAX":
			e.Limits.RcptDomainMax = n
		}
	}
}

// Lines are the EHLO lines that offer e, in a fixed order, without the first
// line. ParseExtensions undoes it.
func (e Extensions) Lines() []string {
	var out []string
	add := func(on bool, line string) {
		if on {
			out = append(out, line)
		}
	}
	add(e.Pipelining, "PIPELINING")
	if e.Size {
		size := "SIZE"
		if e.MaxSize > 0 {
			size += " " + strconv.FormatInt(e.MaxSize, 10)
		}
		out = append(out, size)
	}
	add(e.StartTLS, "STARTTLS")
	add(len(e.Auth) > 0, "AUTH "+strings.Join(e.Auth, " "))
	add(e.RequireTLS, "REQUIRETLS")
	add(e.EnhancedStatusCodes, "ENHANCEDSTATUSCODES")
	add(e.EightBitMIME, "8BITMIME")
	add(e.SMTPUTF8, "SMTPUTF8")
	add(e.DSN, "DSN")
	add(e.Chunking, "CHUNKING")
	add(e.BinaryMIME, "BINARYMIME")
	add(e.FutureRelease, "FUTURERELEASE "+strconv.FormatInt(int64(e.MaxHold/time.Second), 10)+" "+e.MaxHoldUntil.UTC().Format(time.RFC3339))
	add(e.Limits != Limits{}, "LIMITS"+e.Limits.args())
	return out
}

func (l Limits) args() string {
	s := ""
	for _, v := range []struct {
		name string
		n    int
	}{{"MAILMAX", l.MailMax}, {"RCPTMAX", l.RcptMax}, {"RCPTDOMAINMAX", l.RcptDomainMax}} {
		if v.n > 0 {
			s += " " + v.name + "=" + strconv.Itoa(v.n)
		}
	}
	return s
}
