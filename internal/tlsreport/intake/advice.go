package intake

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/reason"
	"waxwing/tlsrpt"
)

// Advice is one thing that the reports of others tell an operator (RPT-19).
type Advice struct {
	Domain string `json:"domain"`
	Word   string `json:"word"`   // what, in one word
	Urgent bool   `json:"urgent"` // mail is or may be held up
	Text   string `json:"text"`
	Since  string `json:"since,omitempty"` // first day of the failures that go on
}

// The words of Advice.
const (
	AdviseEnforce     = "enforce"      // mode testing without failures
	AdvisePublish     = "publish"      // clean without any policy
	AdviseCertificate = "certificate"  // a host's certificate fails
	AdviseTLSA        = "tlsa"         // TLSA records and host do not agree
	AdviseDNSSEC      = "dnssec"       // signatures fail
	AdviseStartTLS    = "starttls"     // a host without STARTTLS
	AdviseTLS         = "tls"          // TLS with a host does not come about
	AdvisePolicy      = "policy"       // the MTA-STS policy cannot be had
	AdviseHeld        = "held-by-mode" // failures under enforce
)

const (
	testingDays      = 30 // days in mode testing after which enforce is advised
	testingReporters = 2  // distinct ones that must have seen it
	adviceWindow     = 3  // failures older than this many days are over
	maxAdvice        = 30 // causes told of one domain: reporters name what hosts they like
)

// Advise reads the lines of a digest on the UTC day today (YYYY-MM-DD) and
// says what to do. It is pure. Reports that came by HTTPS are left out: nobody
// vouches for them (RPT-15).
func Advise(lines []Line, today string) []Advice {
	now, err := time.Parse(time.DateOnly, today)
	if err != nil {
		return nil
	}
	byDomain := map[string][]Line{}
	var domains []string
	for _, l := range lines {
		if l.Source != "mail" {
			continue
		}
		if byDomain[l.Domain] == nil {
			domains = append(domains, l.Domain)
		}
		byDomain[l.Domain] = append(byDomain[l.Domain], l)
	}
	slices.Sort(domains)
	out := []Advice{}
	for _, d := range domains {
		v := view{domain: d, lines: byDomain[d], today: now}
		out = append(out, v.failures()...)
		if a, ok := v.clean(); ok {
			out = append(out, a)
		}
	}
	return out
}

// view is what is said of one domain.
type view struct {
	domain string
	lines  []Line
	today  time.Time
}

func (v view) daysAgo(day string) int {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return 1 << 20
	}
	return int(v.today.Sub(t) / (24 * time.Hour))
}

// cause is one cause of failures at one place. Causes that want different cures are
// told apart (SES-16).
type cause struct {
	word, host string
	typ        tlsrpt.ResultType
	reason     reason.Word // where the failure's reason begins with a word of ours
}

// trouble is a cause with the days it was seen on.
type trouble struct {
	cause
	days      []string
	reporters []string
}

// causeOf is what a failure comes from; its word is "" where it says too little.
func causeOf(p tlsrpt.PolicyType, f *Failure) cause {
	c := cause{typ: f.Type, host: f.MXHost}
	first, _, _ := strings.Cut(f.Reason, " ")
	if _, ok := reason.Of(reason.Word(first)); ok {
		c.reason = reason.Word(first)
	}
	switch c.word = word(p, f.Type); {
	case f.Type == tlsrpt.ValidationFailure && c.reason == reason.STSMXMismatch:
		c.word = AdvisePolicy
	case f.Type == tlsrpt.ValidationFailure && (strings.HasPrefix(first, "tls-") || strings.HasPrefix(first, "starttls-")) && c.reason != "":
		c.word = AdviseTLS
	case c.word == AdvisePolicy:
		c.host = ""
	}
	return c
}

// word is which advice a failure belongs to; "" where the type says too little.
func word(p tlsrpt.PolicyType, t tlsrpt.ResultType) string {
	switch t {
	case tlsrpt.CertificateExpired, tlsrpt.CertificateHostMismatch, tlsrpt.CertificateNotTrusted:
		return AdviseCertificate
	case tlsrpt.TLSAInvalid, tlsrpt.DANERequired:
		return AdviseTLSA
	case tlsrpt.DNSSECInvalid:
		return AdviseDNSSEC
	case tlsrpt.StartTLSNotSupported:
		return AdviseStartTLS
	case tlsrpt.STSPolicyFetchError, tlsrpt.STSPolicyInvalid, tlsrpt.STSWebPKIInvalid:
		return AdvisePolicy
	case tlsrpt.ValidationFailure:
		if p == tlsrpt.PolicyTLSA {
			return AdviseTLSA
		}
	}
	return ""
}

// failures says what is failing now, by kind and host.
func (v view) failures() []Advice {
	var all []*trouble
	held := &trouble{cause: cause{word: AdviseHeld}}
	for i := range v.lines {
		l := &v.lines[i]
		if holds(l) {
			held.seen(l)
		}
		for j := range l.Failures {
			c := causeOf(l.Policy, &l.Failures[j])
			if c.word == "" {
				continue
			}
			at := slices.IndexFunc(all, func(t *trouble) bool { return t.cause == c })
			if at < 0 {
				all = append(all, &trouble{cause: c})
				at = len(all) - 1
			}
			all[at].seen(l)
		}
	}
	if len(held.days) > 0 {
		all = append(all, held)
	}
	slices.SortFunc(all, func(a, b *trouble) int {
		return cmp.Or(cmp.Compare(a.word, b.word), cmp.Compare(a.host, b.host), cmp.Compare(a.typ, b.typ), cmp.Compare(a.reason, b.reason))
	})
	var out []Advice
	for _, t := range all {
		if since, ok := v.goingOn(t.days); ok && len(out) < maxAdvice {
			out = append(out, v.advice(t, since))
		}
	}
	return out
}

