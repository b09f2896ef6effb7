package letter

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"
	"time"

	"waxwing/ical"
	"waxwing/internal/htmlmail"
	"waxwing/internal/jmapserver/email"
	"waxwing/structure"
)

//go:embed letter.html
var layout string

var page = template.Must(template.New("letter").Parse(layout))

// document is what the layout shows.
type document struct {
	Lang     string
	Title    string
	Head     []field // on paper
	Invited  []invitation
	Bodies   []template.HTML
	Style    template.CSS
	Cut      bool
	Words    *words
	facts    facts
	onPaper  bool
	lookalso func(name string) (string, []byte)
}

// wish is how a document is to be.
type wish struct {
	remote  bool // with what is elsewhere
	paper   bool
	noImage bool // nobody will look at it: the mail's own pictures are not read
}

type field struct{ Name, Value string }

type invitation struct {
	Says  string
	Event ical.Event
}

// facts are what a program is told of a letter.
type facts struct {
	Remote      int             `json:"remote"` // things that would be loaded from elsewhere
	Hosts       []string        `json:"hosts"`
	Invitations []ical.Calendar `json:"invitations"`
	Cut         bool            `json:"cut"`
}

// html shows the mail as its sender has designed it, or its text where there is no HTML.
func (h *Handler) html(w http.ResponseWriter, r *http.Request, l *letter) error {
	return l.show(w, r, wish{})
}

// print is the same for paper: with who wrote it to whom, and with all quotes open.
func (h *Handler) print(w http.ResponseWriter, r *http.Request, l *letter) error {
	return l.show(w, r, wish{paper: true})
}

