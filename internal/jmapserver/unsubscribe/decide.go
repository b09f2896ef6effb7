package unsubscribe

import (
	"net/url"
	"slices"
	"strings"

	"waxwing/dkim"
	"waxwing/internal/jmapserver/email"
	"waxwing/internal/verify"
	"waxwing/jmap"
	"waxwing/message"
)

// Way is how somebody leaves the list that sent a mail.
type Way string

// The ways, the best first.
const (
	OneClick Way = "one-click" // RFC 8058: this server posts
	ByMail   Way = "mail"      // RFC 2369: a mail to an address
	ByPage   Way = "page"      // RFC 2369: a page of the list's, opened in a browser
	None     Way = "none"
)

// Offer is what a mail offers to those who want no more of its kind.
type Offer struct {
	ID   jmap.ID `json:"id"`
	Way  Way     `json:"way"`
	Host string  `json:"host,omitempty"`   // that is posted to, or has the page
	Mail string  `json:"mailto,omitempty"` // a mailto URL
	Page string  `json:"page,omitempty"`   // an http or https URL
	Why  string  `json:"why,omitempty"`    // why it is not one click, where it names a host: "unsigned", "no-post", "several", "address"

	post *url.URL
}

// maxURL is how long an address may be.
const maxURL = 2000

// decide is what a mail offers, by its header and the signatures that were found valid when it came. It is one click only where
// the list says so and a valid signature covers both fields (RFC 8058 §4): otherwise anybody could have this server post to
// an address. Several fields of a name are as good as none, since a signature need not cover all of them.
func decide(h message.Header, valid []verify.Signature) Offer {
	fields, posts := h.All("List-Unsubscribe"), h.All("List-Unsubscribe-Post")
	o := Offer{Way: None}
	if len(fields) == 0 {
		return o
	}
	var fault string
	for _, s := range email.URLsIn(fields[0]) {
		u, err := url.Parse(s)
		if err != nil || len(s) > maxURL || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '\\' || r > '~' }) {
			continue
		}
		switch scheme := strings.ToLower(u.Scheme); {
		case scheme == "mailto" && o.Mail == "":
			o.Mail = s
		case scheme != "https" && scheme != "http" || u.Hostname() == "" || u.User != nil:
		case o.post == nil && scheme == "https" && (u.Port() == "" || u.Port() == "443"):
			o.Page, o.Host, o.post, fault = s, u.Hostname(), u, ""
		case o.Page == "":
			o.Page, o.Host, fault = s, u.Hostname(), "address"
		}
	}
	switch {
	case o.Page == "":
	case len(posts) == 0 || len(posts) == 1 && !strings.EqualFold(strings.TrimSpace(posts[0]), form):
		o.Why = "no-post"
	case len(fields) > 1 || len(posts) > 1:
		o.Why = "several"
	case fault != "":
		o.Why = fault
	case !covered(h, valid):
		o.Why = "unsigned"
	}
	switch {
	case o.post != nil && o.Why == "":
		o.Way = OneClick
	case o.Mail != "":
		o.Way = ByMail
	case o.Page != "":
		o.Way = ByPage
	}
	return o
}

// covered tells whether one of the signatures that were valid covers both fields.
func covered(h message.Header, valid []verify.Signature) bool {
	for _, f := range h.Fields {
		if !f.Is("DKIM-Signature") {
			continue
		}
		s, err := dkim.ReadSignature(f)
		if err != nil || !slices.Contains(s.SignedHeaders, "list-unsubscribe") || !slices.Contains(s.SignedHeaders, "list-unsubscribe-post") {
			continue
		}
		if slices.ContainsFunc(valid, func(v verify.Signature) bool {
			return v.Result == dkim.Pass && v.Domain == s.Domain && v.Selector == s.Selector && v.Start != "" && v.Start == s.Signature
		}) {
			return true
		}
	}
	return false
}
