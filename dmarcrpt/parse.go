package dmarcrpt

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"waxwing/internal/foreign"
)

// The bounds of a report.
const (
	maxRecords  = 50_000
	maxResults  = 100 // of one record (RFC 9990 §3.1.3)
	maxElements = 30 * maxRecords
	maxDepth    = 32
	maxText     = 1000     // octets of one text
	maxGap      = 64 << 10 // octets without a <: the decoder holds them whole
	maxNotes    = 20
)

// Parse reads the XML of a report.
func Parse(r io.Reader) (*Report, error) {
	d := xml.NewDecoder(&guard{r: r})
	d.Strict = false
	d.CharsetReader = latin
	p := &parser{d: d, out: &Report{}}
	if err := p.run(); err != nil {
		return nil, fmt.Errorf("DMARC report: %w", err)
	}
	return p.out, p.check()
}

// latin reads what declares a charset; all that is ASCII reads the same.
func latin(charset string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(charset) {
	case "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "windows-1252":
		return in, nil // guard has replaced what is not UTF-8
	}
	return nil, fmt.Errorf("unknown charset %q", foreign.Clip(charset, 60))
}

// parser goes through a document token by token.
type parser struct {
	d     *xml.Decoder
	out   *Report
	path  []string // local names below feedback
	text  strings.Builder
	rec   *Record // being read
	bad   string  // why rec cannot be used
	dates [2]bool // begin and end were read
}

func (p *parser) run() error {
	root, depth, elements := false, 0, 0
	for {
		t, err := p.d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			depth, elements = depth+1, elements+1
			if depth > maxDepth || elements > maxElements {
				return errors.New("more elements than any report has, or nested too deeply")
			}
			if !root {
				root = t.Name.Local == "feedback"
				continue
			}
			p.start(t.Name.Local)
		case xml.EndElement:
			depth--
			if len(p.path) == 0 {
				if root {
					return nil // whatever stands behind the report is ignored
				}
				continue
			}
			if err := p.end(); err != nil {
				return err
			}
		case xml.CharData:
			if n := maxText - p.text.Len(); n > 0 {
				p.text.Write(t[:min(len(t), n)])
			}
		}
	}
	if !root {
		return errors.New("no element feedback")
	}
	return io.ErrUnexpectedEOF
}

func (p *parser) start(name string) {
	p.path = append(p.path, name)
	p.text.Reset()
	if p.path[0] == "record" && p.rec == nil {
		p.rec, p.bad = &Record{}, ""
	}
	if p.rec == nil {
		return
	}
	switch r := p.rec; strings.Join(p.path, "/") {
	case "record/row/policy_evaluated/reason":
		r.Reasons = bounded(r.Reasons)
	case "record/auth_results/dkim":
		r.DKIMResults = bounded(r.DKIMResults)
	case "record/auth_results/spf":
		r.SPFResults = bounded(r.SPFResults)
	}
}

// bounded adds an entry, or begins the last one anew.
func bounded[T any](list []T) []T {
	var zero T
	if len(list) == maxResults {
		list[len(list)-1] = zero
		return list
	}
	return append(list, zero)
}

func (p *parser) end() error {
	path := strings.Join(p.path, "/")
	p.path = p.path[:len(p.path)-1]
	text := strings.TrimSpace(foreign.Line(p.text.String()))
	p.text.Reset()
	if path == "record" {
		return p.endRecord()
	}
	if rest, ok := strings.CutPrefix(path, "record/"); ok {
		p.record(rest, text)
		return nil
	}
	return p.top(path, text)
}

func (p *parser) endRecord() error {
	r := p.rec
	p.rec = nil
	if p.bad == "" && !r.SourceIP.IsValid() {
		p.bad = "it has no source_ip"
	}
	if p.bad != "" {
		p.note("a record was left out: " + p.bad)
		return nil
	}
	if len(p.out.Records) == maxRecords {
		return fmt.Errorf("more than %d records", maxRecords)
	}
	// An empty reason or result, as some write, says nothing.
	r.Reasons = drop(r.Reasons, func(v Reason) bool { return v == Reason{} })
	r.DKIMResults = drop(r.DKIMResults, func(v DKIMResult) bool { return v == DKIMResult{} })
	r.SPFResults = drop(r.SPFResults, func(v SPFResult) bool { return v == SPFResult{} })
	p.out.Records = append(p.out.Records, *r)
	return nil
}

func drop[T any](list []T, empty func(T) bool) []T {
	var out []T
	for _, v := range list {
		if !empty(v) {
			out = append(out, v)
		}
	}
	return out
}

func (p *parser) note(s string) {
	if len(p.out.Notes) < maxNotes {
		p.out.Notes = append(p.out.Notes, s)
	}
}

