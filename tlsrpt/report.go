package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"waxwing/internal/foreign"
)

// Media types and file name of RFC 8460 §5.
const (
	MediaJSON = "application/tlsrpt+json"
	MediaGzip = "application/tlsrpt+gzip"
)

// Report is an aggregate report (RFC 8460 §4.4).
type Report struct {
	Organization string
	Begin, End   time.Time // both inside the range; a day ends at 23:59:59
	Contact      string    // an address; may be empty in what others send
	ID           string
	Policies     []PolicyResult
	// Notes say what of a report of somebody else's was left out, and why.
	Notes []string `json:",omitempty"`
}

// PolicyResult is what came of the sessions under one policy.
type PolicyResult struct {
	Type            PolicyType
	Strings         []string // policy-string
	Domain          string   // policy-domain
	MXHost          []string // mx-host: the patterns of an sts policy
	Success, Failed int64    // sessions
	Details         []FailureDetail
}

// FailureDetail is one kind of failure.
type FailureDetail struct {
	Type        ResultType
	SendingIP   string
	MXHostname  string
	HELO        string
	ReceivingIP string
	Sessions    int64
	Info        string // additional-information
	Reason      string // failure-reason-code
}

type wireReport struct {
	Organization string       `json:"organization-name"`
	Range        wireRange    `json:"date-range"`
	Contact      string       `json:"contact-info"`
	ID           string       `json:"report-id"`
	Policies     []wireResult `json:"policies"`
	Notes        []string     `json:"notes,omitempty"` // ours: RFC 8460 has no such member
}

type wireRange struct {
	Start string `json:"start-datetime"`
	End   string `json:"end-datetime"`
}

type wireResult struct {
	Policy  wirePolicy   `json:"policy"`
	Summary wireSummary  `json:"summary"`
	Details []wireDetail `json:"failure-details,omitempty"`
}

type wirePolicy struct {
	Type    string  `json:"policy-type"`
	Strings strlist `json:"policy-string,omitempty"`
	Domain  string  `json:"policy-domain"`
	MXHost  strlist `json:"mx-host,omitempty"`
}

type wireSummary struct {
	Success int64 `json:"total-successful-session-count"`
	Failed  int64 `json:"total-failure-session-count"`
}

type wireDetail struct {
	Type        string `json:"result-type"`
	SendingIP   string `json:"sending-mta-ip,omitempty"`
	MXHostname  string `json:"receiving-mx-hostname,omitempty"`
	HELO        string `json:"receiving-mx-helo,omitempty"`
	ReceivingIP string `json:"receiving-ip,omitempty"`
	Sessions    int64  `json:"failed-session-count"`
	Info        string `json:"additional-information,omitempty"`
	Reason      string `json:"failure-reason-code,omitempty"`
}

// Encode gives the report as JSON (I-JSON, indented). It fails if the report
// does not add up (Check), lacks its id or has no time range.
func (r *Report) Encode() ([]byte, error) {
	if r.ID == "" || r.Begin.IsZero() || !r.End.After(r.Begin) {
		return nil, fmt.Errorf("TLS report %q: id or time range missing", r.ID)
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	return r.JSON()
}

// JSON gives the report in the form of RFC 8460 §4.4 without checking it, for
// showing what others sent; with the notes, where there are any.
func (r *Report) JSON() ([]byte, error) {
	w := wireReport{
		Organization: valid(r.Organization), Contact: valid(r.Contact), ID: valid(r.ID),
		Range:    wireRange{r.Begin.UTC().Format(time.RFC3339), r.End.UTC().Format(time.RFC3339)},
		Policies: make([]wireResult, 0, len(r.Policies)), Notes: validAll(r.Notes),
	}
	for _, p := range r.Policies {
		w.Policies = append(w.Policies, p.wire())
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(w); err != nil {
		return nil, fmt.Errorf("TLS report %q: %w", r.ID, err)
	}
	return b.Bytes(), nil
}

func (p PolicyResult) wire() wireResult {
	w := wireResult{
		Policy:  wirePolicy{valid(string(p.Type)), validAll(p.Strings), valid(p.Domain), validAll(p.MXHost)},
		Summary: wireSummary{p.Success, p.Failed},
	}
	for _, d := range p.Details {
		w.Details = append(w.Details, wireDetail{
			Type: valid(string(d.Type)), SendingIP: valid(d.SendingIP), MXHostname: valid(d.MXHostname),
			HELO: valid(d.HELO), ReceivingIP: valid(d.ReceivingIP), Sessions: d.Sessions,
			Info: valid(d.Info), Reason: valid(d.Reason),
		})
	}
	return w
}

// valid keeps the JSON in UTF-8 (RFC 7493 §2.1), whatever a peer's HELO held.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func validAll(ss []string) strlist {
	out := make(strlist, len(ss))
	for i, s := range ss {
		out[i] = valid(s)
	}
	return out
}

// Check tells whether the report adds up: no negative count, a failed session
// has at least one detail, no detail counts more sessions than failed (counts of
// different details may overlap, RFC 8460 §4), and details stand only where
// sessions failed.
func (r *Report) Check() error {
	for i, p := range r.Policies {
		if err := p.check(); err != nil {
			return fmt.Errorf("TLS report %q, policy %d (%s %s): %w", foreign.Clip(r.ID, 80), i+1, foreign.Clip(string(p.Type), 80), foreign.Clip(p.Domain, 80), err)
		}
	}
	return nil
}

func (p PolicyResult) check() error {
	if p.Success < 0 || p.Failed < 0 {
		return fmt.Errorf("negative session count")
	}
	var sum int64
	for _, d := range p.Details {
		if d.Sessions < 1 || d.Sessions > p.Failed {
			return fmt.Errorf("a detail (%s) counts %d sessions of %d failed", foreign.Clip(string(d.Type), 80), d.Sessions, p.Failed)
		}
		sum = min(sum+d.Sessions, p.Failed) // else it could overflow
	}
	if sum < p.Failed {
		return fmt.Errorf("%d sessions failed, the details explain %d", p.Failed, sum)
	}
	return nil
}

// Totals are the sessions over all policies. A session that was held to two
// policies counts in both.
func (r *Report) Totals() (success, failed int64) {
	for _, p := range r.Policies {
		success += p.Success
		failed += p.Failed
	}
	return success, failed
}

// Filename is the report's file name (RFC 8460 §5.1), for a gzip file. Unique
// may be empty; what is neither letter nor digit is left out of it. Domains are
// given as A-labels.
func Filename(submitter, policyDomain string, begin, end time.Time, unique string) string {
	parts := []string{fileDomain(submitter), fileDomain(policyDomain),
		strconv.FormatInt(begin.Unix(), 10), strconv.FormatInt(end.Unix(), 10)}
	if u := keep(unique, alnum); u != "" {
		parts = append(parts, u)
	}
	return strings.Join(parts, "!") + ".json.gz"
}

func fileDomain(s string) string {
	return keep(strings.ToLower(s), func(c byte) bool { return alnum(c) || c == '.' || c == '-' || c == '_' })
}

func keep(s string, ok func(byte) bool) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if ok(s[i]) {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// packers are kept: a new one costs more than a small report.
var packers = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}

// Compress gives data as a gzip file. The same data gives the same file.
func Compress(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w := packers.Get().(*gzip.Writer)
	defer packers.Put(w)
	w.Reset(&b)
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("compress the TLS report: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress the TLS report: %w", err)
	}
	return b.Bytes(), nil
}
