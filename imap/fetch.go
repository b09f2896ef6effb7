package imap

import (
	"bufio"
	"strconv"
	"strings"
)

// macros of RFC 9051 §6.4.5.
var macros = map[string][]string{
	"ALL":  {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"},
	"FAST": {"FLAGS", "INTERNALDATE", "RFC822.SIZE"},
	"FULL": {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"},
}

// plainItems need nothing behind them.
var plainItems = map[string]bool{
	"ENVELOPE": true, "FLAGS": true, "INTERNALDATE": true, "RFC822": true, "RFC822.HEADER": true, "RFC822.SIZE": true, "RFC822.TEXT": true,
	"BODYSTRUCTURE": true, "UID": true, "MODSEQ": true, "SAVEDATE": true, "EMAILID": true, "THREADID": true,
}

func parseFetch(l *lexer, _ string) (any, error) {
	set, err := l.set()
	if err != nil {
		return nil, err
	}
	c := &Fetch{Set: set}
	if err := l.space(); err != nil {
		return nil, err
	}
	if c.Items, err = l.fetchItems(true); err != nil {
		return nil, err
	}
	return c, l.parameters(func(name string) error {
		switch name {
		case "VANISHED":
			c.Vanished = true
			return nil
		case "CHANGEDSINCE":
			n, err := spaced(l, l.number)
			c.ChangedSince = &n
			return err
		case "PARTIAL":
			p, err := spaced(l, l.partial)
			c.Partial = &p
			return err
		}
		return bad("FETCH knows no %.20s", name)
	})
}

// fetchItems reads one item, a list of them, or a macro.
func (l *lexer) fetchItems(macro bool) (out []FetchItem, err error) {
	c, err := l.peek()
	if err != nil {
		return nil, err
	}
	if c == '(' {
		err = l.list(false, func() error {
			i, err := l.fetchItem("")
			out = append(out, i)
			return err
		})
		return out, err
	}
	name, err := l.itemName()
	if err != nil {
		return nil, err
	}
	if names, ok := macros[name]; ok && macro {
		for _, n := range names {
			out = append(out, FetchItem{Name: n})
		}
		return out, nil
	}
	i, err := l.fetchItem(name)
	return []FetchItem{i}, err
}

func (l *lexer) itemName() (string, error) {
	s, err := l.word("a fetch item", func(c byte) bool { return atomChar(c) && c != '[' && c != '<' })
	return strings.ToUpper(s), err
}

// fetchItem reads an item; name is given if it was read already.
func (l *lexer) fetchItem(name string) (FetchItem, error) {
	if name == "" {
		var err error
		if name, err = l.itemName(); err != nil {
			return FetchItem{}, err
		}
	}
	i := FetchItem{Name: name}
	if plainItems[name] {
		return i, nil
	}
	i.Name, i.Peek = strings.CutSuffix(name, ".PEEK")
	c, err := l.peek()
	if err != nil {
		return i, err
	}
	switch {
	case name == "BODY" && c != '[':
		return i, nil
	case name == "PREVIEW":
		return i, l.lazy(&i)
	case i.Name == "BODY", i.Name == "BINARY", name == "BINARY.SIZE":
		i.Section, err = l.section(i.Name == "BODY", name != "BINARY.SIZE")
		return i, err
	}
	return i, bad("%.30q is nothing that can be fetched here", name)
}

// lazy reads " (LAZY)" behind PREVIEW (RFC 8970 §3.2).
func (l *lexer) lazy(i *FetchItem) error {
	b, err := l.br.Peek(2)
	if err != nil || string(b) != " (" {
		return nil // what follows is another's, or the end
	}
	if err := l.space(); err != nil {
		return err
	}
	return l.list(false, func() error {
		s, err := l.upper()
		if err == nil && s != "LAZY" {
			err = bad("PREVIEW knows LAZY alone")
		}
		i.Lazy = true
		return err
	})
}

// section reads "[1.2.HEADER]<0.100>"; text says that what is no part number may
// stand in it.
func (l *lexer) section(text, partial bool) (*Section, error) {
	s := &Section{}
	if err := l.expect('['); err != nil {
		return nil, err
	}
	if err := l.sectionParts(s, text); err != nil {
		return nil, err
	}
	if err := l.expect(']'); err != nil {
		return nil, err
	}
	c, err := l.peek()
	if err != nil || c != '<' || !partial {
		return s, err
	}
	return s, l.sectionRange(s)
}

func (l *lexer) sectionParts(s *Section, text bool) error {
	for {
		c, err := l.peek()
		switch {
		case err != nil:
			return err
		case c >= '0' && c <= '9':
			n, err := l.number()
			if err != nil {
				return err
			}
			if n == 0 || n > 1<<32-1 || len(s.Part) == 100 {
				return bad("a part number is from 1 to 4294967295, and at most 100 stand in a row")
			}
			s.Part = append(s.Part, uint32(n))
		case c == ']' && len(s.Part) == 0:
			return nil
		case !text:
			return bad("only part numbers may stand there")
		default:
			return l.sectionText(s)
		}
		if dot, err := l.is('.'); !dot || err != nil {
			return err
		}
	}
}

func (l *lexer) sectionText(s *Section) error {
	word, err := l.word("a section", func(c byte) bool { return atomChar(c) && c != ']' })
	if err != nil {
		return err
	}
	s.Text = strings.ToUpper(word)
	switch s.Text {
	case "HEADER", "TEXT":
		return nil
	case "MIME":
		if len(s.Part) == 0 {
			return bad("MIME needs a part number")
		}
		return nil
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		if err := l.space(); err != nil {
			return err
		}
		return l.list(false, func() error {
			f, err := l.astring()
			s.Fields = append(s.Fields, f)
			return err
		})
	}
	return bad("%.30q is no section", word)
}

func (l *lexer) sectionRange(s *Section) error {
	if err := l.expect('<'); err != nil {
		return err
	}
	var err error
	if s.Offset, err = l.number(); err != nil {
		return err
	}
	if err := l.expect('.'); err != nil {
		return err
	}
	if s.Count, err = l.number(); err != nil {
		return err
	}
	if s.Count == 0 {
		return bad("a range of no octets")
	}
	s.Partial = true
	return l.expect('>')
}

// ParseSection reads what stands in the brackets of BODY[…].
func ParseSection(s string) (*Section, error) {
	l := &lexer{br: bufio.NewReader(strings.NewReader("[" + s + "]\r\n\r\n")), limits: Limits{}.orDefault(), left: 64 << 10}
	l.literals, l.more = 0, func() error { return nil }
	sec, err := l.section(true, false)
	if err == nil {
		err = l.end()
	}
	if err != nil {
		return nil, bad("%.40q is no section", s)
	}
	return sec, nil
}

// String is the section as it stands in a response: with the offset alone (RFC 9051
// §7.5.2).
func (s *Section) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, n := range s.Part {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.FormatUint(uint64(n), 10))
	}
	if s.Text != "" {
		if len(s.Part) > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.Text)
	}
	if len(s.Fields) > 0 {
		b.WriteString(" (")
		for i, f := range s.Fields {
			if i > 0 {
				b.WriteByte(' ')
			}
			if strings.IndexFunc(f, func(r rune) bool { return r >= 0x80 || !atomChar(byte(r)) }) < 0 && f != "" {
				b.WriteString(f)
			} else {
				b.Write(AppendString(nil, f, true))
			}
		}
		b.WriteByte(')')
	}
	b.WriteByte(']')
	if s.Partial {
		b.WriteString("<" + strconv.FormatUint(s.Offset, 10) + ">")
	}
	return b.String()
}

