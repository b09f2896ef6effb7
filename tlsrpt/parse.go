package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Limits bound what Parse takes in. A zero field is its default.
type Limits struct {
	Input    int64 // octets read, before unpacking; 1 MiB
	Size     int64 // octets of JSON after unpacking; 10 MiB
	Depth    int   // nesting of the JSON; 32
	Policies int   // 1,000
	Details  int   // over all policies; 20,000
	Text     int   // octets of one string; 4096
}

// maxCount is the largest session count that is believed.
const maxCount = 1_000_000_000_000

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	if l.Input <= 0 {
		l.Input = 1 << 20
	}
	if l.Size <= 0 {
		l.Size = 10 << 20
	}
	def(&l.Depth, 32)
	def(&l.Policies, 1000)
	def(&l.Details, 20_000)
	def(&l.Text, 4096)
	return l
}

// ErrTooLarge: the report is larger than the limits, packed or unpacked.
var ErrTooLarge = errors.New("TLS report too large")

// Parse reads a report, JSON or gzip of JSON (told by its first octets). It
// takes the deviations that are really sent (RPT-16): null or missing
// contact-info, empty addresses, times without zone, mx-host and policy-string
// as a string or an array, an array packed into one string, unknown policy and
// result types. It refuses wrong types, negative or absurd counts, a missing
// report-id, range, policy or policy-domain, and what exceeds the limits.
// Whether the counts add up is Check's to say.
func Parse(r io.Reader, limits Limits) (*Report, error) {
	limits = limits.withDefaults()
	data, err := readAll(r, limits.Input)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("TLS report: bad gzip: %w", err)
		}
		if data, err = readAll(z, limits.Size); err != nil {
			return nil, err
		}
	}
	if int64(len(data)) > limits.Size {
		return nil, ErrTooLarge
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if err := checkShape(data, limits); err != nil {
		return nil, err
	}
	var w wireReport
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("TLS report: %w", err)
	}
	return w.report(limits)
}

func readAll(r io.Reader, max int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, fmt.Errorf("TLS report: %w", err)
	}
	if int64(len(data)) > max {
		return nil, ErrTooLarge
	}
	return data, nil
}

// checkShape bounds nesting and number of elements before the decoder sees the
// text: three octets of "{}," would cost it more than a hundred of memory.
func checkShape(data []byte, limits Limits) error {
	depth, elements, inString := 0, 0, false
	most := 10*limits.Details + 50*limits.Policies
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limits.Depth {
				return fmt.Errorf("TLS report: nested deeper than %d", limits.Depth)
			}
		case c == '}' || c == ']':
			depth--
		case c == ',':
			if elements++; elements > most {
				return fmt.Errorf("TLS report: more than %d elements", most)
			}
		}
	}
	return nil
}

// strlist is an array of strings that also reads a single string or null.
type strlist []string

func (l *strlist) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*l = strlist{s}
		return nil
	}
	var ss []string
	if err := json.Unmarshal(b, &ss); err != nil {
		return fmt.Errorf("policy-string or mx-host is neither a string nor an array of strings: %w", err)
	}
	*l = ss
	return nil
}

// unpack opens the array that Microsoft packs into the one string of an array.
func (l strlist) unpack() []string {
	if len(l) != 1 || !strings.HasPrefix(l[0], "[") {
		return l
	}
	var inner []string
	if json.Unmarshal([]byte(l[0]), &inner) != nil {
		return l
	}
	return inner
}

func (w *wireReport) report(limits Limits) (*Report, error) {
	begin, err := parseTime("start-datetime", w.Range.Start)
	if err != nil {
		return nil, err
	}
	end, err := parseTime("end-datetime", w.Range.End)
	if err != nil {
		return nil, err
	}
	switch {
	case end.Before(begin):
		return nil, fmt.Errorf("TLS report: it ends (%s) before it begins (%s)", w.Range.End, w.Range.Start)
	case w.ID == "":
		return nil, errors.New("TLS report: no report-id")
	case len(w.Policies) == 0:
		return nil, errors.New("TLS report: no policies")
	case len(w.Policies) > limits.Policies:
		return nil, fmt.Errorf("TLS report: more than %d policies", limits.Policies)
	}
	r := &Report{Organization: w.Organization, Begin: begin, End: end, Contact: w.Contact, ID: w.ID}
	if err := checkText(limits.Text, r.Organization, r.Contact, r.ID); err != nil {
		return nil, err
	}
	details := 0
	for i := range w.Policies {
		p, err := w.Policies[i].result(limits)
		if err != nil {
			return nil, fmt.Errorf("TLS report, policy %d: %w", i+1, err)
		}
		if details += len(p.Details); details > limits.Details {
			return nil, fmt.Errorf("TLS report: more than %d failure details", limits.Details)
		}
		r.Policies = append(r.Policies, p)
	}
	return r, nil
}

func (w *wireResult) result(limits Limits) (PolicyResult, error) {
	p := PolicyResult{
		Type: PolicyType(w.Policy.Type), Strings: w.Policy.Strings.unpack(), Domain: w.Policy.Domain,
		MXHost: w.Policy.MXHost.unpack(), Success: w.Summary.Success, Failed: w.Summary.Failed,
	}
	if p.Domain == "" {
		return p, errors.New("no policy-domain")
	}
	if err := checkCounts(p.Success, p.Failed); err != nil {
		return p, err
	}
	texts := append([]string{string(p.Type), p.Domain}, p.Strings...)
	if err := checkText(limits.Text, append(texts, p.MXHost...)...); err != nil {
		return p, err
	}
	for _, d := range w.Details {
		if err := checkCounts(d.Sessions); err != nil {
			return p, err
		}
		if err := checkText(limits.Text, d.Type, d.SendingIP, d.MXHostname, d.HELO, d.ReceivingIP, d.Info, d.Reason); err != nil {
			return p, err
		}
		p.Details = append(p.Details, FailureDetail{
			Type: ResultType(d.Type), SendingIP: d.SendingIP, MXHostname: d.MXHostname, HELO: d.HELO,
			ReceivingIP: d.ReceivingIP, Sessions: d.Sessions, Info: d.Info, Reason: d.Reason,
		})
	}
	return p, nil
}

func checkCounts(counts ...int64) error {
	for _, n := range counts {
		if n < 0 || n > maxCount {
			return fmt.Errorf("absurd session count %d", n)
		}
	}
	return nil
}

func checkText(max int, texts ...string) error {
	for _, t := range texts {
		if len(t) > max {
			return fmt.Errorf("a text is longer than %d octets", max)
		}
	}
	return nil
}

// parseTime reads RFC 3339, and the same without zone, which is taken as UTC.
func parseTime(name, s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02"} {
		t, err := time.Parse(layout, s)
		if err == nil && t.Year() >= 1990 && t.Year() < 2200 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("TLS report: %s %q is not a time", name, clip(s))
}