func (l *letter) show(w http.ResponseWriter, r *http.Request, how wish) error {
	how.remote = r.URL.Query().Get("images") == "yes"
	d, err := l.document(wordsFor(r), how)
	if err != nil {
		return err
	}
	if how.remote {
		guarded(w.Header(), remotePolicy)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	var b strings.Builder
	if err := page.Execute(&b, d); err != nil {
		return err
	}
	return l.stream(w, strings.NewReader(b.String()))
}

// facts tells what stands in a letter that its reader may want to be asked about.
func (h *Handler) facts(w http.ResponseWriter, r *http.Request, l *letter) error {
	d, err := l.document(wordsFor(r), wish{noImage: true})
	if err != nil {
		return err
	}
	l.made()
	return answer(w, d.facts)
}

// document makes it.
func (l *letter) document(t *words, how wish) (*document, error) {
	e := &l.built.Envelope
	d := &document{Lang: t.Lang, Title: structure.DecodeHeader(e.Subject), Words: t, onPaper: how.paper, facts: facts{Hosts: []string{}, Invitations: []ical.Calendar{}}}
	if how.paper {
		d.head(e)
	}
	d.lookalso = l.pictures(how.noImage)
	for _, p := range l.parts.HTML[:min(len(l.parts.HTML), maxParts)] {
		if err := l.body(d, p, how.remote); err != nil {
			return nil, err
		}
	}
	for _, p := range l.parts.All {
		if mediaType(p) != "text/calendar" || len(d.Invited) > 0 {
			continue
		}
		if err := l.invitation(d, p); err != nil {
			return nil, err
		}
	}
	d.facts.Cut = d.Cut
	return d, nil
}

// head is who wrote the mail, when and to whom.
func (d *document) head(e *structure.Envelope) {
	for _, f := range []struct {
		name string
		all  []structure.Address
	}{{d.Words.From, e.From}, {d.Words.To, e.To}, {d.Words.Cc, e.Cc}} {
		if s := people(f.all); s != "" {
			d.Head = append(d.Head, field{f.name, s})
		}
	}
	if at, ok := e.Sent(); ok {
		d.Head = append(d.Head, field{d.Words.Date, at.Format(time.RFC1123Z)})
	}
}

func people(all []structure.Address) string {
	var out []string
	for _, a := range all {
		if a.Kind != structure.Mailbox {
			continue
		}
		s := a.Text()
		if name := structure.DecodeHeader(a.Name); name != "" {
			s = name + " <" + s + ">"
		}
		out = append(out, s)
		if len(out) == 100 {
			return strings.Join(append(out, "…"), ", ")
		}
	}
	return strings.Join(out, ", ")
}

// body adds a part that is shown.
func (l *letter) body(d *document, p email.Leaf, remote bool) error {
	switch kind := mediaType(p); {
	case kind == "text/html":
		s, cut, err := l.text(p)
		if err != nil {
			return err
		}
		made := htmlmail.Clean(s, htmlmail.Options{Remote: remote, Picture: d.lookalso, Words: d.Words.Words, Open: d.onPaper})
		d.Bodies = append(d.Bodies, template.HTML(made.HTML))
		d.Style += template.CSS(made.Style)
		d.Cut = d.Cut || cut || made.Cut
		d.facts.Remote += made.Remote
		d.facts.Hosts = append(d.facts.Hosts, made.Hosts...)
	case strings.HasPrefix(kind, "text/"):
		lines, cut, err := l.lines(p)
		if err != nil {
			return err
		}
		d.Cut = d.Cut || cut
		d.Bodies = append(d.Bodies, template.HTML(htmlmail.Text(lines, htmlmail.TextOptions{Words: d.Words.Words, Open: d.onPaper})))
	case strings.HasPrefix(kind, "image/"):
		made := htmlmail.Clean(`<img src="cid:`+ownPart+p.Number+`">`, htmlmail.Options{Picture: d.lookalso})
		d.Bodies = append(d.Bodies, template.HTML(made.HTML))
	}
	return nil
}

// lines are those of a part of plain text.
func (l *letter) lines(p email.Leaf) ([]htmlmail.Line, bool, error) {
	s, cut, err := l.text(p)
	if err != nil {
		return nil, false, err
	}
	if strings.EqualFold(p.Param("format"), "flowed") {
		return htmlmail.Flowed(s, strings.EqualFold(p.Param("delsp"), "yes")), cut, nil
	}
	return htmlmail.Lines(s), cut, nil
}

// ownPart begins the name by which a document calls a part by its number. A Content-ID has no blank.
const ownPart = "part "

const (
	// maxPicture is how large a picture may be that is put into a document, and maxPictures all of them.
	maxPicture  = 5 << 20
	maxPictures = 10 << 20
)

// pictures finds those of the mail itself by Content-ID, Content-Location or number. A mail can name one a hundred thousand times:
// each is read once, and what is read and put into the document is bounded. blind: none is read, and an octet stands for each.
func (l *letter) pictures(blind bool) func(string) (string, []byte) {
	named := map[string]email.Leaf{}
	for _, p := range l.parts.All {
		if !strings.EqualFold(p.Type, "image") {
			continue
		}
		for _, name := range []string{ownPart + p.Number, strings.Trim(strings.TrimSpace(p.ID), "<>"), p.Location} {
			if _, has := named[name]; !has && name != "" {
				named[name] = p
			}
		}
	}
	read, left, given := map[string][]byte{}, int64(2*maxPictures), 0
	return func(name string) (string, []byte) {
		p, ok := named[name]
		if !ok {
			return "", nil
		}
		if blind {
			return mediaType(p), []byte{0}
		}
		b, known := read[p.Number]
		if !known && left > 0 {
			var cut bool
			var err error
			b, cut, err = l.octets(p.Number, min(maxPicture, left))
			left -= int64(len(b)) + 1
			if err != nil || cut {
				b = nil
			}
			read[p.Number] = b
		}
		if given+len(b) > maxPictures {
			return "", nil
		}
		given += len(b)
		return mediaType(p), b
	}
}

// invitation shows what a calendar object is about.
func (l *letter) invitation(d *document, p email.Leaf) error {
	s, _, err := l.text(p)
	if err != nil {
		return err
	}
	c, ok := ical.Parse(s)
	if !ok || len(c.Events) == 0 {
		return nil
	}
	d.facts.Invitations = append(d.facts.Invitations, c)
	for _, e := range c.Events {
		d.Invited = append(d.Invited, invitation{d.Words.method(c.Method, e.Cancelled), e})
	}
	return nil
}

// quoted is what an answer quotes: as simple HTML, built element by element, and as lines of text.
type quoted struct {
	HTML []*htmlmail.Node `json:"html"`
	Text []htmlmail.Line  `json:"text"`
	Cut  bool             `json:"cut"`
}

func (h *Handler) quote(w http.ResponseWriter, _ *http.Request, l *letter) error {
	q := quoted{HTML: []*htmlmail.Node{}, Text: []htmlmail.Line{}}
	for _, p := range l.parts.HTML[:min(len(l.parts.HTML), maxParts)] {
		kind := mediaType(p)
		if !strings.HasPrefix(kind, "text/") {
			continue
		}
		if kind == "text/html" {
			s, cut, err := l.text(p)
			if err != nil {
				return err
			}
			q.HTML, q.Cut = append(q.HTML, htmlmail.Quote(s)...), q.Cut || cut
			continue
		}
		lines, cut, err := l.lines(p)
		if err != nil {
			return err
		}
		q.HTML, q.Cut = append(q.HTML, htmlmail.QuoteText(lines)...), q.Cut || cut
	}
	for _, p := range l.parts.Text[:min(len(l.parts.Text), maxParts)] {
		if mediaType(p) == "text/html" || !strings.EqualFold(p.Type, "text") {
			continue
		}
		lines, _, err := l.lines(p)
		if err != nil {
			return err
		}
		q.Text = append(q.Text, lines...)
	}
	if len(q.Text) == 0 {
		q.Text = append(q.Text, htmlmail.Plain(q.HTML)...)
	}
	l.made()
	return answer(w, q)
}
