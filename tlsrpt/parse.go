package tlsrpt

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"waxwing/internal/foreign"
)

// Limits bound what Parse takes in. A zero field is its default.
type Limits struct {
	Input    int64 // octets read, before unpacking; 1 MiB
	Size     int64 // octets of JSON after unpacking; 10 MiB
	Depth    int   // nesting of the JSON; 32
	Policies int   // 1,000
	Details  int   // over all policies; 20,000
	Text     int   // octets of one string; 4096
	// Own: the report was stored by this program, and its notes are believed.
	Own bool
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

// Stored reads a report that this program stored.
func Stored(file []byte) (*Report, error) {
	return Parse(bytes.NewReader(file), Limits{Input: 64 << 20, Size: 256 << 20, Policies: 100_000, Details: 10_000_000, Own: true})
}

// Parse reads a report, JSON or gzip of JSON (told by its first octets). It
// takes the deviations that are really sent (RPT-16): null or missing
// contact-info, empty addresses, times that are nearly those of RFC 3339, mx-host and
// policy-string as a string or an array, an array packed into one string, unknown
// policy and result types, octets behind the end.
//
// The fault of one policy or of one failure detail costs that one (RPT-26): a missing
// policy-domain, a negative or absurd count, a wrong type. What was left out stands in
// Notes. A missing report-id or range, and what exceeds the limits, refuses the report.
// Whether the counts add up is Check's to say.
//
// The JSON is read as it comes: the whole of it is never held in memory.
func Parse(r io.Reader, limits Limits) (*Report, error) {
	report, _, err := parse(r, limits.withDefaults())
	return report, err
}

// parse also tells how many octets of JSON it read.
func parse(r io.Reader, limits Limits) (report *Report, size int64, err error) {
	text, err := unpack(&bounded{r: r, left: limits.Input}, limits.Size)
	if err != nil {
		return nil, 0, err
	}
	report, err = parseText(text, limits)
	return report, limits.Size - max(text.left, 0), err
}

func parseText(text io.Reader, limits Limits) (*Report, error) {
	shape := &shape{r: text, limits: limits}
	p := parser{limits: limits, dec: json.NewDecoder(shape)}
	p.dec.UseNumber() // what is skipped may hold any
	report, err := p.report(text)
	switch {
	case shape.err != nil:
		return nil, shape.err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("TLS report: it ends in the middle")
	case errors.Is(err, ErrTooLarge):
		return nil, ErrTooLarge
	case err != nil:
		return nil, fmt.Errorf("TLS report: %w", err)
	}
	return report, nil
}

// bounded fails with ErrTooLarge where more than left octets come.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(into []byte) (int, error) {
	n, err := b.r.Read(into[:min(int64(len(into)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// maxPackings is how often a report is unpacked: some pack what is packed.
const maxPackings = 2

// unpack undoes gzip where there is any, and takes a byte order mark away.
func unpack(r io.Reader, size int64) (*bounded, error) {
	in := bufio.NewReader(r)
	for range maxPackings {
		// An error comes again where the text is read.
		if magic, _ := in.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
			break
		}
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("TLS report: bad gzip: %w", err)
		}
		z.Multistream(false)
		in = bufio.NewReader(&bounded{r: &members{z: z, in: in}, left: size})
	}
	if mark, _ := in.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = in.Discard(len(mark)) // cannot fail: it was peeked at
	}
	return &bounded{r: in, left: size}, nil
}

// members reads the members of a gzip file (RFC 1952 §2.2). What stands behind the
// last one and is no member is nothing to the report.
type members struct {
	z  *gzip.Reader
	in *bufio.Reader // from which z reads, no further than its member
}

func (m *members) Read(into []byte) (int, error) {
	for {
		n, err := m.z.Read(into)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if magic, _ := m.in.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) || m.z.Reset(m.in) != nil {
			return n, io.EOF
		}
		m.z.Multistream(false)
		if n > 0 {
			return n, nil
		}
	}
}

// shape bounds nesting, number of elements and the length of each string and number before
// the decoder sees the text: three octets of "{}," would cost it more than a hundred of
// memory, and a string it holds several times. Of white space that one read brings in a row
// it passes on the first octet: the decoder goes through the white space before a token
// again with each read.
type shape struct {
	r      io.Reader
	limits Limits
	err    error

	depth, elements   int
	token             int // octets of the string or number so far
	inString, escaped bool
}

// maxToken is how many times Limits.Text a string or number may have: a policy-string that
// holds a whole policy, with its escapes, fits.
const maxToken = 64

func (s *shape) Read(into []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(into)
	passed, behindSpace := into[:0], false
	for _, c := range into[:n] {
		if s.err = s.see(c); s.err != nil {
			return 0, s.err
		}
		space := !s.inString && strings.ContainsRune(" \t\r\n", rune(c))
		if !space || !behindSpace {
			passed = append(passed, c)
		}
		behindSpace = space
	}
	return len(passed), err
}

func (s *shape) see(c byte) error {
	most := 10*s.limits.Details + 50*s.limits.Policies
	if s.token++; !s.inString && strings.ContainsRune(" \t\r\n:,{}[]", rune(c)) {
		s.token = 0
	}
	switch {
	case s.token > maxToken*s.limits.Text:
		return fmt.Errorf("TLS report: a string of %d octets and more", maxToken*s.limits.Text)
	case s.escaped:
		s.escaped = false
	case s.inString && c == '\\':
		s.escaped = true
	case c == '"':
		s.inString, s.token = !s.inString, 0
	case s.inString:
	case c == '{' || c == '[':
		if s.depth++; s.depth > s.limits.Depth {
			return fmt.Errorf("TLS report: nested deeper than %d", s.limits.Depth)
		}
	case c == '}' || c == ']':
		s.depth--
	case c == ',':
		if s.elements++; s.elements > most {
			return fmt.Errorf("TLS report: more than %d elements", most)
		}
	}
	return nil
}

// parser reads one report from a stream of JSON.
type parser struct {
	limits  Limits
	dec     *json.Decoder
	notes   []string
	left    int // notes beyond maxNotes
	details int
	seen    int // policies, usable or not
}

// What is told of entries that were left out: so many notes, of so many octets.
const (
	maxNotes = 20
	maxNote  = 200
)

func (p *parser) note(format string, args ...any) {
	if len(p.notes) == maxNotes {
		p.left++
		return
	}
	text := printable(fmt.Sprintf(format, args...))
	if len(text) > maxNote {
		text = valid(text[:maxNote]) + "…"
	}
	p.notes = append(p.notes, text)
}

// head is what stands beside the policies.
type head struct {
	organization, contact, id string
	dates                     wireRange
	notes                     []string
}

// report reads the report, and text, which it stands in, to its end.
func (p *parser) report(text io.Reader) (*Report, error) {
	if t, err := p.dec.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	var h head
	var policies []PolicyResult
	err := p.members(func(name string) (err error) {
		switch name {
		case "organization-name":
			return p.text(name, &h.organization)
		case "contact-info":
			return p.text(name, &h.contact)
		case "report-id":
			return p.value((*looseText)(&h.id))
		case "date-range":
			return p.value(&h.dates)
		case "policies":
			policies, err = p.policies(policies)
			return err
		case "notes":
			if p.limits.Own {
				return p.value(&h.notes)
			}
		}
		return p.skip()
	})
	if err != nil {
		return nil, err
	}
	r := &Report{Organization: h.organization, Contact: h.contact, ID: h.id, Policies: policies}
	if err := p.complete(r, &h); err != nil {
		return nil, err
	}
	if err := p.trailing(text); err != nil {
		return nil, err
	}
	r.Notes = append(h.notes, p.notes...)
	if p.left > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("and %d more faults", p.left))
	}
	return r, nil
}

