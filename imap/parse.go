package imap

import (
	"slices"
	"strings"
	"time"
)

// parsers read the arguments of each command; nil: it has none.
var parsers = map[string]func(l *lexer, verb string) (any, error){
	"CAPABILITY": nil, "NOOP": nil, "LOGOUT": nil, "STARTTLS": nil, "CHECK": nil, "CLOSE": nil, "UNSELECT": nil, "IDLE": nil, "NAMESPACE": nil,
	"EXPUNGE": parseExpunge, "LOGIN": parseLogin, "AUTHENTICATE": parseAuthenticate, "SELECT": parseSelect, "EXAMINE": parseSelect,
	"CREATE": parseCreate, "DELETE": parseMailbox, "RENAME": parseRename, "SUBSCRIBE": parseMailbox, "UNSUBSCRIBE": parseMailbox,
	"LIST": parseList, "LSUB": parseList, "STATUS": parseStatus, "APPEND": parseAppend, "REPLACE": parseReplace,
	"SEARCH": parseSearch, "SORT": parseSort, "THREAD": parseThread, "FETCH": parseFetch, "STORE": parseStore, "COPY": parseCopy, "MOVE": parseCopy,
	"ENABLE": parseWords, "COMPRESS": parseWords, "ID": parseID, "GETQUOTA": parseGetQuota, "SETQUOTA": parseSetQuota, "GETQUOTAROOT": parseMailbox,
	"GENURLAUTH": parseGenURLAuth, "URLFETCH": parseURLFetch, "RESETKEY": parseResetKey,
	"CANCELUPDATE": parseCancelUpdate,
	"GETMETADATA":  parseGetMetadata, "SETMETADATA": parseSetMetadata, "NOTIFY": parseNotify,
}

// mailbox reads a mailbox name. INBOX is spelt so whatever its case.
func (l *lexer) mailbox() (string, error) {
	s, err := l.astring()
	if err == nil && strings.EqualFold(s, "INBOX") {
		s = "INBOX"
	}
	return s, err
}

// upper reads an atom in capitals.
func (l *lexer) upper() (string, error) {
	s, err := l.atom()
	return strings.ToUpper(s), err
}

// flags reads a list of flags in parentheses.
func (l *lexer) flags() (out []string, err error) {
	out = []string{}
	err = l.list(true, func() error {
		f, err := l.flag()
		out = append(out, f)
		return err
	})
	return out, err
}