// holds reports that sessions of the line kept mail from their host: under mode
// enforce, for another reason than that the policy could not be had, which lets
// mail through under the policy known before, or without any.
func holds(l *Line) bool {
	if l.Failed == 0 || l.Mode != "enforce" {
		return false
	}
	kept := l.Failed
	for _, f := range l.Failures {
		switch f.Type {
		case tlsrpt.STSPolicyFetchError, tlsrpt.STSPolicyInvalid, tlsrpt.STSWebPKIInvalid:
			kept -= f.Sessions
		}
	}
	return kept > 0
}

func (t *trouble) seen(l *Line) {
	if !slices.Contains(t.days, l.Day) {
		t.days = append(t.days, l.Day)
	}
	if !slices.Contains(t.reporters, l.Reporter) {
		t.reporters = append(t.reporters, l.Reporter)
	}
}

// goingOn says since when a failure lasts, if it still does: its days reach back
// from the last few ones without a gap of more than a day.
func (v view) goingOn(days []string) (since string, ok bool) {
	slices.Sort(days)
	slices.Reverse(days)
	if len(days) == 0 || v.daysAgo(days[0]) > adviceWindow {
		return "", false
	}
	since = days[0]
	for _, d := range days[1:] {
		if v.daysAgo(d)-v.daysAgo(since) > 2 {
			break
		}
		since = d
	}
	return since, true
}

func (v view) advice(t *trouble, since string) Advice {
	a := Advice{Domain: v.domain, Word: t.word, Since: since}
	n := v.daysAgo(since)
	ago := "since today"
	switch {
	case n == 1:
		ago = "since yesterday"
	case n > 1:
		ago = fmt.Sprintf("since %d days", n)
	}
	host, begins := t.host, t.host // within a sentence, and at its beginning
	if host == "" {
		host, begins = "a host", "A host"
	}
	names := reason.Names{"domain": v.domain, "host": host, "begin": begins, "since": ago, "reporters": reporters(len(t.reporters)), "what": string(t.typ)}
	if t.reason != "" {
		names["what"] += ", " + string(t.reason)
	}
	names["meaning"], names["cure"] = t.typ.Advice(v.domain)
	tip := tips[t.word]
	switch t.word {
	case AdviseCertificate:
		if own := t.reason.Cure(); own != "" {
			names["cure"] = capital(own) + "."
		}
	case AdviseTLSA:
		if t.typ != tlsrpt.ValidationFailure {
			tip = reason.ReportedRecords
		}
	case AdviseTLS:
		own := reason.Advise(reason.Cause{Word: t.reason}, names)
		names["meaning"], names["cure"] = own.Meaning, capital(own.Cure)
	case AdvisePolicy:
		if t.reason == reason.STSMXMismatch {
			tip = reason.ReportedUnlisted
		}
	}
	a.Urgent = t.word == AdviseTLSA || t.word == AdviseDNSSEC || t.word == AdviseHeld
	a.Text = reason.Advise(reason.Cause{Tip: tip}, names).Cure
	return a
}

// tips are the texts of the words of Advice.
var tips = map[string]reason.Tip{
	AdviseCertificate: reason.ReportedCertificate, AdviseTLSA: reason.ReportedTLSA, AdviseDNSSEC: reason.ReportedDNSSEC, AdviseStartTLS: reason.ReportedStartTLS,
	AdviseTLS: reason.ReportedTLS, AdvisePolicy: reason.ReportedPolicy, AdviseHeld: reason.ReportedHeld,
	AdviseEnforce: reason.ReportedClean, AdvisePublish: reason.ReportedUnguarded,
}

func reporters(n int) string {
	if n == 1 {
		return "the reports of 1 sender"
	}
	return fmt.Sprintf("the reports of %d senders", n)
}

func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// clean advises the next step where 30 days went without any failure: enforce
// after mode testing, a policy where there is none.
func (v view) clean() (Advice, bool) {
	var who []string
	oldest, testing, policies := 0, false, false
	for i := range v.lines {
		l := &v.lines[i]
		ago := v.daysAgo(l.Day)
		if l.Failed > 0 && ago <= testingDays {
			return Advice{}, false
		}
		if ago > testingDays {
			oldest = max(oldest, testingDays)
			continue
		}
		oldest = max(oldest, ago)
		switch {
		case l.Policy == tlsrpt.PolicySTS && l.Mode == "testing":
			testing = true
		case l.Policy == tlsrpt.PolicySTS && ago <= adviceWindow:
			return Advice{}, false // enforce already, or none
		}
		policies = policies || l.Policy != tlsrpt.PolicyNone
		if l.OK > 0 && !slices.Contains(who, l.Reporter) {
			who = append(who, l.Reporter)
		}
	}
	if oldest < testingDays || len(who) < testingReporters {
		return Advice{}, false
	}
	word := AdvisePublish
	switch {
	case testing:
		word = AdviseEnforce
	case policies:
		return Advice{}, false
	}
	text := reason.Advise(reason.Cause{Tip: tips[word]}, reason.Names{"days": strconv.Itoa(testingDays), "reporters": reporters(len(who))}).Cure
	return Advice{Domain: v.domain, Word: word, Text: text}, true
}
