package htmlmail

import (
	"net/url"
	"regexp"
	"strings"

	"waxwing/internal/foreign"
)

func cut(s string, most int) string { return foreign.Cut(s, most) }

// maxLink is how long an address may be that is kept.
const maxLink = 8 << 10

// bare is an address as browsers read it: they pass over white space and controls at its ends, and over line ends and tabs
// in it.
func bare(s string) string {
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, s)
}

// web reads an address of http or https; nil: it is none.
func web(s string) *url.URL {
	s = bare(s)
	if len(s) > maxLink {
		return nil
	}
	if strings.HasPrefix(s, "//") {
		s = "https:" + s
	}
	if len(s) > 4 && strings.EqualFold(s[:4], "www.") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(u.Host, "\\ \"'<>`") {
		return nil
	}
	return u
}

// link is where a link may lead: to the web, to an address of mail, to a telephone, or to a place in the document.
// host is that of the web.
func link(raw string) (href, host string, ok bool) {
	if u := web(raw); u != nil {
		return u.String(), strings.ToLower(u.Hostname()), true
	}
	s := bare(raw)
	if len(s) > maxLink {
		return "", "", false
	}
	if id, is := strings.CutPrefix(s, "#"); is {
		id, ok = word(id)
		return "#" + id, "", ok
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "mailto" && u.Scheme != "tel" {
		return "", "", false
	}
	return u.String(), "", true
}

// named is text that names a host.
var named = regexp.MustCompile(`(?i)^\s*(?:https?://)?((?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24})(?:[/?#:]\S*)?\s*$`)

// elsewhere is the host that a link's text names, where that is another than the one to which it leads; else "".
func elsewhere(text, host string) string {
	if len(text) > maxAttribute || host == "" {
		return ""
	}
	m := named.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	said := strings.ToLower(m[1])
	shown, real := strings.TrimPrefix(said, "www."), strings.TrimPrefix(host, "www.")
	if shown == real || strings.HasSuffix(real, "."+shown) {
		return ""
	}
	return said
}