func (l *lexer) flag() (string, error) {
	system, err := l.is('\\')
	if err != nil {
		return "", err
	}
	s, err := l.atom()
	if system {
		s = `\` + s
	}
	return s, err
}

// dateTime reads "17-Jul-1996 02:44:25 -0700".
func (l *lexer) dateTime() (time.Time, error) {
	s, err := l.quoted()
	if err != nil {
		return time.Time{}, err
	}
	for _, form := range []string{"_2-Jan-2006 15:04:05 -0700", "2-Jan-2006 15:04:05 -0700"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, bad("%.40q is no date and time", s)
}

func parseLogin(l *lexer, _ string) (any, error) {
	user, password, err := pair(l, l.astring, l.astring)
	return &Login{user, password}, err
}

func parseAuthenticate(l *lexer, _ string) (any, error) {
	m, err := l.upper()
	if err != nil {
		return nil, err
	}
	a := &Authenticate{Mechanism: m}
	if end, err := l.atEnd(); end || err != nil {
		return a, err
	}
	if err := l.space(); err != nil {
		return nil, err
	}
	s, err := l.word("base64", func(c byte) bool { return c > ' ' && c < 0x7f })
	a.Initial = &s
	return a, err
}

func parseMailbox(l *lexer, _ string) (any, error) {
	s, err := l.mailbox()
	return &Mailbox{s}, err
}

func parseRename(l *lexer, _ string) (any, error) {
	from, to, err := pair(l, l.mailbox, l.mailbox)
	return &Rename{from, to}, err
}

func parseCreate(l *lexer, _ string) (any, error) {
	s, err := l.mailbox()
	if err != nil {
		return nil, err
	}
	c := &Create{Mailbox: s}
	return c, l.parameters(func(name string) error {
		if name != "USE" {
			return bad("CREATE knows no %.20s", name)
		}
		c.Use, err = spaced(l, l.flags)
		return err
	})
}

// parameters reads " (NAME …)", if it comes.
func (l *lexer) parameters(read func(name string) error) error {
	if end, err := l.atEnd(); end || err != nil {
		return err
	}
	if err := l.space(); err != nil {
		return err
	}
	return l.list(false, func() error {
		name, err := l.upper()
		if err != nil {
			return err
		}
		return read(name)
	})
}

func parseSelect(l *lexer, _ string) (any, error) {
	s, err := l.mailbox()
	if err != nil {
		return nil, err
	}
	c := &Select{Mailbox: s}
	return c, l.parameters(func(name string) error {
		switch name {
		case "CONDSTORE":
			c.CondStore = true
			return nil
		case "QRESYNC":
			c.QResync, err = spaced(l, l.qresync)
			return err
		}
		return bad("SELECT knows no %.20s", name)
	})
}

// qresync reads "(uidvalidity modseq [known-uids] [(seqs uids)])".
func (l *lexer) qresync() (*QResync, error) {
	q, at := &QResync{}, 0
	err := l.list(false, func() error {
		at++
		c, err := l.peek()
		if err != nil {
			return err
		}
		switch {
		case at <= 2:
			n, err := l.number()
			if at == 1 {
				if n > 1<<32-1 {
					return bad("UIDVALIDITY is a number of 32 bits")
				}
				q.UIDValidity = uint32(n)
			} else {
				q.ModSeq = n
			}
			return err
		case c == '(' && q.SeqMatch == nil:
			q.SeqMatch = &[2]Set{}
			i := 0
			return l.list(false, func() error {
				if i == 2 {
					return bad("two sets are expected")
				}
				s, err := l.set()
				q.SeqMatch[i] = s
				i++
				return err
			})
		case q.Known == nil && q.SeqMatch == nil:
			s, err := l.set()
			q.Known = &s
			return err
		}
		return bad("QRESYNC has two numbers, a set and a pair of sets")
	})
	if err == nil && at < 2 {
		err = bad("QRESYNC needs UIDVALIDITY and a mod-sequence")
	}
	return q, err
}

func parseStatus(l *lexer, _ string) (any, error) {
	s, err := l.mailbox()
	if err != nil {
		return nil, err
	}
	if err := l.space(); err != nil {
		return nil, err
	}
	c := &Status{Mailbox: s}
	c.Items, err = l.uppers()
	return c, err
}

// uppers reads a list of atoms.
func (l *lexer) uppers() (out []string, err error) {
	err = l.list(false, func() error {
		s, err := l.upper()
		out = append(out, s)
		return err
	})
	return out, err
}

func parseList(l *lexer, verb string) (any, error) {
	c := &List{}
	ch, err := l.peek()
	if err != nil {
		return nil, err
	}
	if ch == '(' && verb == "LIST" {
		c.Extended = true
		if err := l.list(true, func() error {
			s, err := l.upper()
			c.Select = append(c.Select, s)
			return err
		}); err != nil {
			return nil, err
		}
		if err := l.space(); err != nil {
			return nil, err
		}
	}
	if c.Reference, err = l.mailbox(); err != nil {
		return nil, err
	}
	if err := l.space(); err != nil {
		return nil, err
	}
	if err := l.patterns(c); err != nil {
		return nil, err
	}
	return c, l.listReturn(c)
}

func (l *lexer) patterns(c *List) error {
	ch, err := l.peek()
	if err != nil {
		return err
	}
	if ch == '(' {
		c.Extended = true
		return l.list(false, func() error { return l.pattern(c) })
	}
	return l.pattern(c)
}

func (l *lexer) pattern(c *List) error {
	ch, err := l.peek()
	if err != nil {
		return err
	}
	s := ""
	quote, err := l.beginsString(ch)
	if err != nil {
		return err
	}
	if quote {
		s, err = l.str()
	} else {
		s, err = l.word("a pattern", func(c byte) bool { return atomChar(c) || c == ']' || c == '%' || c == '*' || c >= 0x80 })
	}
	if len(c.Patterns) > 100 {
		return bad("more than 100 patterns")
	}
	c.Patterns = append(c.Patterns, s)
	return err
}

// listReturn reads "RETURN (…)" (RFC 5258 §3.2).
func (l *lexer) listReturn(c *List) error {
	if end, err := l.atEnd(); end || err != nil {
		return err
	}
	word, err := spaced(l, l.upper)
	if err != nil {
		return err
	}
	if word != "RETURN" {
		return bad("RETURN is expected")
	}
	c.Extended = true
	if err := l.space(); err != nil {
		return err
	}
	return l.list(true, func() error {
		s, err := l.upper()
		if err != nil {
			return err
		}
		if s != "STATUS" {
			c.Return = append(c.Return, s)
			return nil
		}
		c.Status, err = spaced(l, l.uppers)
		return err
	})
}

func parseAppend(l *lexer, _ string) (any, error) {
	s, err := l.mailbox()
	return &Append{s}, err
}

func parseReplace(l *lexer, _ string) (any, error) {
	set, s, err := pair(l, l.set, l.mailbox)
	return &Replace{set, s}, err
}

func parseExpunge(l *lexer, _ string) (any, error) {
	s, err := l.set()
	return &Expunge{s}, err
}

func parseCopy(l *lexer, _ string) (any, error) {
	set, s, err := pair(l, l.set, l.mailbox)
	return &Copy{set, s}, err
}

func parseStore(l *lexer, _ string) (any, error) {
	set, err := l.set()
	if err != nil {
		return nil, err
	}
	c := &Store{Set: set, Mode: '='}
	ch, err := spaced(l, l.peek)
	if err != nil {
		return nil, err
	}
	if ch == '(' {
		if err := l.list(false, func() error {
			name, err := l.upper()
			if err != nil {
				return err
			}
			if name != "UNCHANGEDSINCE" {
				return bad("STORE knows no %.20s", name)
			}
			n, err := spaced(l, l.number)
			c.UnchangedSince = &n
			return err
		}); err != nil {
			return nil, err
		}
		if ch, err = spaced(l, l.peek); err != nil {
			return nil, err
		}
	}
	if ch == '+' || ch == '-' {
		c.Mode = ch
		if _, err := l.take(); err != nil {
			return nil, err
		}
	}
	return c, l.storeFlags(c)
}

func (l *lexer) storeFlags(c *Store) error {
	word, err := l.upper()
	if err != nil {
		return err
	}
	switch word {
	case "FLAGS":
	case "FLAGS.SILENT":
		c.Silent = true
	default:
		return bad("FLAGS or FLAGS.SILENT is expected")
	}
	ch, err := spaced(l, l.peek)
	if err != nil {
		return err
	}
	if ch == '(' {
		c.Flags, err = l.flags()
		return err
	}
	for { // without parentheses
		f, err := l.flag()
		if err != nil {
			return err
		}
		c.Flags = append(c.Flags, f)
		if end, err := l.atEnd(); end || err != nil {
			return err
		}
		if err := l.space(); err != nil {
			return err
		}
	}
}

func parseWords(l *lexer, _ string) (any, error) {
	c := &Words{}
	for {
		s, err := l.upper()
		if err != nil {
			return nil, err
		}
		c.Words = append(c.Words, s)
		if end, err := l.atEnd(); end || err != nil {
			return c, err
		}
		if err := l.space(); err != nil {
			return nil, err
		}
	}
}

func parseID(l *lexer, _ string) (any, error) {
	ch, err := l.peek()
	if err != nil {
		return nil, err
	}
	c := &ID{}
	switch ch {
	case '(':
	case '\n': // some send no argument
		return c, nil
	default:
		_, _, err := l.nstring()
		return c, err
	}
	c.Fields = map[string]string{}
	key := ""
	n := 0
	err = l.list(true, func() error {
		if n++; n > 60 { // RFC 2971 §3.3 has 30 pairs
			return bad("ID has at most 30 fields")
		}
		s, _, err := l.nstring()
		if n%2 == 1 {
			key = strings.ToLower(s)
		} else {
			c.Fields[key] = s
		}
		return err
	})
	return c, err
}

func parseGetQuota(l *lexer, _ string) (any, error) {
	s, err := l.astring()
	return &GetQuota{s}, err
}

func parseSetQuota(l *lexer, _ string) (any, error) {
	s, err := l.astring()
	if err != nil {
		return nil, err
	}
	c := &SetQuota{s, map[string]uint64{}}
	if err := l.space(); err != nil {
		return nil, err
	}
	return c, l.list(true, func() error {
		name, err := l.upper()
		if err != nil {
			return err
		}
		if err := l.space(); err != nil {
			return err
		}
		c.Limits[name], err = l.number()
		return err
	})
}

// options reads what stands in parentheses before the entries.
func (c *GetMetadata) options(l *lexer) error {
	return l.list(false, func() error {
		name, err := l.upper()
		if err != nil {
			return err
		}
		if err := l.space(); err != nil {
			return err
		}
		switch name {
		case "MAXSIZE":
			n, err := l.number()
			c.MaxSize = &n
			return err
		case "DEPTH":
			d, err := l.upper()
			c.Depth = strings.ToLower(d)
			if err == nil && !slices.Contains([]string{"0", "1", "infinity"}, c.Depth) {
				err = bad("DEPTH is 0, 1 or infinity")
			}
			return err
		}
		return bad("GETMETADATA knows no %.20s", name)
	})
}

// optional reads options and the space behind them, if they come: entries, which stand in parentheses too, begin with
// a slash.
func (c *GetMetadata) optional(l *lexer) error {
	ch, err := l.peek()
	if err != nil || ch != '(' {
		return err
	}
	b, err := l.br.Peek(2)
	if err != nil || b[1]|0x20 != 'm' && b[1]|0x20 != 'd' {
		return err
	}
	if err := c.options(l); err != nil {
		return err
	}
	return l.space()
}

func parseGetMetadata(l *lexer, _ string) (any, error) {
	c := &GetMetadata{Depth: "0"}
	if err := c.optional(l); err != nil {
		return nil, err
	}
	var err error
	if c.Mailbox, err = l.mailbox(); err != nil {
		return nil, err
	}
	if err := l.space(); err != nil {
		return nil, err
	}
	// The grammar of RFC 5464 §5 has the options first, and its examples have them behind the mailbox.
	if err := c.optional(l); err != nil {
		return nil, err
	}
	ch, err := l.peek()
	if err != nil {
		return nil, err
	}
	entry := func() error {
		s, err := l.astring()
		c.Entries = append(c.Entries, strings.ToLower(s))
		return err
	}
	if ch == '(' {
		return c, l.list(false, entry)
	}
	return c, entry()
}

func parseSetMetadata(l *lexer, _ string) (any, error) {
	m, err := l.mailbox()
	if err != nil {
		return nil, err
	}
	c := &SetMetadata{Mailbox: m}
	if err := l.space(); err != nil {
		return nil, err
	}
	return c, l.list(false, func() error {
		name, err := l.astring()
		if err != nil {
			return err
		}
		if err := l.space(); err != nil {
			return err
		}
		v, isNil, err := l.nstring()
		e := MetadataEntry{Name: strings.ToLower(name)}
		if !isNil {
			e.Value = &v
		}
		c.Entries = append(c.Entries, e)
		return err
	})
}
