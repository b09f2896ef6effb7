// Package imapurl reads IMAP URLs of messages (RFC 5092), with what authorizes others to fetch
// them (RFC 4467).
package imapurl

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"waxwing/imap"
)

// Error says what is wrong with a URL.
type Error string

func (e Error) Error() string { return string(e) }

func bad(format string, args ...any) error { return Error(fmt.Sprintf(format, args...)) }

// maxURL is how long a URL may be.
const maxURL = 4096

// URL is an IMAP URL of a message, or of a part of one (RFC 5092), with what authorizes
// somebody to fetch it (RFC 4467).
type URL struct {
	User        string // "": not given
	Host        string // with the port; "": the URL is relative, and means this server
	Mailbox     string // in UTF-8
	UIDValidity uint32 // 0: any
	UID         uint32
	Section     *imap.Section // nil: the whole message; a range is in it, too

	Expire    time.Time // zero: never
	Access    string    // whom it is for: "authuser", "anonymous", "user+joe", "submit+joe"; "": it authorizes nobody
	Mechanism string    // in capitals: INTERNAL; "": the URL is not signed
	Token     string    // in lower case
	Rump      string    // what is signed: the URL up to Access, as it was written
}

// Parse reads a URL that means a message: "imap://joe@example.org/INBOX;UIDVALIDITY=3/;UID=20/;SECTION=1.2",
// or "/INBOX/;UID=20", which means one of this server's.
func Parse(s string) (*URL, error) {
	if len(s) > maxURL {
		return nil, bad("a URL has at most %d octets", maxURL)
	}
	u := &URL{Rump: s}
	rest := s
	if scheme, after, ok := cutFold(s, "imap://"); ok && scheme == "" {
		authority, path, _ := strings.Cut(after, "/")
		if err := u.authority(authority); err != nil {
			return nil, err
		}
		rest = "/" + path
	}
	if before, access, ok := cutFold(rest, ";URLAUTH="); ok {
		if err := u.authorization(access); err != nil {
			return nil, err
		}
		rest = before
	}
	if before, date, ok := cutFold(rest, ";EXPIRE="); ok {
		var err error
		if u.Expire, err = time.Parse(time.RFC3339, date); err != nil || u.Access == "" {
			return nil, bad("EXPIRE has a time of RFC 3339, and URLAUTH behind it")
		}
		rest = before
	}
	return u, u.path(rest)
}

// cutFold is strings.Cut at a word in whatever case, at the last place where it stands.
func cutFold(s, word string) (before, after string, ok bool) {
	for i := len(s) - len(word); i >= 0; i-- {
		if strings.EqualFold(s[i:i+len(word)], word) {
			return s[:i], s[i+len(word):], true
		}
	}
	return s, "", false
}

// authority reads "joe;AUTH=*@example.org:143".
func (u *URL) authority(s string) (err error) {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		name, _, _ := cutFold(s[:i], ";AUTH=")
		if u.User, err = decoded(name); err != nil {
			return err
		}
		s = s[i+1:]
	}
	if u.Host = s; s == "" {
		return bad("a URL of imap:// has a host")
	}
	return nil
}

// authorization reads "user+joe:internal:91354a…" or what of it is there. It is at the end of the URL.
func (u *URL) authorization(s string) (err error) {
	access, token, signed := strings.Cut(s, ":")
	if signed {
		u.Rump = u.Rump[:len(u.Rump)-len(token)-1]
		mechanism, octets, _ := strings.Cut(token, ":")
		u.Mechanism, u.Token = strings.ToUpper(mechanism), strings.ToLower(octets)
	}
	word, user, named := strings.Cut(access, "+")
	word = strings.ToLower(word)
	if user, err = decoded(user); err != nil {
		return err
	}
	switch word {
	case "authuser", "anonymous":
		if named {
			return bad("%s names nobody", word)
		}
		u.Access = word
	case "user", "submit":
		if user == "" {
			return bad("%s+ names somebody", word)
		}
		u.Access = word + "+" + user
	default:
		return bad("URLAUTH is for submit+, user+, authuser or anonymous")
	}
	return nil
}

// path reads "/INBOX;UIDVALIDITY=3/;UID=20/;SECTION=1.2/;PARTIAL=0.100".
func (u *URL) path(s string) (err error) {
	before, uid, ok := cutFold(s, "/;UID=")
	if !ok || len(before) < 2 || s[0] != '/' {
		return bad("the URL names no message")
	}
	name, rest := before[1:], "UID="+uid
	if before, validity, ok := cutFold(name, ";UIDVALIDITY="); ok {
		if u.UIDValidity, err = nonZero(validity); err != nil {
			return err
		}
		name = before
	}
	if u.Mailbox, err = decoded(name); err != nil {
		return err
	}
	if strings.EqualFold(u.Mailbox, "INBOX") {
		u.Mailbox = "INBOX"
	}
	if u.Mailbox == "" {
		return bad("the URL names no mailbox")
	}
	partial := ""
	for part := range strings.SplitSeq(rest, "/;") {
		name, value, _ := strings.Cut(strings.TrimSuffix(part, "/"), "=")
		switch strings.ToUpper(name) {
		case "UID":
			u.UID, err = nonZero(value)
		case "SECTION":
			if value, err = decoded(value); err == nil {
				u.Section, err = imap.ParseSection(value)
			}
		case "PARTIAL":
			partial = value
		default:
			err = bad("a URL of a message has no %.20q", name)
		}
		if err != nil {
			return err
		}
	}
	return u.partial(partial)
}

// partial reads "100.20" or "100", which is up to the end.
func (u *URL) partial(s string) error {
	if s == "" {
		return nil
	}
	from, count, has := strings.Cut(s, ".")
	a, err := strconv.ParseUint(from, 10, 63)
	n := uint64(1 << 62)
	if err == nil && has {
		n, err = strconv.ParseUint(count, 10, 62)
	}
	if err != nil || n == 0 {
		return bad("%.40q is no range of octets", s)
	}
	if u.Section == nil {
		u.Section = &imap.Section{}
	}
	u.Section.Partial, u.Section.Offset, u.Section.Count = true, a, n
	return nil
}

func nonZero(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return 0, bad("%.40q is no number that a message has", s)
	}
	return uint32(n), nil
}

func decoded(s string) (string, error) {
	out, err := url.PathUnescape(s)
	if err != nil || strings.ContainsAny(out, "\x00\r\n") {
		return "", bad("%.40q is not encoded as in URLs", s)
	}
	return out, nil
}
