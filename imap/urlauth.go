package imap

import "slices"

// each reads items that are parted by spaces, up to the end of the command.
func (l *lexer) each(most int, item func() error) error {
	for n := 1; ; n++ {
		if n > most {
			return bad("more than %d in one command", most)
		}
		if err := item(); err != nil {
			return err
		}
		if end, err := l.atEnd(); end || err != nil {
			return err
		}
		if err := l.space(); err != nil {
			return err
		}
	}
}

// parseGenURLAuth reads URLs, each with its mechanism (RFC 4467 §7).
func parseGenURLAuth(l *lexer, _ string) (any, error) {
	c := &GenURLAuth{}
	return c, l.each(100, func() error {
		u, m, err := pair(l, l.astring, l.upper)
		c.URLs, c.Mechanisms = append(c.URLs, u), append(c.Mechanisms, m)
		return err
	})
}

// urlItems are what URLFETCH can be asked for (RFC 5524 §3).
var urlItems = []string{"BODY", "BINARY", "BODYPARTSTRUCTURE"}

func parseURLFetch(l *lexer, _ string) (any, error) {
	c := &URLFetch{}
	return c, l.each(100, func() error {
		r := URLRequest{}
		ch, err := l.peek()
		if err != nil {
			return err
		}
		if ch != '(' {
			r.URL, err = l.astring()
			c.URLs = append(c.URLs, r)
			return err
		}
		r.Items = []string{}
		first := true
		err = l.list(false, func() (err error) {
			if first {
				first = false
				r.URL, err = l.astring()
				return err
			}
			name, err := l.upper()
			if err == nil && (!slices.Contains(urlItems, name) || slices.Contains(r.Items, name)) {
				err = bad("URLFETCH knows no %.20s here", name)
			}
			r.Items = append(r.Items, name)
			return err
		})
		c.URLs = append(c.URLs, r)
		return err
	})
}

func parseResetKey(l *lexer, _ string) (any, error) {
	c := &ResetKey{}
	if end, err := l.atEnd(); end || err != nil {
		return c, err
	}
	first := true
	return c, l.each(100, func() error {
		if first {
			first = false
			name, err := l.mailbox()
			c.Mailbox = &name
			return err
		}
		m, err := l.upper()
		c.Mechanisms = append(c.Mechanisms, m)
		return err
	})
}

func parseCancelUpdate(l *lexer, _ string) (any, error) {
	c := &CancelUpdate{}
	return c, l.each(100, func() error {
		tag, err := l.str()
		c.Tags = append(c.Tags, tag)
		return err
	})
}
