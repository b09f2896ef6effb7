// Package criteria decides which messages a search finds (IMAP SEARCH, RFC 9051 §6.4.4): by
// what is known of a message without reading it as far as that goes, and else by its text.
// It also says in which order SORT has messages.
package criteria

import (
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"waxwing/imap"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/message"
	"waxwing/structure"
)

// Known is what a search needs to know beside the messages.
type Known struct {
	Keywords    []string     // of the account, by number
	Count, Last uint32       // the highest sequence number and UID: what "*" means
	Saved       []imap.Range // UIDs that "$" means
	Now         time.Time
	// Structure and Content read a message where that is needed. Their errors end in Message.Err.
	Structure func(m *mailbox.Mail) (*structure.Message, error)
	Content   func(id int64) (delivery.Content, error)
	// Expired says why a search is to go on no longer, which ends in Message.Err; nil: it may take any time.
	Expired func() error
	// Index asks an index for the texts of keys that must all hold; nil, and not ok: the messages are read.
	Index func(keys []imap.Key) (a Indexed, ok bool)
	// EmailID and ThreadID are how ids are written.
	EmailID, ThreadID func(id int64) string
}

// Indexed is what an index knows of some texts.
type Indexed struct {
	Found []uint32 // UIDs of messages in which they stand, ascending
	Tail  []uint32 // UIDs of messages that the index does not have yet, ascending
	// Some: they may stand in others, too.
	Some bool
	// Doubt: those of Found are to be looked at, since a text may stand in another field.
	Doubt bool
}

// has says what is known of a message.
func (a *Indexed) has(uid uint32) Finding {
	if _, ok := slices.BinarySearch(a.Found, uid); ok {
		if a.Doubt {
			return Unknown
		}
		return Yes
	}
	if _, ok := slices.BinarySearch(a.Tail, uid); ok || a.Some {
		return Unknown
	}
	return No
}

// Program is a search that is ready to run.
type Program struct {
	Known
	key     imap.Key
	indexed map[*imap.Key]*Indexed
}

// Compile makes a search ready.
func Compile(key imap.Key, known Known) *Program {
	p := &Program{Known: known, key: key, indexed: map[*imap.Key]*Indexed{}}
	p.prepare(&p.key)
	if p.Index != nil {
		p.ask(&p.key)
	}
	return p
}

// maxTogether is how many texts the index is asked for at once.
const maxTogether = 16

// ask asks the index for the texts of a key: at once for those that must all hold.
func (p *Program) ask(k *imap.Key) {
	if k.Name == "AND" {
		p.askTogether(k)
	}
	for i := range k.Keys {
		if p.indexed[&k.Keys[i]] == nil {
			p.ask(&k.Keys[i])
		}
	}
	if hasText(k) {
		if a, ok := p.Index([]imap.Key{*k}); ok {
			p.indexed[k] = &a
		}
	}
}

// hasText tells whether an index may know of a key.
func hasText(k *imap.Key) bool {
	return k.Text != "" && slices.Contains([]string{"BODY", "TEXT", "SUBJECT", "FROM", "TO", "CC", "BCC", "HEADER"}, k.Name)
}

// askTogether asks for those keys of an AND that have texts, and makes one key of them, which stands last. Where the
// answer leaves anything open, each is asked for by itself: one of them alone may say more.
func (p *Program) askTogether(k *imap.Key) {
	var texts, others []imap.Key
	for _, below := range k.Keys {
		if hasText(&below) && len(texts) < maxTogether {
			texts = append(texts, below)
		} else {
			others = append(others, below)
		}
	}
	if len(texts) < 2 {
		return
	}
	a, ok := p.Index(texts)
	if !ok || a.Some || a.Doubt {
		return
	}
	k.Keys = append(others, imap.Key{Name: "AND", Keys: texts})
	p.indexed[&k.Keys[len(others)]] = &a
}

// UsesModSeq reports a search by MODSEQ, whose result has one too (RFC 7162 §3.1.5).
func UsesModSeq(k imap.Key) bool {
	return k.Name == "MODSEQ" || slices.ContainsFunc(k.Keys, UsesModSeq)
}

