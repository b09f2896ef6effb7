package imap

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// plainKeys take nothing.
var plainKeys = []string{"ALL", "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "NEW", "OLD", "RECENT", "SEEN", "UNANSWERED", "UNDELETED", "UNDRAFT",
	"UNFLAGGED", "UNSEEN", "SAVEDATESUPPORTED"}

// textKeys take a string, dateKeys a date, numberKeys a number.
var (
	textKeys   = []string{"BCC", "BODY", "CC", "FROM", "SUBJECT", "TEXT", "TO", "EMAILID", "THREADID"}
	wordKeys   = []string{"KEYWORD", "UNKEYWORD"}
	dateKeys   = []string{"BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE", "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE"}
	numberKeys = []string{"LARGER", "SMALLER", "OLDER", "YOUNGER"}
)

func parseSearch(l *lexer, _ string) (any, error) {
	c := &Search{}
	var err error
	if c.Return, err = l.returns(); err != nil {
		return nil, err
	}
	c.Charset, c.Key, err = l.program()
	return c, err
}

// returns reads "RETURN (…) ", if it comes.
func (l *lexer) returns() ([]ReturnOption, error) {
	word, err := l.peekWord("RETURN")
	if !word || err != nil {
		return nil, err
	}
	if err := l.space(); err != nil {
		return nil, err
	}
	out := []ReturnOption{}
	err = l.list(true, func() error {
		name, err := l.upper()
		if err != nil {
			return err
		}
		o := ReturnOption{Name: name}
		switch name {
		case "MIN", "MAX", "ALL", "COUNT", "SAVE", "UPDATE", "CONTEXT":
		case "PARTIAL":
			o.Partial, err = spaced(l, l.partial)
		default:
			return bad("RETURN knows no %.20s", name)
		}
		out = append(out, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, l.space()
}

// peekWord takes an atom if it is word.
func (l *lexer) peekWord(word string) (bool, error) {
	if c, err := l.peek(); err != nil || c|0x20 != word[0]|0x20 {
		return false, err // not a letter to wait for
	}
	for n := 1; n <= len(word); n++ {
		b, err := l.br.Peek(n)
		if err != nil {
			return false, err
		}
		if b[n-1]|0x20 != word[n-1]|0x20 {
			return false, nil
		}
	}
	if b, err := l.br.Peek(len(word) + 1); err != nil || atomChar(b[len(word)]) {
		return false, err
	}
	for range len(word) {
		if _, err := l.take(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// partial reads "1:100" or "-1:-100" (RFC 9394 §3.1).
func (l *lexer) partial() (Partial, error) {
	s, err := l.word("a range", func(c byte) bool { return c >= '0' && c <= '9' || c == ':' || c == '-' })
	if err != nil {
		return Partial{}, err
	}
	from, to, ok := strings.Cut(s, ":")
	a, err1 := strconv.ParseInt(from, 10, 64)
	b, err2 := strconv.ParseInt(to, 10, 64)
	if !ok || err1 != nil || err2 != nil || a == 0 || b == 0 || (a < 0) != (b < 0) {
		return Partial{}, bad("%.40q is no range of results", s)
	}
	if abs(a) > abs(b) {
		a, b = b, a
	}
	return Partial{a, b}, nil
}

func abs(n int64) int64 { return max(n, -n) }

// program reads "[CHARSET x ]key key …".
func (l *lexer) program() (charset string, k Key, err error) {
	is, err := l.peekWord("CHARSET")
	if err != nil {
		return "", k, err
	}
	if is {
		if err := l.space(); err != nil {
			return "", k, err
		}
		if charset, err = l.astring(); err != nil {
			return "", k, err
		}
		if err := l.space(); err != nil {
			return "", k, err
		}
	}
	k, err = l.keys()
	return strings.ToUpper(charset), k, err
}

// keys reads keys up to the end of the command or the closing parenthesis: all
// must hold.
func (l *lexer) keys() (Key, error) {
	k := Key{Name: "AND"}
	for {
		one, err := l.key()
		if err != nil {
			return k, err
		}
		k.Keys = append(k.Keys, one)
		if len(k.Keys) > l.limits.Items {
			return k, bad("more than %d search keys", l.limits.Items)
		}
		c, err := l.peek()
		if err != nil {
			return k, err
		}
		if c != ' ' {
			if len(k.Keys) == 1 {
				return k.Keys[0], nil
			}
			return k, nil
		}
		if err := l.space(); err != nil {
			return k, err
		}
	}
}

func (l *lexer) key() (Key, error) {
	if l.depth++; l.depth > l.limits.Depth {
		return Key{}, bad("search keys are nested deeper than %d", l.limits.Depth)
	}
	defer func() { l.depth-- }()
	c, err := l.peek()
	if err != nil {
		return Key{}, err
	}
	switch {
	case c == '(':
		if err := l.expect('('); err != nil {
			return Key{}, err
		}
		k, err := l.keys()
		if err == nil {
			err = l.expect(')')
		}
		return k, err
	case c >= '0' && c <= '9', c == '*', c == '$':
		s, err := l.set()
		return Key{Name: "SEQ", Set: s}, err
	}
	name, err := l.upper()
	if err != nil {
		return Key{}, err
	}
	return l.namedKey(name)
}

func (l *lexer) namedKey(name string) (Key, error) {
	k := Key{Name: name}
	if slices.Contains(plainKeys, name) {
		return k, nil
	}
	if err := l.space(); err != nil {
		return k, err
	}
	var err error
	switch {
	case slices.Contains(textKeys, name):
		k.Text, err = l.astring()
	case slices.Contains(wordKeys, name):
		k.Text, err = l.flag()
	case slices.Contains(dateKeys, name):
		k.Date, err = l.date()
	case slices.Contains(numberKeys, name):
		k.Number, err = l.number()
	case name == "NOT":
		var one Key
		one, err = l.key()
		k.Keys = []Key{one}
	case name == "OR":
		err = l.either(&k)
	case name == "HEADER":
		if k.Header, err = l.astring(); err == nil {
			if err = l.space(); err == nil {
				k.Text, err = l.astring()
			}
		}
	case name == "UID":
		k.Set, err = l.set()
	case name == "MODSEQ":
		err = l.modSeq(&k)
	default:
		err = bad("%.20q is no search key that is known here", name)
	}
	return k, err
}

func (l *lexer) either(k *Key) error {
	a, err := l.key()
	if err != nil {
		return err
	}
	b, err := spaced(l, l.key)
	k.Keys = []Key{a, b}
	return err
}

// modSeq reads `["/flags/…" all ]123` (RFC 7162 §3.1.5).
func (l *lexer) modSeq(k *Key) error {
	c, err := l.peek()
	if err != nil {
		return err
	}
	if c == '"' {
		if k.Entry, err = l.quoted(); err != nil {
			return err
		}
		if _, err := spaced(l, l.atom); err != nil { // shared, priv or all: there is one kind of flags here
			return err
		}
		if err := l.space(); err != nil {
			return err
		}
	}
	k.Number, err = l.number()
	return err
}

// date reads "1-Feb-1994", with or without quotes.
func (l *lexer) date() (time.Time, error) {
	s, err := l.astring()
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse("2-Jan-2006", strings.TrimLeft(s, " "))
	if err != nil {
		return time.Time{}, bad("%.40q is no date", s)
	}
	return t, nil
}

func parseSort(l *lexer, _ string) (any, error) {
	c := &Sort{}
	var err error
	if c.Return, err = l.returns(); err != nil {
		return nil, err
	}
	reverse := false
	if err := l.list(false, func() error {
		name, err := l.upper()
		switch {
		case err != nil:
			return err
		case name == "REVERSE" && !reverse:
			reverse = true
		case slices.Contains([]string{"ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"}, name):
			c.By = append(c.By, SortKey{name, reverse})
			reverse = false
		default:
			return bad("SORT knows no %.20s here", name)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if reverse || len(c.By) == 0 {
		return nil, bad("SORT needs a key behind REVERSE")
	}
	if err := l.space(); err != nil {
		return nil, err
	}
	if c.Charset, c.Key, err = l.withCharset(); err != nil {
		return nil, err
	}
	return c, nil
}

// withCharset reads "charset key key …" of SORT and THREAD.
func (l *lexer) withCharset() (string, Key, error) {
	charset, err := l.astring()
	if err != nil {
		return "", Key{}, err
	}
	if err := l.space(); err != nil {
		return "", Key{}, err
	}
	k, err := l.keys()
	return strings.ToUpper(charset), k, err
}

func parseThread(l *lexer, _ string) (any, error) {
	name, err := l.upper()
	if err != nil {
		return nil, err
	}
	if err := l.space(); err != nil {
		return nil, err
	}
	c := &Thread{Algorithm: name}
	c.Charset, c.Key, err = l.withCharset()
	return c, err
}