// complete wants of a report what nobody can do without.
func (p *parser) complete(r *Report, h *head) (err error) {
	if r.Begin, err = parseTime("start-datetime", h.dates.Start); err != nil {
		return err
	}
	if r.End, err = parseTime("end-datetime", h.dates.End); err != nil {
		return err
	}
	switch {
	case r.End.Before(r.Begin):
		return fmt.Errorf("it ends (%s) before it begins (%s)", foreign.Clip(h.dates.End, 80), foreign.Clip(h.dates.Start, 80))
	case r.ID == "":
		return errors.New("no report-id")
	case p.seen == 0 && !p.limits.Own:
		return errors.New("no policies")
	}
	return checkText(p.limits.Text, r.Organization, r.Contact, r.ID)
}

// trailing notes what stands behind the report, which has no part in it.
func (p *parser) trailing(text io.Reader) error {
	behind := false
	buffer := make([]byte, 4<<10)
	for in := io.MultiReader(p.dec.Buffered(), text); ; {
		n, err := in.Read(buffer)
		behind = behind || len(bytes.Trim(buffer[:n], " \t\r\n\x00")) > 0
		if err == nil {
			continue
		}
		if errors.Is(err, ErrTooLarge) {
			return err
		}
		if behind {
			p.note("what stands behind the report was not read")
		}
		if !errors.Is(err, io.EOF) {
			p.note("the file is damaged behind the report: %v", err)
		}
		return nil
	}
}

// members calls fn with the name of each member of the object that was begun, in
// lower case: encoding/json, too, takes names in any. fn consumes the value.
func (p *parser) members(fn func(name string) error) error {
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		if err := fn(strings.ToLower(name)); err != nil {
			return err
		}
	}
	_, err := p.dec.Token()
	return err
}

// value reads one value; a wrong type is an error, and it was consumed all the same.
func (p *parser) value(into any) error { return p.dec.Decode(into) }

func (p *parser) skip() error {
	t, err := p.dec.Token()
	if err != nil {
		return err
	}
	return p.rest(t)
}

// text reads a text that the report can do without.
func (p *parser) text(name string, into *string) error {
	err := p.value((*looseText)(into))
	if wrongType(err) {
		p.note("%s is no text", name)
		return nil
	}
	return err
}

// looseText is a string that also reads a number.
type looseText string

func (l *looseText) UnmarshalJSON(b []byte) error {
	var n json.Number // of any text
	if b[0] != '"' && json.Unmarshal(b, &n) == nil {
		*l = looseText(n)
		return nil
	}
	return json.Unmarshal(b, (*string)(l))
}