// needs are the capabilities that keys belong to.
var needs = map[string]string{
	"MODSEQ": "CONDSTORE", "OLDER": "WITHIN", "YOUNGER": "WITHIN", "EMAILID": "OBJECTID", "THREADID": "OBJECTID",
	"SAVEDBEFORE": "SAVEDATE", "SAVEDON": "SAVEDATE", "SAVEDSINCE": "SAVEDATE", "SAVEDATESUPPORTED": "SAVEDATE",
}

// Unserved is a key whose capability is switched off; "": there is none.
func Unserved(k imap.Key, off func(capability string) bool) string {
	if c := needs[k.Name]; c != "" && off(c) {
		return k.Name
	}
	for _, sub := range k.Keys {
		if name := Unserved(sub, off); name != "" {
			return name
		}
	}
	return ""
}

// Eval says whether a message matches.
func (p *Program) Eval(m *Message) Finding { return p.eval(&p.key, m) }

// Message is a message that is looked at.
type Message struct {
	Seq    int
	UID    uint32
	Flags  mailbox.Flags
	ModSeq uint64
	Mail   *mailbox.Message // nil: no more than that is known
	Err    error            // why the message could not be read

	built   *structure.Message
	content delivery.Content
}

// Finding is what is known of a message.
type Finding int

// The findings, in this order: what must all be so is the least of them.
const (
	No Finding = iota
	Unknown
	Yes
)

func is(b bool) Finding {
	if b {
		return Yes
	}
	return No
}

// prepare makes a key ready: texts are folded, sets resolved, and of keys that must all
// hold, those come first that cost least.
func (p *Program) prepare(k *imap.Key) {
	k.Text = fold(k.Text)
	k.Keys = slices.Clone(k.Keys)
	for i := range k.Keys {
		p.prepare(&k.Keys[i])
	}
	p.prepareFlag(k)
	switch k.Name {
	case "AND", "OR":
		slices.SortStableFunc(k.Keys, func(a, b imap.Key) int { return cost(&a) - cost(&b) })
	case "SEQ", "UID":
		last := p.Count
		if k.Name == "UID" {
			last = p.Last
		}
		if k.Set.Saved {
			k.Name, k.Set = "UID", imap.Set{Ranges: p.Saved}
		} else {
			k.Set = imap.Set{Ranges: k.Set.Resolve(last)}
		}
	}
}

// A key for a flag becomes one of these, with the flag in Number: it is asked of each message.
const (
	hasFlag   = "has the flag"
	lacksFlag = "lacks the flag"
)