func parseNotify(l *lexer, _ string) (any, error) {
	word, err := l.upper()
	if err != nil || word == "NONE" {
		return &Notify{}, err
	}
	if word != "SET" {
		return nil, bad("SET or NONE is expected")
	}
	c := &Notify{Groups: []NotifyGroup{}}
	if err := l.space(); err != nil {
		return nil, err
	}
	if c.Status, err = l.peekWord("STATUS"); err != nil {
		return nil, err
	}
	if c.Status {
		if err := l.space(); err != nil {
			return nil, err
		}
	}
	for {
		if len(c.Groups) == 100 {
			return nil, bad("more than 100 event groups")
		}
		g, err := l.notifyGroup()
		if err != nil {
			return nil, err
		}
		c.Groups = append(c.Groups, g)
		if end, err := l.atEnd(); end || err != nil {
			return c, err
		}
		if err := l.space(); err != nil {
			return nil, err
		}
	}
}

// notifyGroup reads "(filter events)".
func (l *lexer) notifyGroup() (NotifyGroup, error) {
	var g NotifyGroup
	if err := l.expect('('); err != nil {
		return g, err
	}
	var err error
	if g.Filter, err = l.upper(); err != nil {
		return g, err
	}
	if err := l.space(); err != nil {
		return g, err
	}
	switch g.Filter {
	case "SELECTED", "SELECTED-DELAYED", "INBOXES", "PERSONAL", "SUBSCRIBED":
	case "SUBTREE", "MAILBOXES":
		if err := l.oneOrMany(&g.Mailboxes); err != nil {
			return g, err
		}
		if err := l.space(); err != nil {
			return g, err
		}
	default:
		return g, bad("NOTIFY knows no %.20s", g.Filter)
	}
	c, err := l.peek()
	if err != nil {
		return g, err
	}
	if c == '(' {
		err = l.list(false, func() error { return l.notifyEvent(&g) })
	} else if word, e := l.upper(); e != nil || word != "NONE" {
		err = bad("events or NONE are expected")
	}
	if err != nil {
		return g, err
	}
	return g, l.expect(')')
}

func (l *lexer) oneOrMany(into *[]string) error {
	one := func() error {
		s, err := l.mailbox()
		*into = append(*into, s)
		return err
	}
	if c, err := l.peek(); err != nil || c == '(' {
		if err != nil {
			return err
		}
		return l.list(false, one)
	}
	return one()
}

func (l *lexer) notifyEvent(g *NotifyGroup) error {
	word, err := l.atom()
	if err != nil {
		return err
	}
	for _, e := range []string{"MessageNew", "MessageExpunge", "FlagChange", "AnnotationChange", "MailboxName", "SubscriptionChange", "MailboxMetadataChange", "ServerMetadataChange"} {
		if !strings.EqualFold(e, word) {
			continue
		}
		g.Events = append(g.Events, e)
		if e != "MessageNew" {
			return nil
		}
		b, err := l.br.Peek(2)
		if err != nil || string(b) != " (" {
			return nil
		}
		if err := l.space(); err != nil {
			return err
		}
		g.Fetch, err = l.fetchItems(false)
		return err
	}
	return bad("%.30q is no event", word)
}