// top takes a value outside the records.
func (p *parser) top(path, text string) error {
	r := p.out
	into := map[string]*string{
		"version": &r.Version, "report_metadata/org_name": &r.Org, "report_metadata/email": &r.Email,
		"report_metadata/extra_contact_info": &r.ExtraContact, "report_metadata/report_id": &r.ID, "report_metadata/generator": &r.Generator,
		"policy_published/domain": &r.Policy.Domain, "policy_published/p": &r.Policy.P, "policy_published/sp": &r.Policy.SP,
		"policy_published/np": &r.Policy.NP, "policy_published/adkim": &r.Policy.ADKIM, "policy_published/aspf": &r.Policy.ASPF,
		"policy_published/fo": &r.Policy.FO, "policy_published/testing": &r.Policy.Testing, "policy_published/pct": &r.Policy.Percent,
		"policy_published/discovery_method": &r.Policy.DiscoveryMethod,
	}[path]
	switch {
	case into != nil:
		if strings.HasPrefix(path, "policy_published/") {
			text = strings.ToLower(text)
		}
		*into = text
	case path == "report_metadata/error" && text != "" && len(r.Errors) < maxNotes:
		r.Errors = append(r.Errors, text)
	case path == "report_metadata/date_range/begin":
		return p.date(&r.Begin, 0, text)
	case path == "report_metadata/date_range/end":
		return p.date(&r.End, 1, text)
	}
	return nil
}

// date reads seconds since 1970; some write them with a fraction.
func (p *parser) date(into *time.Time, which int, text string) error {
	whole, _, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return fmt.Errorf("%q is no time in seconds", foreign.Clip(text, 60))
	}
	*into, p.dates[which] = time.Unix(n, 0).UTC(), true
	return nil
}

// record takes a value of the record that is being read.
func (p *parser) record(path, text string) {
	r := p.rec
	if into := field(r, path); into != nil {
		if path != "row/policy_evaluated/reason/comment" && !strings.HasSuffix(path, "/human_result") && !strings.HasSuffix(path, "/selector") {
			text = strings.ToLower(text)
		}
		*into = text
		return
	}
	switch path {
	case "row/source_ip":
		a, err := netip.ParseAddr(text)
		if err != nil {
			p.bad = fmt.Sprintf("%q is no address", foreign.Clip(text, 60))
			return
		}
		r.SourceIP = a.Unmap().WithZone("")
	case "row/count":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n > 1<<40 {
			p.bad = fmt.Sprintf("%q is no count", foreign.Clip(text, 60))
			return
		}
		r.Count = n
	}
}

// field is where a text of a record goes; nil for what has another type or is unknown.
func field(r *Record, path string) *string {
	switch path {
	case "row/policy_evaluated/disposition":
		return &r.Disposition
	case "row/policy_evaluated/dkim":
		return &r.DKIM
	case "row/policy_evaluated/spf":
		return &r.SPF
	case "identifiers/header_from":
		return &r.HeaderFrom
	case "identifiers/envelope_from":
		return &r.EnvelopeFrom
	case "identifiers/envelope_to":
		return &r.EnvelopeTo
	}
	head, last, _ := cutLast(path)
	switch head {
	case "row/policy_evaluated/reason":
		v := &r.Reasons[len(r.Reasons)-1]
		return map[string]*string{"type": &v.Type, "comment": &v.Comment}[last]
	case "auth_results/dkim":
		v := &r.DKIMResults[len(r.DKIMResults)-1]
		return map[string]*string{"domain": &v.Domain, "selector": &v.Selector, "result": &v.Result, "human_result": &v.Human}[last]
	case "auth_results/spf":
		v := &r.SPFResults[len(r.SPFResults)-1]
		return map[string]*string{"domain": &v.Domain, "scope": &v.Scope, "result": &v.Result, "human_result": &v.Human}[last]
	}
	return nil
}

func cutLast(path string) (head, last string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// check refuses what cannot be used as a whole.
func (p *parser) check() error {
	r := p.out
	switch {
	case r.Policy.Domain == "":
		return errors.New("DMARC report: no policy_published/domain")
	case r.ID == "":
		return errors.New("DMARC report: no report_id")
	case !p.dates[0] || !p.dates[1] || r.End.Before(r.Begin):
		return errors.New("DMARC report: no date_range, or one that ends before it begins")
	}
	return nil
}

// guard replaces octets that are not UTF-8, at which the decoder would stop, and
// ends a document with more text in one place than any report has.
type guard struct {
	r    io.Reader
	buf  [4096]byte
	rest []byte // ready to be read
	tail []byte // the beginning of a character
	gap  int    // octets since the last <
}

func (g *guard) Read(out []byte) (int, error) {
	for len(g.rest) == 0 {
		n, err := g.r.Read(g.buf[:])
		b := append(g.tail, g.buf[:n]...)
		g.tail = nil
		if err == nil {
			if k := partial(b); k > 0 {
				g.tail = append([]byte(nil), b[len(b)-k:]...)
				b = b[:len(b)-k]
			}
		}
		g.gap += len(b)
		if i := bytes.LastIndexByte(b, '<'); i >= 0 {
			g.gap = len(b) - i
		}
		if g.gap > maxGap {
			return 0, errors.New("a text longer than any report has")
		}
		g.rest = bytes.ToValidUTF8(b, []byte("\uFFFD"))
		if err != nil && len(g.rest) == 0 {
			return 0, err
		}
	}
	n := copy(out, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// partial is how many octets at the end of b may begin a character.
func partial(b []byte) int {
	for k := 1; k <= min(3, len(b)); k++ {
		if c := b[len(b)-k]; utf8.RuneStart(c) {
			if c >= 0xC0 && !utf8.FullRune(b[len(b)-k:]) {
				return k
			}
			return 0
		}
	}
	return 0
}
