package dmarc

import (
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/foreign"
)

// Policy is a domain owner assessment policy (RFC 9989 §4.7, tag p).
type Policy string

// The policies.
const (
	PolicyNone       Policy = "none"
	PolicyQuarantine Policy = "quarantine"
	PolicyReject     Policy = "reject"
)

// milder is the policy of test mode: one level below (RFC 9989 §4.7, tag t).
func (p Policy) milder() Policy {
	if p == PolicyReject {
		return PolicyQuarantine
	}
	return PolicyNone
}

// PSD says whether a record's domain is a public suffix (tag psd).
type PSD byte

// The values of psd.
const (
	PSDUnknown PSD = 'u'
	PSDYes     PSD = 'y'
	PSDNo      PSD = 'n'
)

// Record is a DMARC policy record.
type Record struct {
	Text string
	// Policy holds for the record's domain, Subdomains and NonExistent for those
	// below it; the latter two are "" where the record has none.
	Policy, Subdomains, NonExistent Policy
	// Usable: the record has a valid policy, or a report address, which makes up
	// for a faulty one as "none" (RFC 9989 §4.10.1). Otherwise DMARC does not apply.
	Usable     bool
	PSD        PSD
	Testing    bool // t=y
	StrictDKIM bool
	StrictSPF  bool
	RUA        []string // addresses for aggregate reports, as URIs without a size limit
	RUF        []string
	// MaxSize is how many octets a report to an address may have, where the record says so
	// (RFC 7489 §6.2, in RFC 9989 obsolete).
	MaxSize  map[string]int64
	Failure  string        // fo
	Interval time.Duration // ri of RFC 7489; 0: not given
	Problems []string      // faults that were passed over (RFC 9989 §4.8)
}

// ErrNoRecord is text that is no DMARC record.
var ErrNoRecord = errors.New("it does not begin with v=DMARC1")

const maxURIs = 20

// Parse parses a record. Unknown tags and faulty values are passed over (RFC
// 9989 §4.8) and noted; the only error is ErrNoRecord.
func Parse(text string) (*Record, error) {
	first, rest, _ := strings.Cut(text, ";")
	name, value, ok := cutTag(first)
	if !ok || !strings.EqualFold(name, "v") || value != "DMARC1" {
		return nil, ErrNoRecord
	}
	r := &Record{Text: text, PSD: PSDUnknown, Failure: "0"}
	seen := map[string]bool{"v": true}
	bad := map[string]bool{}
	for part := range strings.SplitSeq(rest, ";") {
		if strings.Trim(part, " \t") == "" {
			continue
		}
		name, value, ok := cutTag(part)
		name = strings.ToLower(name)
		switch {
		case !ok:
			r.note("a part without an equals sign")
		case seen[name]:
			r.note(name + " stands twice")
		default:
			seen[name] = true
			if !r.set(name, value) {
				bad[name] = true
				r.note(name + " has a value that is none")
			}
		}
	}
	r.Usable = r.Policy != "" && !bad["sp"] && !bad["np"]
	if !r.Usable && len(r.RUA) > 0 {
		r.Policy, r.Subdomains, r.NonExistent, r.Usable = PolicyNone, "", "", true
	}
	return r, nil
}

func (r *Record) note(s string) {
	if len(r.Problems) < 10 {
		r.Problems = append(r.Problems, foreign.Clip(s, 100))
	}
}

// cutTag splits name=value; both may have blanks around them.
func cutTag(s string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(s, "=")
	name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
	if name == "" {
		return "", "", false
	}
	for i := range len(name) {
		if c := name[i] | 0x20; c < 'a' || c > 'z' {
			return "", "", false
		}
	}
	return name, value, ok
}

// set takes a known tag; false for a value that is none.
func (r *Record) set(name, value string) bool {
	word := strings.ToLower(value)
	switch name {
	case "p":
		return setPolicy(&r.Policy, word)
	case "sp":
		return setPolicy(&r.Subdomains, word)
	case "np":
		return setPolicy(&r.NonExistent, word)
	case "adkim":
		return setFlag(&r.StrictDKIM, word, "s", "r")
	case "aspf":
		return setFlag(&r.StrictSPF, word, "s", "r")
	case "t":
		return setFlag(&r.Testing, word, "y", "n")
	case "psd":
		if word != "y" && word != "n" && word != "u" {
			return false
		}
		r.PSD = PSD(word[0])
	case "rua":
		return r.setURIs(&r.RUA, value)
	case "ruf":
		return r.setURIs(&r.RUF, value)
	case "fo":
		if !failureOptions(word) {
			return false
		}
		r.Failure = word
	case "ri":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return false
		}
		r.Interval = time.Duration(n) * time.Second
	case "pct":
		n, err := strconv.ParseUint(value, 10, 8)
		return err == nil && n <= 100
	}
	return true
}

func setPolicy(into *Policy, word string) bool {
	switch p := Policy(word); p {
	case PolicyNone, PolicyQuarantine, PolicyReject:
		*into = p
		return true
	}
	return false
}

func setFlag(into *bool, word, yes, no string) bool {
	*into = word == yes
	return word == yes || word == no
}

// failureOptions is dmarc-fo of RFC 9989 §4.8: each option once, 0 and 1 not both.
func failureOptions(s string) bool {
	seen := ""
	for o := range strings.SplitSeq(s, ":") {
		o = strings.Trim(o, " \t")
		if len(o) != 1 || !strings.Contains("01ds", o) || strings.Contains(seen, o) {
			return false
		}
		seen += o
	}
	return !strings.Contains(seen, "0") || !strings.Contains(seen, "1")
}

// setURIs reads a list of report addresses; one that cannot be used is passed
// over. False if none is left.
func (r *Record) setURIs(into *[]string, list string) bool {
	for s := range strings.SplitSeq(list, ",") {
		s = strings.Trim(s, " \t")
		s, size, _ := strings.Cut(s, "!")
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" || u.Opaque == "" && u.Host == "" {
			r.note("an address that is no URI")
			continue
		}
		if len(*into) == maxURIs {
			r.note("more addresses than are read")
			break
		}
		*into = append(*into, s)
		if n, ok := reportSize(size); ok {
			if r.MaxSize == nil {
				r.MaxSize = map[string]int64{}
			}
			r.MaxSize[s] = n
		} else if size != "" {
			r.note("a size limit that is none")
		}
	}
	return len(*into) > 0
}

// reportSize reads obs-dmarc-report-size: a number, and k, m, g or t for powers of 1024.
func reportSize(s string) (octets int64, ok bool) {
	digits := strings.TrimRight(s, "kmgtKMGT")
	unit := strings.ToLower(s[len(digits):])
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || len(unit) > 1 {
		return 0, false
	}
	if unit != "" {
		shift := 10 * (strings.Index("kmgt", unit) + 1)
		if n > math.MaxInt64>>shift {
			return math.MaxInt64, true
		}
		n <<= shift
	}
	return n, true
}
