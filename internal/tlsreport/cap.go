package tlsreport

import (
	"fmt"
	"net/url"
	"strings"

	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// defaultCap is how many reports one organisation gets on a UTC day (RPT-12).
const defaultCap = 1000

// organisation is who stands behind a report address: the registrable domain
// of the mail domain or of the https host. "" for what is no such address.
func organisation(uri string) string {
	u, err := tlsrpt.ParseURI(uri)
	host := ""
	switch {
	case err != nil:
		return ""
	case u.Mail != "":
		host = u.Mail[strings.LastIndexByte(u.Mail, '@')+1:]
	case u.HTTPS != "":
		if p, err := url.Parse(u.HTTPS); err == nil {
			host = p.Hostname()
		}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return registrable(host)
}

// capped takes out of m the deliveries beyond the daily cap of their
// organisations, and counts the others. Some domain owner has named these
// addresses: without a bound, anybody could have us flood a third party.
func (s *Service) capped(tx *store.Tx, m *Made) error {
	limit := int64(s.Cap)
	if limit <= 0 {
		limit = defaultCap
	}
	day := tlsresult.Day(s.now())
	allowed := func(uri string) (bool, error) {
		n, err := tx.Exec(`INSERT INTO tls_caps (day, organization, reports) VALUES (?, ?, 1)
			ON CONFLICT (day, organization) DO UPDATE SET reports = tls_caps.reports + 1 WHERE tls_caps.reports < ?`, day, organisation(uri), limit)
		return n > 0, err
	}
	m.toMail, m.toPost, m.over = nil, nil, nil
	for _, ml := range m.mails {
		ok, err := allowed(ml.uri)
		switch {
		case err != nil:
			return err
		case ok:
			m.toMail = append(m.toMail, ml)
		default:
			m.over = append(m.over, ml.uri)
		}
	}
	for _, uri := range m.posts {
		ok, err := allowed(uri)
		switch {
		case err != nil:
			return err
		case ok:
			m.toPost = append(m.toPost, uri)
		default:
			m.over = append(m.over, uri)
		}
	}
	return nil
}

// outcome is what the unit comes to once the cap has been looked at.
func (m *Made) outcome() (state, note string) {
	state, note = m.State, m.Note
	for _, uri := range m.over {
		if note != "" {
			note += "; "
		}
		note += fmt.Sprintf("%s: the daily cap of reports to %s is reached", uri, organisation(uri))
	}
	if state == unitReported && len(m.toMail)+len(m.toPost) == 0 {
		state = unitSkipped
	}
	return state, note
}