func wrongType(err error) bool {
	var wrong *json.UnmarshalTypeError
	return errors.As(err, &wrong) || errors.Is(err, errNoList)
}

// policies reads an array of policies, which may be null or a single one.
func (p *parser) policies(list []PolicyResult) ([]PolicyResult, error) {
	t, err := p.dec.Token()
	switch {
	case err != nil:
		return list, err
	case t == json.Delim('{'):
		return p.policy(list)
	case t != json.Delim('['):
		if t != nil {
			p.note("policies is no array")
		}
		return list, nil
	}
	for p.dec.More() {
		t, err := p.dec.Token()
		switch {
		case err != nil:
			return list, err
		case t == json.Delim('{'):
			list, err = p.policy(list)
		default:
			p.seen++
			p.note("policy %d is no object", p.seen)
			err = p.rest(t)
		}
		if err != nil {
			return list, err
		}
	}
	_, err = p.dec.Token()
	return list, err
}

// rest consumes what t began.
func (p *parser) rest(t json.Token) error {
	if _, ok := t.(json.Delim); !ok {
		return nil
	}
	for depth := 1; depth > 0; {
		t, err := p.dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return nil
}

// policy reads an object of policies that was begun, and adds it if it is good.
func (p *parser) policy(list []PolicyResult) ([]PolicyResult, error) {
	if p.seen++; p.seen > p.limits.Policies {
		return list, fmt.Errorf("more than %d policies", p.limits.Policies)
	}
	var r PolicyResult
	var fault error
	keep := func(what string, err error) error {
		if wrongType(err) {
			fault = fmt.Errorf("%s: %s", what, reasonOf(err))
			return nil
		}
		return err
	}
	err := p.members(func(name string) error {
		switch name {
		case "policy":
			var w wirePolicy
			err := p.value(&w)
			r.Type, r.Strings, r.Domain, r.MXHost = PolicyType(w.Type), w.Strings.unpack(), w.Domain, w.MXHost.unpack()
			return keep(name, err)
		case "summary":
			var w wireSummary
			err := p.value(&w)
			r.Success, r.Failed = w.Success, w.Failed
			return keep(name, err)
		case "failure-details":
			return p.failures(&r)
		}
		return p.skip()
	})
	if err != nil {
		return list, err
	}
	if fault == nil {
		fault = r.usable(p.limits)
	}
	if fault != nil {
		p.note("policy %d was left out: %v", p.seen, fault)
		return list, nil
	}
	return append(list, r), nil
}

// usable is why a policy cannot be counted.
func (r *PolicyResult) usable(limits Limits) error {
	if r.Domain == "" {
		return errors.New("no policy-domain")
	}
	if err := checkCounts(r.Success, r.Failed); err != nil {
		return err
	}
	texts := append([]string{string(r.Type), r.Domain}, r.Strings...)
	return checkText(limits.Text, append(texts, r.MXHost...)...)
}

// failures reads the failure details of a policy: an array, null, or a single one.
func (p *parser) failures(r *PolicyResult) error {
	t, err := p.dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('[') {
		if t != nil {
			p.note("policy %d: failure-details is no array", p.seen)
		}
		return p.rest(t)
	}
	for n := 1; p.dec.More(); n++ {
		if p.details++; p.details > p.limits.Details {
			return fmt.Errorf("more than %d failure details", p.limits.Details)
		}
		var w wireDetail
		err := p.value(&w)
		if err != nil && !wrongType(err) {
			return err
		}
		d, fault := w.detail(p.limits)
		if err != nil {
			fault = errors.New(reasonOf(err))
		}
		if fault != nil {
			p.note("policy %d: failure detail %d was left out: %v", p.seen, n, fault)
			continue
		}
		r.Details = append(r.Details, d)
	}
	_, err = p.dec.Token()
	return err
}

func (w *wireDetail) detail(limits Limits) (FailureDetail, error) {
	if err := checkCounts(w.Sessions); err != nil {
		return FailureDetail{}, err
	}
	if err := checkText(limits.Text, w.Type, w.SendingIP, w.MXHostname, w.HELO, w.ReceivingIP, w.Info, w.Reason); err != nil {
		return FailureDetail{}, err
	}
	return FailureDetail{
		Type: ResultType(w.Type), SendingIP: w.SendingIP, MXHostname: w.MXHostname, HELO: w.HELO,
		ReceivingIP: w.ReceivingIP, Sessions: w.Sessions, Info: w.Info, Reason: w.Reason,
	}, nil
}

// reasonOf is a wrong type in words that name the member.
func reasonOf(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("%s is a %s", cmp.Or(wrong.Field, "it"), wrong.Value)
	}
	return err.Error()
}

// strlist is an array of strings that also reads a single string or null.
type strlist []string

var errNoList = errors.New("policy-string or mx-host is neither a string nor an array of strings")

func (l *strlist) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*l = strlist{s}
		return nil
	}
	var ss []string
	if err := json.Unmarshal(b, &ss); err != nil {
		return errNoList
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
