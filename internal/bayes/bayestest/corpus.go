// Package bayestest makes mail for the tests and the benchmark of the classifier: good mail and
// junk of several sorts in several languages, whose vocabularies overlap. It is no substitute for
// real mail, and shows what the method can do where words tell something: see
// docs/operating/junk.md for what it leaves out.
package bayestest

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Mail is one message.
type Mail struct {
	Junk bool
	Sort string
	Text []byte
}

// language is its words: those that every message has, and those of sorts of mail.
type language struct {
	code   string
	common []string
	topics map[string][]string
	space  string
}

// sort is a sort of mail: where its words come from, in parts of a hundred; the rest is common.
type sort struct {
	name     string
	junk     bool
	own      []string // topics
	ownPart  int
	other    []string // topics of the other kind, which it borrows from
	otherPct int
	min, max int // words
	html     bool
}

var sorts = []sort{
	{"letter", false, []string{"home", "work"}, 22, []string{"offer"}, 1, 20, 200, false},
	{"work", false, []string{"work"}, 30, []string{"money"}, 2, 30, 300, false},
	{"short", false, []string{"home", "work"}, 30, nil, 0, 5, 15, false},
	{"newsletter", false, []string{"news", "shop"}, 25, []string{"offer"}, 3, 80, 300, true},
	{"receipt", false, []string{"shop", "work"}, 30, []string{"money", "offer"}, 4, 25, 80, true},
	{"bank", false, []string{"bank"}, 30, []string{"money", "phish"}, 5, 30, 90, true},
	{"pills", true, []string{"pills", "offer"}, 35, []string{"home"}, 5, 20, 120, true},
	{"money", true, []string{"money"}, 35, []string{"work", "bank"}, 8, 60, 250, false},
	{"phishing", true, []string{"phish"}, 35, []string{"bank", "shop"}, 10, 25, 90, true},
	{"offer", true, []string{"offer"}, 35, []string{"shop", "news"}, 8, 30, 200, true},
	{"salad", true, []string{"pills", "offer", "money"}, 25, []string{"home", "work", "news"}, 15, 60, 250, false},
	{"brief", true, []string{"offer", "pills", "phish"}, 50, nil, 0, 8, 20, false},
}

// Source makes messages; the same seed makes the same.
type Source struct {
	r     *rand.Rand
	langs []*language
	n     int
}

// New is a source. Sources of one seed share their languages, so that what one has taught
// means something for another: part tells them apart.
func New(seed, part uint64) *Source {
	words := rand.New(rand.NewPCG(seed, 0))
	return &Source{r: rand.New(rand.NewPCG(seed, part+1)), langs: languages(words)}
}

// Next makes a message of either kind.
func (s *Source) Next(junk bool) Mail {
	for {
		x := &sorts[s.r.IntN(len(sorts))]
		if x.junk == junk {
			return s.mail(x)
		}
	}
}

func (s *Source) mail(x *sort) Mail {
	s.n++
	l := s.langs[min(s.r.IntN(len(s.langs)+3), len(s.langs)-1)]
	text := s.words(l, x, x.min+s.r.IntN(x.max-x.min+1))
	subject := s.words(l, x, 3+s.r.IntN(5))
	var b strings.Builder
	from := fmt.Sprintf("m%d@%s", s.r.IntN(50), s.domain(x))
	fmt.Fprintf(&b, "From: <%s>\r\nTo: joe@here.test\r\nSubject: =?utf-8?b?%s?=\r\nMessage-ID: <%d.%s@made.test>\r\nMIME-Version: 1.0\r\n", from, base64.StdEncoding.EncodeToString([]byte(subject)), s.n, x.name)
	kind, body := "text/plain", text
	if x.html {
		kind = "text/html"
		body = "<html><style>p{color:red}</style><body><p>" + strings.ReplaceAll(text, ". ", ".</p>\n<p>") + `</p><a href="https://` + s.domain(x) + `/x">` + l.common[s.r.IntN(len(l.common))] + "</a></body></html>"
	}
	fmt.Fprintf(&b, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", kind)
	encoded := base64.StdEncoding.EncodeToString([]byte(body))
	for len(encoded) > 76 {
		b.WriteString(encoded[:76] + "\r\n")
		encoded = encoded[76:]
	}
	b.WriteString(encoded + "\r\n")
	return Mail{x.junk, x.name, []byte(b.String())}
}

// domain is one that mail of a sort comes from: junk's change all the time, and some of it
// comes from where good mail comes from too.
func (s *Source) domain(x *sort) string {
	switch {
	case s.r.IntN(100) < 30:
		return fmt.Sprintf("freemail%d.test", s.r.IntN(4))
	case x.junk:
		return fmt.Sprintf("j%d.test", s.r.IntN(100000))
	}
	return fmt.Sprintf("%s%d.test", x.name, s.r.IntN(60))
}

func (s *Source) words(l *language, x *sort, n int) string {
	var b strings.Builder
	for i := range n {
		var w string
		switch p := s.r.IntN(100); {
		case p < x.ownPart:
			w = s.of(l.topics[x.own[s.r.IntN(len(x.own))]])
		case p < x.ownPart+x.otherPct:
			w = s.of(l.topics[x.other[s.r.IntN(len(x.other))]])
		case p > 94: // names and numbers that nobody has seen before
			w = fmt.Sprintf("%s%d", syllables(s.r, 2), s.r.IntN(1000))
		default:
			w = s.of(l.common)
		}
		if x.junk && s.r.IntN(100) < 4 { // written so that filters do not know it
			w = strings.NewReplacer("a", "4", "e", "3", "o", "0", "i", "1").Replace(w)
		}
		if i > 0 {
			b.WriteString(l.space)
		}
		b.WriteString(w)
		if s.r.IntN(12) == 0 {
			b.WriteString(". ")
		}
	}
	return b.String()
}

// of draws a word as languages do: few often, most seldom.
func (s *Source) of(words []string) string {
	f := s.r.Float64()
	return words[int(f*f*float64(len(words)))]
}