func (p *Program) prepareFlag(k *imap.Key) {
	name, negated := strings.CutPrefix(k.Name, "UN")
	f, ok := mailbox.SystemFlag(`\` + name)
	if name == "KEYWORD" {
		f, ok = 0, true // a keyword that nobody has used
		if i := slices.IndexFunc(p.Keywords, func(w string) bool { return strings.EqualFold(w, k.Text) }); i >= 0 && k.Text != "" {
			f = mailbox.Keyword(i)
		}
	}
	if !ok {
		return
	}
	k.Name, k.Number = hasFlag, uint64(f)
	if negated {
		k.Name = lacksFlag
	}
}

// cost is how much must be read for a key, by and large.
func cost(k *imap.Key) int {
	switch k.Name {
	case "AND", "OR", "NOT":
		most := 0
		for i := range k.Keys {
			most = max(most, cost(&k.Keys[i]))
		}
		return most
	case "BODY", "TEXT":
		return 4
	case "HEADER":
		return 3
	case "FROM", "TO", "CC", "BCC", "SUBJECT", "SENTBEFORE", "SENTON", "SENTSINCE":
		return 2
	case "BEFORE", "ON", "SINCE", "LARGER", "SMALLER", "OLDER", "YOUNGER", "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE", "EMAILID", "THREADID":
		return 1
	}
	return 0
}

// eval says whether a message matches.
func (p *Program) eval(k *imap.Key, x *Message) Finding {
	if a := p.indexed[k]; a != nil {
		if known := a.has(x.UID); known != Unknown {
			return known
		}
	}
	switch k.Name {
	case "AND":
		out := Yes
		for i := range k.Keys {
			if out = min(out, p.eval(&k.Keys[i], x)); out == No {
				break
			}
		}
		return out
	case "OR":
		out := No
		for i := range k.Keys {
			if out = max(out, p.eval(&k.Keys[i], x)); out == Yes {
				break
			}
		}
		return out
	case "NOT":
		return Yes - p.eval(&k.Keys[0], x)
	}
	if cost(k) == 0 {
		return is(p.byView(k, x))
	}
	if x.Mail == nil {
		return Unknown
	}
	if cost(k) == 1 {
		return is(p.byMail(k, x.Mail))
	}
	return is(x.Err == nil && p.byText(k, x))
}

// byView decides by what the view knows.
func (p *Program) byView(k *imap.Key, l *Message) bool {
	switch k.Name {
	case hasFlag:
		return l.Flags&mailbox.Flags(k.Number) != 0
	case lacksFlag:
		return l.Flags&mailbox.Flags(k.Number) == 0
	case "SEQ":
		return within(k.Set.Ranges, uint32(l.Seq))
	case "UID":
		return within(k.Set.Ranges, l.UID)
	case "MODSEQ":
		return l.ModSeq >= k.Number
	case "NEW", "RECENT": // RFC 9051 has no \Recent
		return false
	}
	return true // ALL, OLD, SAVEDATESUPPORTED
}

// within reports that a number is in one of ranges, which ascend.
func within(ranges []imap.Range, n uint32) bool {
	_, found := slices.BinarySearchFunc(ranges, n, func(r imap.Range, n uint32) int {
		switch {
		case r.High < n:
			return -1
		case r.Low > n:
			return 1
		}
		return 0
	})
	return found
}

// byMail decides by what is kept beside the mail.
func (p *Program) byMail(k *imap.Key, m *mailbox.Message) bool {
	switch k.Name {
	case "LARGER":
		return uint64(m.Size) > k.Number
	case "SMALLER":
		return uint64(m.Size) < k.Number
	case "OLDER":
		return !m.Received.After(p.Now.Add(-seconds(k.Number)))
	case "YOUNGER":
		return !m.Received.Before(p.Now.Add(-seconds(k.Number)))
	case "EMAILID":
		return strings.EqualFold(p.EmailID(m.ID), k.Text)
	case "THREADID":
		return strings.EqualFold(p.ThreadID(m.Thread), k.Text)
	}
	if when, saved := strings.CutPrefix(k.Name, "SAVED"); saved {
		return onDay(when, m.Entry.Saved.UTC(), k.Date)
	}
	return onDay(k.Name, m.Received.UTC(), k.Date)
}

func seconds(n uint64) time.Duration {
	return time.Duration(min(n, 1<<33)) * time.Second
}

// onDay compares days, whatever the time and the zone (RFC 9051 §6.4.4).
func onDay(when string, t, day time.Time) bool {
	y, m, d := t.Date()
	have := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	switch when {
	case "BEFORE":
		return have.Before(day)
	case "ON":
		return have.Equal(day)
	}
	return !have.Before(day)
}

// byText decides by the message itself.
func (p *Program) byText(k *imap.Key, x *Message) bool {
	if p.Expired != nil { // a program may look through one message thousands of times
		if x.Err = p.Expired(); x.Err != nil {
			return false
		}
	}
	if !p.load(x) {
		return false
	}
	e := &x.built.Envelope
	switch k.Name {
	case "SUBJECT":
		return contains(message.DecodeWords(e.Subject), k.Text)
	case "FROM":
		return inAddresses(e.From, k.Text)
	case "TO":
		return inAddresses(e.To, k.Text)
	case "CC":
		return inAddresses(e.Cc, k.Text)
	case "BCC":
		return inAddresses(e.Bcc, k.Text)
	case "SENTBEFORE", "SENTON", "SENTSINCE":
		t, ok := e.Sent()
		if !ok {
			t = x.Mail.Received.UTC()
		}
		return onDay(strings.TrimPrefix(k.Name, "SENT"), t, k.Date)
	case "HEADER":
		return p.inHeader(x, k)
	case "TEXT":
		return contains(string(p.header(x)), k.Text) || contains(message.DecodeWords(string(p.header(x))), k.Text) || p.inBody(x, k.Text)
	}
	return p.inBody(x, k.Text) // BODY
}

// load reads how the message is built.
func (p *Program) load(x *Message) bool {
	if x.built == nil {
		x.built, x.Err = p.Structure(&x.Mail.Mail)
	}
	return x.Err == nil
}

// open opens the message's content.
func (p *Program) open(x *Message) bool {
	if x.content == nil {
		x.content, x.Err = p.Content(x.Mail.ID)
	}
	return x.Err == nil
}

// header reads the message's header.
func (p *Program) header(x *Message) []byte {
	if !p.open(x) {
		return nil
	}
	r, _ := x.built.Section(nil, "HEADER")
	r.End = min(r.End, r.Start+maxHeader)
	body, err := Octets(x.content, r)
	if err != nil {
		x.Err = err
		return nil
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	x.Err = err
	return b
}

// inHeader is HEADER: "" asks whether the field is there.
func (p *Program) inHeader(x *Message, k *imap.Key) bool {
	fields := structure.HeaderFields(p.header(x), []string{k.Header}, false)
	h, _, err := message.SplitHeader(fields)
	if err != nil {
		return false
	}
	for _, f := range h.Fields {
		v := f.Value()
		if k.Text == "" || contains(v, k.Text) || contains(message.DecodeWords(v), k.Text) {
			return true
		}
	}
	return false
}

// maxPart is how much of a part is searched, and maxParts how many.
const (
	maxPart  = 4 << 20
	maxParts = 200
)

// inBody looks through the text of the parts.
func (p *Program) inBody(x *Message, text string) bool {
	if text == "" {
		return true
	}
	if !p.open(x) {
		return false
	}
	left := maxParts
	return p.inPart(x, x.built.Root, text, &left)
}

func (p *Program) inPart(x *Message, part *structure.Part, text string, left *int) bool {
	if *left--; *left < 0 || x.Err != nil {
		return false
	}
	for i, below := range part.Parts {
		if part.IsMessage() && i == 0 && p.inOctets(x, structure.Range{Start: below.Start, End: below.Body}, nil, text) {
			return true
		}
		if p.inPart(x, below, text, left) {
			return true
		}
	}
	if len(part.Parts) > 0 {
		return false
	}
	if contains(part.Filename(), text) {
		return true
	}
	if !strings.EqualFold(part.Type, "text") && !strings.EqualFold(part.Type, "message") {
		return false
	}
	return p.inOctets(x, structure.Range{Start: part.Body, End: part.End}, part, text)
}

// inOctets looks through octets, of a part where it is given.
func (p *Program) inOctets(x *Message, r structure.Range, part *structure.Part, text string) bool {
	r.End = min(r.End, x.content.Size())
	body, err := Octets(x.content, r)
	if err != nil {
		x.Err = err
		return false
	}
	defer body.Close()
	from, charset := io.Reader(body), ""
	if part != nil {
		charset = part.Param("charset")
		decoded, ok := structure.Decoder(body, part.Encoding)
		if !ok {
			return false
		}
		from = decoded
	}
	b, err := io.ReadAll(io.LimitReader(from, maxPart))
	if err != nil {
		x.Err = err
		return false
	}
	decoded, ok := message.DecodeCharset(charset, b)
	if !ok {
		decoded = string(b)
	}
	return contains(decoded, text)
}

// inAddresses looks through addresses as they are shown.
func inAddresses(list []structure.Address, text string) bool {
	var b strings.Builder
	for _, a := range list {
		b.Reset()
		if a.Name != "" {
			b.WriteString(message.DecodeWords(a.Name) + " ")
		}
		b.WriteString("<" + a.Mailbox)
		if a.Host != "" {
			b.WriteString("@" + a.Host)
		}
		b.WriteString(">")
		if contains(b.String(), text) {
			return true
		}
	}
	return false
}

// contains looks for a folded text.
func contains(in, folded string) bool {
	return folded == "" || strings.Contains(fold(in), folded)
}

// fold makes texts comparable whatever their case.
func fold(s string) string {
	if !isASCII(s) && utf8.ValidString(s) {
		s = norm.NFC.String(s)
	}
	return strings.ToLower(s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Octets reads octets of a content.
func Octets(c delivery.Content, r structure.Range) (io.ReadCloser, error) {
	body, err := c.Open()
	if err != nil {
		return nil, err
	}
	if seeker, ok := body.(io.Seeker); ok {
		_, err = seeker.Seek(r.Start, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, body, r.Start)
	}
	if err != nil {
		body.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(body, r.Size()), body}, nil
}

// maxHeader is how much of a header is searched.
const maxHeader = 4 << 20
